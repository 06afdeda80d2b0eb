"""Relief of the face and its shading.

The face is a height field: a smooth head plus bumps and grooves from identity, age and action
units. Its slope determines the shading, its neighbourhood the ambient occlusion, and ray marching
towards the key light the shadows of nose and brows.
"""

import math
from dataclasses import dataclass

import numpy as np

from fer_core.synthetic.action_units import ActionUnits
from fer_core.synthetic.field import Field, Planes, bell, blur, bump, planes, step
from fer_core.synthetic.identity import Identity
from fer_core.synthetic.scene import Light
from fer_core.synthetic.shapes import Eyes, Head, Mouth, Nose


def raise_face(
    head: Head, identity: Identity, units: ActionUnits, eyes: Eyes, nose: Nose, mouth: Mouth
) -> Field:
    """Returns the height of the face towards the viewer, in face units."""
    a, u, v = np.abs(head.u), head.u, head.v
    height = head.depth.copy()
    height += _bones(a, v, identity)
    height += _nose(a, u, v, identity, nose)
    height += _lids(eyes)
    height += _lips(mouth)
    height += _soft_parts(a, v, identity, units, nose, mouth)
    height += _wrinkles(a, u, v, identity, units, eyes)
    return height


def _bones(a: Field, v: Field, identity: Identity) -> Field:
    x = identity.eye_x
    height = 0.045 * bump(a, v, (x - 0.06, identity.brow_y + 0.02), (0.26, 0.09))
    height -= 0.085 * bump(a, v, (x, 0.0), (0.20, 0.125))
    height -= 0.070 * bump(a, v, (0.155, -0.02), (0.06, 0.10))
    height += 0.055 * identity.cheekbones * bump(a, v, (0.56, 0.22), (0.22, 0.17))
    height -= 0.03 * identity.age * bump(a, v, (0.55, 0.55), (0.16, 0.2))
    height += 0.075 * bump(a, v, (0.0, identity.chin - 0.14), (0.22, 0.12))
    height += 0.05 * bump(a, v, (0.0, identity.mouth_y - 0.02), (0.34, 0.24))
    return height


def _nose(a: Field, u: Field, v: Field, identity: Identity, nose: Nose) -> Field:
    base, width, bridge = nose.base, nose.width, identity.nose_bridge
    run = np.clip((v + 0.12) * (1.0 / (base + 0.05)), 0.0, 1.0)
    ridge_width = 0.075 + 0.35 * width * run
    ridge = (0.05 + 0.19 * run * bridge) * np.exp(-((a / ridge_width) ** 2))
    ridge *= step(-0.24, -0.05, v)
    underside = step(base + 0.05, base - 0.035, v + 0.9 * a * a)
    height = ridge * underside
    height += 0.085 * bump(u, v, (0.0, base - 0.075), (0.085, 0.075)) * underside
    wing = bump(a, v, (width * 0.80, base - 0.045), (width * 0.30, 0.055))
    height += 0.085 * wing * step(base + 0.04, base - 0.02, v)
    # The groove between the wing of the nose and the cheek.
    ring = np.sqrt(((a - width * 0.72) / (width * 0.42)) ** 2 + ((v - base + 0.05) / 0.085) ** 2)
    height -= 0.012 * bell(ring - 1.0, 0.26) * step(width * 0.7, width * 1.0, a)
    height -= 0.016 * bump(a, v, (0.0, base + 0.10), (0.028, 0.06))
    return height


def _lids(eyes: Eyes) -> Field:
    near = np.exp(-(eyes.along**4))
    ball = 0.060 * np.exp(-((eyes.along / 0.95) ** 2) - (eyes.y / 0.10) ** 2)
    fold = -0.014 * bell(eyes.y - eyes.upper + eyes.gap, 0.016)
    edge = 0.006 * bell(eyes.y - eyes.upper + 0.012, 0.012)
    below = -0.008 * bell(eyes.y - eyes.lower - 0.075, 0.03)
    rim = 0.006 * bell(eyes.y - eyes.lower - 0.014, 0.014)
    height: Field = ball + near * (fold + edge + below + rim)
    return height


def _lips(mouth: Mouth) -> Field:
    arch = np.clip(1.0 - mouth.along**2, 0.0, 1.0)
    upper = 0.35 * mouth.upper_outer + 0.65 * mouth.upper_inner
    lower = 0.5 * (mouth.lower_outer + mouth.lower_inner)
    height = 0.030 * arch * bell(mouth.y - upper, 0.036)
    height += 0.045 * arch * bell(mouth.y - lower, 0.042)
    # The groove above the chin, and the dimples beside the lip corners.
    height -= 0.045 * arch * bell(mouth.y - mouth.lower_outer - 0.055, 0.05)
    height -= 0.020 * bump(np.abs(mouth.along), mouth.y, (1.03, mouth.corner), (0.10, 0.035))
    inside = np.clip(-mouth.opening * 20.0, 0.0, 1.0)
    return height * (1.0 - inside) - 0.03 * inside


def _soft_parts(
    a: Field, v: Field, identity: Identity, units: ActionUnits, nose: Nose, mouth: Mouth
) -> Field:
    pull = max(units.lip_corner_pull, 0.8 * units.cheek_raise)
    height = 0.060 * pull * bump(a, v, (0.47, 0.29), (0.17, 0.13))
    strength = 0.05 + 0.3 * identity.age + 0.75 * units.lip_corner_pull
    strength += 0.6 * units.upper_lip_raise + 0.65 * units.nose_wrinkle + 0.2 * units.lip_stretch
    strength = min(strength, 1.2)
    v_low = mouth.at + mouth.corner + 0.03
    share = np.clip((v - nose.base + 0.05) * (1.0 / (v_low - nose.base + 0.05)), -0.3, 1.3)
    fold_u = nose.width + 0.02 + (mouth.half_width + 0.065 - nose.width) * share
    fold_u = fold_u + 0.035 * units.lip_corner_pull * 4.0 * share * (1.0 - share)
    window = step(-0.25, 0.1, share) * step(1.3, 0.75, share)
    off = a - fold_u
    height -= 0.022 * strength * window * bell(off, 0.034)
    height += 0.026 * strength * window * bell(off - 0.085, 0.085)
    # Lowered lip corners form a fold towards the jaw; a raised chin bulges.
    corner_u = mouth.half_width + 0.02
    down = units.lip_corner_depress + 0.25 * identity.age
    height -= (
        0.018 * down * bump(a - 0.25 * (v - v_low), v, (corner_u, v_low + 0.07), (0.022, 0.08))
    )
    height += 0.05 * units.chin_raise * bump(a, v, (0.0, identity.chin - 0.17), (0.15, 0.08))
    height -= 0.02 * units.lip_stretch * bump(a, v, (corner_u + 0.05, v_low), (0.03, 0.13))
    return height


def _wrinkles(
    a: Field, u: Field, v: Field, identity: Identity, units: ActionUnits, eyes: Eyes
) -> Field:
    wear = 0.35 + 0.65 * identity.age
    height = np.zeros_like(a)
    raised = 0.5 * (units.inner_brow_raise + units.outer_brow_raise)
    if raised > 0.1:
        wave = np.sin((v + 0.05 * np.cos(5.0 * u)) * (2.0 * np.pi / 0.095))
        spread = 0.25 + 0.35 * units.outer_brow_raise
        height += 0.0075 * raised * wear * wave * bump(u, v, (0.0, -0.53), (spread, 0.13))
    furrow = units.brow_lower
    if furrow > 0.1:
        height -= 0.024 * furrow * bump(a, v, (0.055, -0.20), (0.026, 0.10))
        height += 0.022 * furrow * bump(a, v, (0.12, -0.17), (0.05, 0.06))
    if units.nose_wrinkle > 0.1:
        folds = np.sin((v + 0.5 * a) * (2.0 * np.pi / 0.065))
        area = bump(a, v, (0.03, -0.02), (0.09, 0.09))
        height += 0.011 * units.nose_wrinkle * folds * area
        height -= 0.02 * units.nose_wrinkle * bump(a - 0.4 * v, v, (0.10, 0.10), (0.022, 0.09))
    squint = 0.7 * units.cheek_raise + 0.35 * units.lid_tighten + 0.25 * identity.age
    if squint > 0.1:
        under = eyes.y - eyes.lower - 0.045
        height -= 0.012 * squint * bell(under, 0.016) * np.exp(-((eyes.along - 0.1) ** 4))
        rays = np.sin(np.arctan2(eyes.y, eyes.along - 0.7) * 11.0)
        area = bump(eyes.along, eyes.y, (1.55, 0.0), (0.35, 0.10))
        height += 0.0065 * squint * wear * rays * area
    return height


@dataclass(frozen=True)
class Shading:
    """Light on a surface.

    Attributes:
        diffuse: Factor of the albedo, shape (3, H, W).
        gloss: Specular reflection, shape (H, W).
    """

    diffuse: Planes
    gloss: Field


_SKIN_WRAP = (0.38, 0.24, 0.18)
"""Subsurface scattering of skin past the terminator, in red, green and blue."""

_PLAIN_WRAP = (0.2, 0.2, 0.2)


def shade(
    height: Field, light: Light, pixel: float, *, skin: bool = True, cast: bool = True
) -> Shading:
    """Shades a relief.

    Args:
        height: Height towards the viewer in face units.
        light: Lights of the scene.
        pixel: Size of a pixel in face units.
        skin: Whether to apply subsurface scattering.
        cast: Whether to apply ambient occlusion and cast shadows.
    """
    down, right = np.gradient(height, np.float32(pixel))
    length = 1.0 / np.sqrt(right * right + down * down + 1.0)
    lx, ly, lz = light.direction
    norm = math.hypot(lx, ly, lz + 1.0)
    facing = (lz - lx * right - ly * down) * length
    # Blinn's half vector, between the directions to the light and the viewer
    shine = np.clip((lz + 1.0 - lx * right - ly * down) * length * (1.0 / norm), 0.0, 1.0)
    shine = shine**2
    broad = shine**4
    tight = broad * broad
    gloss = 0.22 * tight + 0.22 * tight * tight * tight

    key, open_sky = light.key, light.ambient
    if cast:
        shadow = _cast_shadow(height, light, pixel)
        key_light = key * (1.0 - 0.75 * shadow)
        hollow = blur(height, 0.085 / pixel) - height
        sky = open_sky * np.clip(1.0 - 5.5 * np.clip(hollow, 0.0, 1.0), 0.35, 1.0)
        gloss *= 1.0 - shadow
    else:
        key_light, sky = np.full_like(height, key), np.full_like(height, open_sky)
    # Ambient light comes mainly from above, so surfaces that face down get less.
    sky = sky * (0.85 - 0.25 * down * length)
    fill = (
        0.16 * key * np.clip((0.5 * lz + 0.9 * math.copysign(1.0, lx) * right) * length, 0.0, 1.0)
    )
    diffuse = np.empty((3, *height.shape), dtype=np.float32)
    for channel, wrap in enumerate(_SKIN_WRAP if skin else _PLAIN_WRAP):
        lit = np.clip((facing + wrap) * (1.0 / (1.0 + wrap)), 0.0, 1.0)
        diffuse[channel] = key_light * lit * light.tint[channel] + sky + fill
    return Shading(diffuse, gloss * (light.gloss * key))


def _cast_shadow(height: Field, light: Light, pixel: float) -> Field:
    """Marches from each point towards the light; relief above the ray casts a shadow."""
    lx, ly, lz = light.direction
    flat = math.hypot(lx, ly)
    if flat < 0.05:
        return np.zeros_like(height)
    slope = lz / flat
    blocked = np.zeros_like(height)
    for distance in (0.05, 0.09, 0.14, 0.20, 0.27):
        dx = round(distance * lx / flat / pixel)
        dy = round(distance * ly / flat / pixel)
        above = _shifted(height, dx, dy) - height - np.float32(slope * distance)
        np.maximum(blocked, above, out=blocked)
    return blur(np.clip(blocked * 14.0, 0.0, 1.0), 0.022 / pixel)


def _shifted(field: Field, dx: int, dy: int) -> Field:
    """Returns the field shifted by `dx` pixels to the left and `dy` up, padded with 0."""
    height, width = field.shape
    moved = np.zeros_like(field)
    moved[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)] = field[
        max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)
    ]
    return moved


def apply(albedo: Planes, shading: Shading, gloss: float | Field = 1.0) -> Planes:
    """Returns the colour of a surface with this albedo under this shading."""
    white = planes((1.0, 0.98, 0.95))
    colour: Planes = albedo * shading.diffuse + white * (shading.gloss * gloss)
    return colour
