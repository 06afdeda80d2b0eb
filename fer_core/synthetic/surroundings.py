"""Surroundings of a face: background, body, ears, hair, glasses and occluders."""

import math
from dataclasses import dataclass

import numpy as np

from fer_core.synthetic.field import (
    Field,
    Planes,
    bell,
    blur,
    bump,
    cover,
    grain,
    lay,
    mottle,
    planes,
    step,
)
from fer_core.synthetic.identity import Hair, Identity
from fer_core.synthetic.paint import scaled
from fer_core.synthetic.relief import apply, shade
from fer_core.synthetic.scene import Light, Occluder, Scene
from fer_core.synthetic.shapes import Head


def backdrop(side: int, scene: Scene, rng: np.random.Generator) -> Planes:
    """Returns a blurred background with a soft gradient and a few patches."""
    line = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    lx, ly, _ = scene.light.direction
    weight = np.clip(0.5 + 0.35 * (lx * x + ly * y) + 0.22 * mottle(rng, x.shape, 3), 0.0, 1.0)
    first, second = planes(scene.backdrop[0]), planes(scene.backdrop[1])
    picture: Planes = second + weight * (first - second)
    for _ in range(int(rng.integers(0, 4))):
        at, radius = rng.uniform(-1, 1, 2).tolist(), float(rng.uniform(0.1, 0.35))
        ring = np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2)
        disc = step(radius * 1.1, radius * 0.85, ring)
        picture *= 1.0 + disc * np.float32(rng.uniform(-0.18, 0.25))
    picture *= (0.6 + 0.5 * scene.light.key) * (1.0 - 0.16 * (x * x + y * y))
    return picture


def body(picture: Planes, head: Head, identity: Identity, light: Light) -> None:
    """Draws neck, shoulders and clothes."""
    x, y, pixel = head.x, head.y, head.pixel
    if float(y.max()) < identity.chin * 0.6:
        return
    neck = 0.40 + 0.12 * identity.jaw_square
    slope = np.clip(y - 1.22, 0.0, 1.0)
    half = neck + 0.30 * slope * slope + 0.03 * bell(y - 0.75, 0.35)
    outline = cover(np.maximum(np.abs(x) - half, 0.3 - y), pixel)
    across = np.clip(x / half, -0.98, 0.98)
    height = 0.40 * np.sqrt(1.0 - across * across)
    height += 0.025 * bump(np.abs(x) - 0.30 * (1.75 - y), y, (0.10, 1.50), (0.07, 0.30))
    skin = np.empty((3, *x.shape), dtype=np.float32)
    skin[:] = planes(scaled(identity.skin, 0.92))
    under_chin = step(0.42, 0.02, y - _chin_line(head, identity) + 0.25 * light.direction[0] * x)
    skin *= 1.0 - 0.70 * under_chin
    lay(picture, apply(skin, shade(height, light, pixel, cast=False), 0.12), outline)

    if float(y.max()) < 1.35:
        return
    wide = 1.52 + 0.12 * identity.jaw_square
    bow = np.clip(np.abs(x) / wide, 0.0, 1.4)
    shoulder = 1.52 + 0.42 * bow**3 - 0.10 * bell(np.abs(x) - 0.45, 0.22)
    collar = _collar(x, y, identity, neck)
    cloth = np.maximum(np.maximum(shoulder - y, collar), np.abs(x) - wide - 0.25 * (y - 1.6))
    fabric = np.empty_like(skin)
    fabric[:] = planes(identity.clothes)
    fabric *= 1.0 - 0.35 * bell(collar + 0.045, 0.012)
    folds = 0.03 * np.sin(9.0 * np.abs(x) + 5.0 * y) * step(1.5, 2.2, y) * step(0.0, 0.4, np.abs(x))
    round_body = 0.65 * np.sqrt(np.clip(1.0 - (x / (wide + 0.25)) ** 2, 0.02, 1.0))
    drop = 0.22 * step(shoulder_top := 1.35, shoulder_top + 0.6, y - 0.35 * bow**3)
    lit = shade(round_body + folds + drop, light, pixel, skin=False, cast=False)
    coverage = cover(cloth, pixel)
    shadow = blur(coverage, 0.04 / pixel)
    picture *= 1.0 - 0.35 * shadow * (1.0 - coverage) * outline
    lay(picture, apply(fabric, lit, 0.06), coverage)


def _chin_line(head: Head, identity: Identity) -> Field:
    """Returns the approximate y of the lower edge of the jaw for each x."""
    share = np.clip(np.abs(head.x) / (identity.half_width * 0.98), 0.0, 1.0)
    line: Field = identity.chin * np.sqrt(1.0 - 0.75 * share * share)
    return line


def _collar(x: Field, y: Field, identity: Identity, neck: float) -> Field:
    """Signed distance to the neckline, negative below it."""
    if identity.collar == 0:
        return 1.66 - 0.9 * np.clip(np.abs(x) - 0.1, 0.0, None) ** 2 - y
    if identity.collar == 1:
        return (2.05 - 1.0 * np.abs(x) - y) * 0.75
    return 1.42 + 0.35 * step(neck, 0.0, np.abs(x)) - y


def ears(picture: Planes, head: Head, identity: Identity, scene: Scene) -> None:
    """Draws the ears; yaw hides part of the far ear."""
    turn = math.sin(scene.pose.yaw)
    width = 0.105 * np.clip(1.0 + 1.8 * turn * np.sign(head.x), 0.25, 1.4)
    a = np.abs(head.x) - (identity.half_width * 0.985)
    y = head.y - 0.13 - 0.5 * math.sin(scene.pose.pitch)
    ring = np.sqrt(
        ((a - 0.015) / width) ** 2 + ((y + 0.25 * a) / (0.235 - 0.05 * step(0, 0.2, y))) ** 2
    )
    coverage = cover((ring - 1.0) * 0.10, head.pixel)
    height = 0.10 * np.sqrt(np.clip(1.0 - ring * ring, 0.02, 1.0)) + 0.03 * bell(ring - 0.75, 0.16)
    height = height - 0.05 * bump(a, y, (0.0, 0.02), (0.04, 0.09))
    skin = np.empty((3, *ring.shape), dtype=np.float32)
    skin[:] = planes(identity.skin) * np.array((1.0, 0.85, 0.82), np.float32).reshape(3, 1, 1)
    skin *= 1.0 - 0.45 * bump(a, y, (0.0, 0.02), (0.05, 0.10))
    lay(picture, apply(skin, shade(height, scene.light, head.pixel, cast=False), 0.4), coverage)


@dataclass(frozen=True)
class HairLayers:
    """Unlit hair.

    Attributes:
        back: Coverage of the hair behind head and neck.
        front: Coverage of the hair over the head.
        colour: Unlit colour with strands.
        height: Relief of the hair.
    """

    back: Field
    front: Field
    colour: Planes
    height: Field


_VOLUME = {
    Hair.BALD: 0.0,
    Hair.BUZZ: 0.015,
    Hair.SHORT: 0.085,
    Hair.SWEPT: 0.12,
    Hair.FRINGE: 0.11,
    Hair.BUN: 0.055,
    Hair.CURLY: 0.25,
    Hair.BOB: 0.14,
    Hair.LONG: 0.13,
}
"""Thickness of the hair over the head."""

_ENDS = {Hair.BOB: 0.98, Hair.LONG: 2.15, Hair.CURLY: 0.42}
"""y of the lower edge of hair that also falls behind the neck."""


def hair_layers(head: Head, identity: Identity, rng: np.random.Generator) -> HairLayers | None:
    """Returns the hair; None for a bald head."""
    style = identity.hair
    table = rng.standard_normal(256).astype(np.float32)
    if style is Hair.BALD:
        return None
    x = head.x
    radius = _hair_radius(head, identity)
    clumps = mottle(rng, x.shape, 22)
    ends = _ENDS.get(style, 0.14)
    strands = 0.5 * grain(table, radius * 10.0 if ends > 0.2 else x * 10.0, 2.0)
    outline = _hair_outline(head, style, radius, clumps, ends + 0.03 * strands)

    curly = style in (Hair.CURLY, Hair.BUZZ)
    flow = _flow(head, identity, radius) + 0.011 * clumps
    fine = 0.6 * mottle(rng, x.shape, 60) if curly else grain(table, flow, 110.0)
    coarse = clumps if curly else grain(table, flow, 24.0)
    skin_distance = _bare_skin(head, identity, strands, clumps)
    outline = outline + 0.006 * fine
    # The hairline is soft and ragged along the strands.
    growth = step(-0.035, 0.03, skin_distance + 0.016 * fine)
    front = cover(outline, head.pixel) * growth * (0.75 if style is Hair.BUZZ else 1.0)

    band = bell(np.clip(radius, 0.0, 2.0) - 0.86, 0.11) * step(0.1, -0.5, head.y)
    shine = 0.0 if curly else 0.55
    tone = 1.0 + 0.15 * fine + 0.16 * coarse + shine * band * (1.0 + 0.5 * fine)
    tone = np.clip(tone, 0.3, 2.2) * (0.6 + 0.4 * step(0.0, 0.16, np.abs(skin_distance)))
    colour = (planes(identity.hair_colour) * tone).astype(np.float32)
    height = 0.75 * np.sqrt(np.clip(1.0 - 0.95 * radius * radius, 0.02, 1.0))
    height = height + (0.03 if style is Hair.CURLY else 0.004) * coarse
    return HairLayers(_hair_behind(head, style, outline), front, colour, height)


def _hair_radius(head: Head, identity: Identity) -> Field:
    """Returns the distance from the head's centre: 1 on the outside of the hair."""
    volume = _VOLUME[identity.hair]
    lift = 0.06 if identity.hair is Hair.SWEPT else 0.0
    upward = np.minimum(head.y + 0.05, 0.0) * (1.0 / (1.20 + volume + lift))
    sideways = head.x * (1.0 / (identity.half_width + 0.02 + 0.75 * volume))
    radius: Field = np.sqrt(sideways * sideways + upward * upward)
    return radius


def _hair_outline(head: Head, style: Hair, radius: Field, clumps: Field, ends: Field) -> Field:
    """Returns the signed distance to the hair's outline; `ends` is the y of its lower edge."""
    outer = (radius - 1.0) * 0.95
    if style is Hair.CURLY:
        outer = outer + 0.022 * clumps
    flare = 0.07 * step(0.2, 0.9, head.y) if style in (Hair.BOB, Hair.LONG) else 0.0
    outline: Field = np.maximum(outer - flare, head.y - ends)
    return outline


def _hair_behind(head: Head, style: Hair, outline: Field) -> Field:
    """Returns the coverage of the hair behind head and neck."""
    if style in _ENDS:
        return cover(outline, head.pixel)
    behind = cover(np.maximum(outline, head.y), head.pixel)
    if style is not Hair.BUN:
        return behind
    knot = np.sqrt((head.x / 0.36) ** 2 + ((head.y + 1.36) / 0.27) ** 2)
    return np.maximum(behind, cover((knot - 1.0) * 0.3, head.pixel))


def _bare_skin(head: Head, identity: Identity, strands: Field, clumps: Field) -> Field:
    """Returns the signed distance to the skin that is free of hair, negative inside."""
    u, v, a = head.u, head.v, np.abs(head.u)
    style, line = identity.hair, identity.hairline
    part = u - identity.parting
    side = identity.half_width - 0.05
    top = {
        Hair.FRINGE: -0.43 + 0.10 * u * u + 0.05 * strands,
        Hair.BOB: line + 0.42 * part * part,
        Hair.LONG: line + 0.50 * part * part,
        Hair.SWEPT: line - 0.02 + 0.10 * u * identity.parting + 0.16 * u * u + 0.015 * strands,
        Hair.CURLY: line + 0.03 + 0.15 * u * u + 0.03 * clumps,
    }.get(style, line + 0.22 * u * u + 0.012 * strands)
    if style in (Hair.BOB, Hair.LONG):
        curtain = side - 0.02 - 0.12 * step(-0.1, 0.9, v)
        return np.maximum(top - v, a - curtain)
    temple = side - 0.015 + 0.10 * step(-0.1, 0.14, v) + 0.3 * step(0.10, 0.16, v)
    return np.maximum(top - v, a - temple)


def _flow(head: Head, identity: Identity, radius: Field) -> Field:
    """Returns a coordinate that is constant along a strand."""
    if identity.hair in (Hair.SHORT, Hair.SWEPT, Hair.BUN):
        return np.arctan2(head.x - identity.parting * 0.6, 0.35 - head.y) * 0.8
    if identity.hair is Hair.FRINGE:
        return np.arctan2(head.x - identity.parting * 0.4, head.y + 2.0) * 1.5
    return radius + 0.04 * np.sin(3.0 * head.y)


def glasses(picture: Planes, head: Head, identity: Identity, light: Light) -> Field:
    """Draws glasses.

    Returns:
        Coverage of the frame; the lenses are transparent.
    """
    a, v = np.abs(head.u), head.v
    half_w, half_h = 0.285, 0.20 + 0.03 * identity.glasses_round
    dx, dy = (a - identity.eye_x - 0.015) / half_w, (v - 0.035) / half_h
    round_lens = np.sqrt(dx * dx + dy * dy)
    square_lens = np.sqrt(np.sqrt(dx**4 + dy**4))
    share = 0.25 + 0.75 * identity.glasses_round
    lens = (square_lens + share * (round_lens - square_lens) - 1.0) * half_h
    thick = 0.019
    rim = np.abs(lens) - thick
    bridge = np.maximum(np.abs(v + 0.055 - 0.5 * a * a) - thick, a - 0.10)
    temple = np.maximum(np.abs(v + 0.035) - thick, 0.66 - a)
    frame_distance = np.minimum(rim, np.minimum(bridge, temple))
    inside = step(1.04, 0.98, head.gauge)
    frame = cover(frame_distance, head.pixel) * inside
    shadow = blur(np.roll(frame, (max(1, round(0.03 / head.pixel)), 0), (0, 1)), 0.015 / head.pixel)
    picture *= 1.0 - 0.35 * shadow * (1.0 - frame)
    glint = bell(dx + 0.8 * dy - 0.55, 0.16) * cover(lens, head.pixel)
    picture += 0.035 * light.key * glint
    bright = 1.0 + 0.8 * bell(frame_distance + 0.012, 0.006)
    colour = (
        planes(scaled(identity.glasses_colour, 0.7)) * bright * (light.ambient + 0.5 * light.key)
    )
    lay(picture, colour.astype(np.float32), frame)
    return frame


def occluder(
    picture: Planes, head: Head, identity: Identity, scene: Scene, rng: np.random.Generator
) -> Field:
    """Draws the occluder, if any.

    Returns:
        Coverage of the occluder.
    """
    if scene.occluder is Occluder.HAND:
        return _hand(picture, head, identity, scene)
    if scene.occluder is Occluder.STRAND:
        return _strand(picture, head, identity, scene, rng)
    return np.zeros_like(head.x)


def _hand(picture: Planes, head: Head, identity: Identity, scene: Scene) -> Field:
    """Draws a hand over a cheek or the chin: a palm and four fingers as rounded bars."""
    px, py, turn = scene.occluder_place
    side = 1.0 if px >= 0.0 else -1.0
    angle = side * (0.15 + 0.7 * turn)
    cos, sin = math.cos(angle), math.sin(angle)
    x0, y0 = head.x - side * (0.42 + 0.25 * abs(px)), head.y - (0.80 + 0.22 * py)
    x, y = cos * x0 - sin * y0, sin * x0 + cos * y0
    height = np.zeros_like(head.x)
    nearest = np.full_like(head.x, 9.0)
    bars = [(-0.24, -0.42, 0.095), (-0.08, -0.54, 0.10), (0.09, -0.50, 0.10), (0.245, -0.36, 0.09)]
    for bx, tip, radius in bars:
        along = np.clip(y, tip, 0.4)
        across = np.sqrt((x - bx) ** 2 + (y - along) ** 2)
        nearest = np.minimum(nearest, across - radius)
        height = np.maximum(height, np.sqrt(np.clip(radius**2 - across**2, 0.0, 1.0)))
    palm = np.sqrt((x / 0.37) ** 2 + ((y - 0.45) / 0.50) ** 2)
    nearest = np.minimum(nearest, (palm - 1.0) * 0.36)
    height = np.maximum(height, 0.20 * np.sqrt(np.clip(1.0 - palm * palm, 0.0, 1.0)))
    height = blur(height.astype(np.float32), 0.015 / head.pixel)
    coverage = cover(nearest.astype(np.float32), head.pixel)
    picture *= 1.0 - 0.4 * blur(coverage, 0.06 / head.pixel) * (1.0 - coverage)
    skin = np.empty((3, *x.shape), dtype=np.float32)
    skin[:] = planes(identity.skin) * np.array((1.0, 0.9, 0.88), np.float32).reshape(3, 1, 1)
    lay(picture, apply(skin, shade(height, scene.light, head.pixel), 0.5), coverage)
    return coverage


def _strand(
    picture: Planes, head: Head, identity: Identity, scene: Scene, rng: np.random.Generator
) -> Field:
    """Draws a strand of hair over an eye."""
    px, py, bend = scene.occluder_place
    side = 1.0 if px >= 0.0 else -1.0
    fall = np.clip((head.y + 1.0) * (1.0 / 1.5), 0.0, 1.2)
    centre = side * (0.05 + 0.25 * abs(px) + (0.35 + 0.2 * bend) * np.sin(fall * 1.9))
    width = (0.10 + 0.05 * abs(py)) * np.sqrt(np.clip(1.05 - fall, 0.0, 1.0))
    off = head.x - centre
    top = -1.12 - head.y
    distance = np.maximum(np.abs(off) - width, top)
    coverage = cover(distance.astype(np.float32), head.pixel)
    table = rng.standard_normal(256).astype(np.float32)
    tone = 1.0 + 0.28 * grain(table, (off / np.maximum(width, 0.02)).astype(np.float32), 6.0)
    height = 0.08 * np.sqrt(np.clip(1.0 - (off / np.maximum(width, 0.01)) ** 2, 0.0, 1.0))
    colour = (planes(identity.hair_colour) * tone).astype(np.float32)
    picture *= 1.0 - 0.35 * blur(coverage, 0.04 / head.pixel) * (1.0 - coverage)
    lit = shade(height.astype(np.float32), scene.light, head.pixel, skin=False, cast=False)
    lay(picture, apply(colour, lit, 0.3), coverage)
    return coverage
