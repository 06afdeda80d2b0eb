"""Colours of a face: skin, brows, eyes, lips, inside of the mouth, and beard."""

import numpy as np

from fer_core.synthetic.action_units import ActionUnits
from fer_core.synthetic.field import (
    Field,
    Planes,
    Rgb,
    bell,
    bump,
    cover,
    grain,
    lay,
    mottle,
    planes,
    step,
)
from fer_core.synthetic.identity import Beard, Identity
from fer_core.synthetic.shapes import IRIS, Brows, Eyes, Head, Mouth, Nose

_SCLERA: Rgb = (0.72, 0.69, 0.66)
_TEETH: Rgb = (0.80, 0.75, 0.66)
_THROAT: Rgb = (0.035, 0.008, 0.008)
_TONGUE: Rgb = (0.36, 0.10, 0.09)


def scaled(colour: Rgb, factor: float) -> Rgb:
    """Returns a colour multiplied by a factor."""
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


def skin(head: Head, identity: Identity, rng: np.random.Generator) -> Planes:
    """Returns the albedo of the skin, with ruddy and tanned areas."""
    a, v = np.abs(head.u), head.v
    shape = head.u.shape
    albedo = np.empty((3, *shape), dtype=np.float32)
    albedo[:] = planes(identity.skin)
    red = bump(a, v, (0.47, 0.30), (0.22, 0.17)) + 0.7 * bump(
        a, v, (0.0, identity.nose_length - 0.07), (0.14, 0.10)
    )
    red = red + 0.3 * bump(a, v, (0.0, identity.chin - 0.12), (0.2, 0.12))
    ruddy = red * np.float32(0.30 * identity.ruddiness)
    albedo[0] *= 1.0 + 0.12 * ruddy
    albedo[1] *= 1.0 - 0.75 * ruddy
    albedo[2] *= 1.0 - 0.65 * ruddy
    around_eyes = bump(a, v, (identity.eye_x - 0.05, 0.03), (0.22, 0.13))
    albedo *= 1.0 - (0.10 + 0.14 * identity.age) * around_eyes
    albedo *= 1.0 + 0.025 * mottle(rng, shape, 14)
    if identity.freckles > 0.0:
        spots = step(1.1, 2.0, mottle(rng, shape, 90)) * bump(a, v, (0.3, 0.2), (0.4, 0.22))
        lay(albedo, scaled(identity.skin, 0.42), spots * np.float32(0.6 * identity.freckles))
    return albedo


def lips(albedo: Planes, mouth: Mouth, identity: Identity, pixel: float) -> Field:
    """Paints the lips and the inside of the mouth.

    Returns:
        Gloss factor of the mouth, which multiplies the gloss of the light.
    """
    outline = cover(mouth.lips, pixel)
    soft = np.clip(0.5 - mouth.lips * (1.0 / 0.018), 0.0, 1.0)
    lay(albedo, identity.lip_colour, np.minimum(outline, soft) * 0.88)
    upper = cover(mouth.y - mouth.middle, 0.02) * outline
    albedo *= 1.0 - 0.14 * upper
    creases = np.sin(mouth.along * 70.0) * np.clip(1.0 - mouth.along**2, 0.0, 1.0)
    albedo *= 1.0 - 0.03 * creases * outline

    closed = min(1.0, max(0.0, 1.0 - mouth.gape * 40.0))
    line = bell(mouth.y - mouth.middle, 0.011) * step(1.08, 0.9, np.abs(mouth.along))
    lay(albedo, scaled(identity.lip_colour, 0.10), line * (0.35 + 0.5 * closed))

    opening = cover(mouth.opening, pixel)
    if mouth.gape > 0.015:
        _inside(albedo, mouth, opening, pixel)
    return 1.0 + 0.9 * outline * (1.0 - upper) - opening


def _inside(albedo: Planes, mouth: Mouth, opening: Field, pixel: float) -> None:
    inside = np.empty_like(albedo)
    inside[:] = planes(_THROAT)
    reach = np.abs(mouth.along)
    tongue = mouth.y - (mouth.lower_inner - 0.45 * mouth.gape + 0.05 * mouth.along**2)
    if mouth.gape > 0.12:
        lay(inside, _TONGUE, step(-0.01, 0.05, tongue) * step(0.95, 0.6, reach))
    # The upper teeth are visible as soon as the lips part and do not move with the jaw.
    edge = mouth.upper_inner + 0.012 + min(0.075, 0.8 * mouth.gape) * (1.0 - 0.25 * reach**2)
    teeth = cover(mouth.y - edge, pixel) * step(0.97, 0.80, reach)
    gaps = bell(np.abs((mouth.along * 5.5) % 1.0 - 0.5) - 0.5, 0.07)
    colour = planes(_TEETH) * (1.0 - 0.45 * step(0.25, 0.95, reach) - 0.28 * gaps)
    lay(inside, colour.astype(np.float32), teeth)
    if 0.05 < mouth.gape < 0.2:
        lower = cover(mouth.lower_inner - 0.030 - mouth.y, pixel) * step(0.85, 0.65, reach)
        lower = lower * np.clip(1.0 - teeth, 0.0, 1.0) * cover(edge + 0.008 - mouth.y, pixel)
        lay(inside, (colour * 0.62).astype(np.float32), lower)
    under_lip = bell(np.minimum(mouth.y - mouth.upper_inner, 0.12), 0.035)
    inside *= 1.0 - 0.6 * under_lip
    lay(albedo, inside, opening)


def nostrils(albedo: Planes, head: Head, nose: Nose, identity: Identity) -> None:
    """Paints the nostrils and the shadow under the nose."""
    a, v = np.abs(head.u), head.v
    at = (nose.width * 0.47, nose.base + 0.004)
    hole = bump(a + 0.35 * (v - at[1]), v, at, (nose.width * 0.28, 0.022))
    lay(albedo, scaled(identity.skin, 0.06), np.clip(hole * 1.25, 0.0, 1.0) * 0.85)


def eyes(
    albedo: Planes, shape: Eyes, identity: Identity, units: ActionUnits, pixel: float
) -> Field:
    """Paints eyeballs, lids and lashes.

    Returns:
        Coverage of the opening between the lids.
    """
    opening = cover(shape.opening, pixel)
    ball = np.empty_like(albedo)
    ball[:] = planes(_SCLERA)
    ball *= 1.0 - 0.30 * step(0.45, 1.05, np.abs(shape.along))
    corner = bump(shape.along, shape.y, (-0.95, 0.01), (0.14, 0.03))
    lay(ball, (0.42, 0.16, 0.14), corner * 0.7)

    edge = pixel / IRIS
    lay(ball, scaled(identity.iris, 0.30), cover(shape.iris - 1.0, edge * 1.3))
    glow = 0.75 + 0.75 * step(0.3, 0.9, shape.iris) * step(-0.04, 0.07, shape.y)
    lay(ball, (planes(identity.iris) * glow).astype(np.float32), cover(shape.iris - 0.86, edge))
    lay(ball, (0.006, 0.005, 0.005), cover(shape.iris - 0.42, edge * 1.2))
    # Lid and lashes cast a shadow on the upper part of the eyeball.
    ball *= 1.0 - 0.62 * bell(np.maximum(shape.y - shape.upper, 0.0), 0.030)
    lay(albedo, ball, opening)

    reach = step(1.18, 0.92, np.abs(shape.along))
    thick = 0.0085 + 0.008 * identity.lashes
    lashes = bell(shape.y - shape.upper + 0.004, thick) * reach
    outer = 0.65 + 0.35 * step(-0.9, 0.6, shape.along)
    lay(albedo, (0.012, 0.009, 0.008), lashes * outer * np.float32(0.80 + 0.15 * identity.lashes))
    lower = bell(shape.y - shape.lower - 0.004, 0.008) * reach * step(-0.9, 0.7, shape.along)
    lay(albedo, scaled(identity.skin, 0.15), lower * np.float32(0.35 + 0.35 * identity.lashes))
    fold = bell(shape.y - shape.upper + shape.gap, 0.011) * step(1.25, 0.8, np.abs(shape.along))
    open_share = 1.0 - 0.6 * units.lid_droop
    lay(albedo, scaled(identity.skin, 0.22), fold * np.float32(0.55 * open_share))
    return opening


def catchlights(picture: Planes, shape: Eyes, opening: Field, pixel: float, key: float) -> None:
    """Adds the reflections of the light in the eyes, after shading."""
    spot = cover(shape.catchlight - 0.017, pixel) * opening
    lay(picture, (0.9, 0.9, 0.9), spot * np.float32(min(1.0, 0.55 + 0.4 * key)))


def brows(
    albedo: Planes, head: Head, shape: Brows, identity: Identity, rng: np.random.Generator
) -> Field:
    """Paints the hairs of the brows.

    Returns:
        Coverage of the brows' outline.
    """
    table = rng.standard_normal(256).astype(np.float32)
    outline = cover(shape.distance, head.pixel)
    soft = np.clip(0.35 - shape.distance * (1.0 / 0.024), 0.0, 1.0)
    lean = shape.along * 26.0 + shape.across * (55.0 - 75.0 * np.clip(shape.along, 0.0, 1.0))
    hairs = grain(table, lean, 2.3)
    density = np.clip(0.88 + 0.16 * hairs, 0.0, 1.0) * step(-0.06, 0.14, shape.along)
    colour = scaled(identity.hair_colour, 0.55)
    # Even fair brows are darker than the skin.
    limit = 0.30 * sum(identity.skin) / max(sum(colour), 1e-6)
    colour = scaled(colour, min(1.0, limit))
    lay(albedo, colour, soft * density * np.float32(0.72 + 0.25 * identity.brow_density))
    return outline


def beard(
    albedo: Planes, head: Head, identity: Identity, mouth: Mouth, rng: np.random.Generator
) -> None:
    """Paints beard, moustache or stubble, and the shaved scalp of a buzz cut."""
    if identity.beard is Beard.NONE:
        return
    u, v, a = head.u, head.v, np.abs(head.u)
    lip_clear = step(0.0, 0.035, mouth.lips)
    fine = mottle(rng, u.shape, 190)
    ragged = 0.012 * fine
    top = identity.nose_length + 0.08
    half = mouth.half_width
    moustache = step(top - 0.01, top + 0.035, v + 0.10 * a + ragged)
    moustache = moustache * step(0.04, 0.0, mouth.y - mouth.corner + ragged)
    moustache = moustache * step(half * 1.30, half * 0.98, a - 0.15 * (v - top) + ragged)
    jaw_line = 0.26 + 0.64 * step(0.84, 0.36, a)
    cheeks = step(0.0, 0.12, v - jaw_line + ragged)
    # Rounded towards the chin, widest beside the mouth, with a bare spot under the lower lip.
    below = mouth.y - mouth.corner
    chin = step(1.05, 0.86, a / half + 1.1 * np.clip(below - 0.12, 0.0, 1.0) ** 2 + 3.0 * ragged)
    chin = chin * step(-0.03, 0.03, below)
    spot = bump(u, mouth.y - mouth.lower_outer, (0.0, 0.03), (0.16, 0.035))
    chin = chin * (1.0 - 0.75 * spot)
    cheeks = cheeks * (1.0 - 0.75 * spot)
    coverage_by_style = {
        Beard.STUBBLE: np.maximum(moustache, np.maximum(cheeks, chin)),
        Beard.FULL: np.maximum(moustache, np.maximum(cheeks, chin)),
        Beard.GOATEE: np.maximum(moustache, chin),
        Beard.MOUSTACHE: moustache,
    }[identity.beard]
    strength = 0.36 if identity.beard is Beard.STUBBLE else 0.86
    texture = np.clip(0.88 + 0.08 * fine, 0.0, 1.0)
    lay(
        albedo,
        scaled(identity.hair_colour, 0.75),
        coverage_by_style * lip_clear * texture * strength,
    )
