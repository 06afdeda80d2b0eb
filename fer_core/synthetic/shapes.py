"""Geometry of facial features from identity, action units and pose.

Feature coordinates (u, v) are attached to the head: u is 0 on the ridge of the nose, v is 0 on the
line of the eyes. Both sides of the face are computed together from |u|.
"""

import math
from dataclasses import dataclass

import numpy as np

from fer_core.synthetic.action_units import ActionUnits
from fer_core.synthetic.field import Field, bell, step
from fer_core.synthetic.identity import Identity
from fer_core.synthetic.scene import Camera, Pose

_MIDDLE = -0.05
_CROWN = 1.20
_DEPTH = 0.82


@dataclass(frozen=True)
class Head:
    """Outline and surface of the head on the pixel grid.

    Attributes:
        x: Horizontal coordinate in the head plane, rotated by the roll.
        y: Vertical coordinate in the head plane, downwards.
        u: Horizontal feature coordinate.
        v: Vertical feature coordinate, downwards.
        gauge: 0 in the centre of the head, 1 on its outline.
        depth: Height of the smooth head towards the viewer.
        pixel: Size of a pixel in face units.
    """

    x: Field
    y: Field
    u: Field
    v: Field
    gauge: Field
    depth: Field
    pixel: float

    @property
    def distance(self) -> Field:
        """Signed distance to the outline, negative inside; exact only near the outline."""
        return (self.gauge - 1.0) * 0.9


def shape_head(
    identity: Identity, units: ActionUnits, pose: Pose, camera: Camera, side: int
) -> Head:
    """Computes the head's geometry in an image of `side` x `side` pixels."""
    pixel = 2.0 * camera.half_view / side
    line = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(pixel) - camera.half_view
    right = line[None, :] + np.float32(camera.centre[0])
    down = line[:, None] + np.float32(camera.centre[1])
    cos, sin = math.cos(pose.roll), math.sin(pose.roll)
    x = cos * right + sin * down
    y = cos * down - sin * right

    chin = identity.chin + 0.17 * units.jaw_drop
    below = np.clip((y - _MIDDLE) * (1.0 / (chin - _MIDDLE)), 0.0, 1.6)
    down_share = np.where(y > _MIDDLE, below, (y - _MIDDLE) * (1.0 / _CROWN))
    narrowing = 1.0 - identity.jaw_taper * below * below * (0.45 + 0.55 * below)
    # The taper must stay above zero below the chin, although nothing is drawn there.
    across = x / (identity.half_width * np.maximum(narrowing, 0.2))
    a2, b2 = across * across, down_share * down_share
    round_gauge = np.sqrt(a2 + b2)
    square_gauge = np.sqrt(np.sqrt(a2 * a2 + b2 * b2))
    squareness = 0.24 + 0.5 * identity.jaw_square * step(0.0, 0.5, below)
    gauge = round_gauge + squareness * (square_gauge - round_gauge)
    depth = _DEPTH * np.sqrt(np.clip(1.0 - gauge * gauge, 0.0004, 1.0))

    u = (x - math.sin(pose.yaw) * depth) * (1.0 / math.cos(pose.yaw))
    v = y - math.sin(pose.pitch) * depth
    # Faces are slightly asymmetric: one side is a little higher.
    v = v + identity.skew * u
    return Head(x, y, u, v, gauge, depth, pixel)


@dataclass(frozen=True)
class Eyes:
    """Geometry of both eyes in mirrored coordinates.

    Attributes:
        along: -1 at the inner corner, 1 at the outer corner.
        y: v relative to the eye's axis.
        upper: Edge of the upper lid in y.
        lower: Edge of the lower lid in y.
        opening: Signed distance to the opening between the lids.
        iris: Distance from the iris' centre, in iris radii.
        gap: Distance from the edge of the upper lid to its fold.
    """

    along: Field
    y: Field
    upper: Field
    lower: Field
    opening: Field
    iris: Field
    catchlight: Field
    gap: float


IRIS = 0.088


def shape_eyes(head: Head, identity: Identity, units: ActionUnits, pose: Pose) -> Eyes:
    """Computes the geometry of lids and irises."""
    a = np.abs(head.u)
    sign = np.sign(head.u)
    along = (a - identity.eye_x) * (1.0 / identity.eye_width)
    y = head.v - identity.eye_tilt * along * identity.eye_width
    t2 = along * along
    arch = np.clip(1.0 - t2, -1.0, 1.0)
    dome = 0.5 * (arch + np.sqrt(np.clip(arch, 0.0, 1.0)))
    closing = 1.0 - 0.95 * units.lid_droop
    up = identity.eye_open * (
        0.077
        + 0.055 * units.upper_lid_raise
        - 0.022 * units.lid_tighten
        - 0.016 * units.cheek_raise
        - 0.018 * units.nose_wrinkle
    )
    low = identity.eye_open * (
        0.050
        + 0.008 * units.upper_lid_raise
        - 0.026 * units.lid_tighten
        - 0.030 * units.cheek_raise
        - 0.012 * units.nose_wrinkle
    )
    # Lowered brows press down the inner half of the upper lid; raised inner brows lift it.
    slant = 0.20 - 0.45 * units.brow_lower + 0.40 * units.inner_brow_raise
    top = up * closing + 0.02 * units.lid_droop * (closing - 1.0)
    upper = -top * dome * (1.0 - slant * 0.6 * along)
    lower = max(low, 0.004) * dome * (1.0 + 0.25 * along)
    opening = np.maximum(np.maximum(upper - y, y - lower), (np.abs(along) - 1.0) * 0.2)
    gaze_x, gaze_y = pose.gaze
    du = a - (identity.eye_x - 0.006) - sign * np.float32(gaze_x)
    dv = y - np.float32(gaze_y - 0.012)
    iris = np.sqrt(du * du + dv * dv) * (1.0 / IRIS)
    # The catchlight is on the same side of both eyes, so it uses the unmirrored coordinate.
    catchlight = np.sqrt((sign * du + 0.030) ** 2 + (dv + 0.030) ** 2)
    gap = 0.030 + 0.025 * identity.lid_fold + 0.012 * units.inner_brow_raise
    gap -= 0.010 * units.brow_lower + 0.012 * units.upper_lid_raise
    return Eyes(along, y, upper, lower, opening, iris, catchlight, gap)


@dataclass(frozen=True)
class Brows:
    """Geometry of both brows in mirrored coordinates.

    Attributes:
        along: 0 at the inner end, 1 at the outer end.
        across: v relative to the brow's centre line.
        distance: Signed distance to the brow's outline.
    """

    along: Field
    across: Field
    distance: Field


def shape_brows(head: Head, identity: Identity, units: ActionUnits) -> Brows:
    """Computes the geometry of the brows."""
    a = np.abs(head.u)
    inner = 0.125 - 0.045 * units.brow_lower + 0.01 * units.inner_brow_raise
    outer = identity.eye_x + 0.275
    along = (a - inner) * (1.0 / (outer - inner))
    base = identity.brow_y
    y_inner = base + 0.010
    y_inner += -0.135 * units.inner_brow_raise + 0.105 * units.brow_lower
    y_inner += 0.035 * units.nose_wrinkle
    y_middle = base - identity.brow_arch * 0.8
    y_middle += -0.045 * units.inner_brow_raise - 0.105 * units.outer_brow_raise
    y_middle += 0.075 * units.brow_lower + 0.025 * units.nose_wrinkle
    y_outer = base + 0.035
    y_outer += -0.095 * units.outer_brow_raise + 0.012 * units.brow_lower
    y_outer += 0.01 * units.cheek_raise
    # A parabola through the inner end, 0.55 of the way, and the outer end.
    m = 0.55
    bend = (y_middle - y_inner - m * (y_outer - y_inner)) / (m * m - m)
    slope = y_outer - y_inner - bend
    t = np.clip(along, -0.1, 1.1)
    across = head.v - (y_inner + t * (slope + t * bend))
    thick = (
        identity.brow_thick
        * (0.85 + 0.45 * bell(t - 0.25, 0.35))
        * (1.0 - 0.72 * step(0.5, 1.05, t))
    )
    ends = np.maximum(-along, along - 1.0) * (outer - inner)
    distance = np.maximum(np.abs(across) - thick, ends + 0.4 * np.abs(across))
    return Brows(along, across, distance)


@dataclass(frozen=True)
class Nose:
    """Geometry of the nose.

    Attributes:
        distance: Signed distance to the outline, from the root to below the nostrils.
        base: v of the underside.
        width: Half of the width at the wings.
    """

    distance: Field
    base: float
    width: float


def shape_nose(head: Head, identity: Identity, units: ActionUnits) -> Nose:
    """Computes the geometry of the nose."""
    base = identity.nose_length - 0.030 * units.nose_wrinkle - 0.008 * units.upper_lip_raise
    width = identity.nose_width * (
        1.0
        + 0.10 * units.nose_wrinkle
        + 0.06 * units.lip_corner_pull
        + 0.04 * units.upper_lip_raise
    )
    half = 0.06 + (width - 0.055) * step(0.02, base - 0.05, head.v)
    rounded = base + 0.045 - 0.05 * (head.u / width) ** 2
    distance = np.maximum(np.abs(head.u) - half, np.maximum(head.v - rounded, -0.10 - head.v))
    return Nose(distance, base, width)


@dataclass(frozen=True)
class Mouth:
    """Geometry of lips and mouth opening.

    Attributes:
        along: -1 to 1 between the corners, signed.
        y: v relative to the mouth's middle.
        middle: The line where closed lips meet.
        upper_outer: Upper edge of the upper lip.
        upper_inner: Lower edge of the upper lip.
        lower_inner: Upper edge of the lower lip.
        lower_outer: Lower edge of the lower lip.
        lips: Signed distance to the outline of lips and opening together.
        opening: Signed distance to the opening.
        half_width: Half of the width.
        corner: y of the corners.
        at: v of the mouth's centre.
        gape: Height of the opening at its centre.
    """

    along: Field
    y: Field
    middle: Field
    upper_outer: Field
    upper_inner: Field
    lower_inner: Field
    lower_outer: Field
    lips: Field
    opening: Field
    half_width: float
    corner: float
    at: float
    gape: float


def shape_mouth(head: Head, identity: Identity, units: ActionUnits) -> Mouth:
    """Computes the geometry of the mouth."""
    smile, drop = units.lip_corner_pull, units.jaw_drop
    half_width = _mouth_half_width(identity, units)
    at = identity.mouth_y - 0.035 * units.chin_raise - 0.02 * units.upper_lip_raise + 0.01 * smile
    along = head.u * (1.0 / half_width)
    y = head.v - at
    t2 = np.minimum(along * along, 1.3)
    arch = np.clip(1.0 - t2, 0.0, 1.0)

    rise, fall = _corner_shifts(identity, units)
    middle = rise * t2 + fall * t2 * (0.35 + 0.65 * t2) + 0.008 * bell(along, 0.2)
    up, low = _opening_heights(units)
    upper_inner = middle - up * arch * (1.2 - 0.2 * arch)
    # A jaw drop rounds the opening; a smile keeps the corners sharp.
    lower_inner = middle + low * (arch + drop * (1.0 - 0.7 * smile) * (np.sqrt(arch) - arch))

    upper, lower = _lip_heights(identity, units, along, arch)
    upper_outer = upper_inner - upper
    lower_outer = lower_inner + lower
    ends = (np.abs(along) - 1.0) * half_width
    return Mouth(
        along,
        y,
        middle,
        upper_outer,
        upper_inner,
        lower_inner,
        lower_outer,
        lips=np.maximum(np.maximum(upper_outer - y, y - lower_outer), ends),
        opening=np.maximum(np.maximum(upper_inner - y, y - lower_inner), ends + 0.01),
        half_width=half_width,
        corner=rise + fall,
        at=at,
        gape=up + low,
    )


def _mouth_half_width(identity: Identity, units: ActionUnits) -> float:
    smile = units.lip_corner_pull
    return identity.mouth_width * (
        1.0
        + 0.26 * smile
        + 0.22 * units.lip_stretch
        - 0.10 * units.lip_tighten
        - 0.28 * units.jaw_drop * (1.0 - smile)
        - 0.06 * units.chin_raise
        + 0.05 * units.upper_lip_raise
    )


def _corner_shifts(identity: Identity, units: ActionUnits) -> tuple[float, float]:
    """Returns how far a smile moves the mouth corners and how far other units lower them."""
    rise = -0.125 * units.lip_corner_pull + identity.resting_corners
    fall = 0.105 * units.lip_corner_depress + 0.035 * units.lip_stretch
    fall += 0.015 * units.upper_lip_raise
    fall += 0.01 * units.chin_raise
    return rise, fall


def _opening_heights(units: ActionUnits) -> tuple[float, float]:
    """Returns the heights of the opening above and below the line where closed lips meet."""
    part, smile, drop = units.lip_part, units.lip_corner_pull, units.jaw_drop
    gate = max(part, drop)
    up = 0.010 * gate + (0.040 * smile + 0.060 * units.upper_lip_raise) * gate + 0.035 * drop
    low = 0.022 * part + 0.25 * drop
    low += (0.055 * smile + 0.050 * units.lip_stretch + 0.02 * units.upper_lip_raise) * part
    return up, low


def _lip_heights(
    identity: Identity, units: ActionUnits, along: Field, arch: Field
) -> tuple[Field, Field]:
    """Returns the heights of upper and lower lip along the mouth."""
    smile, drop, stretch = units.lip_corner_pull, units.jaw_drop, units.lip_stretch
    gate = max(units.lip_part, drop)
    thin = 1.0 - 0.55 * units.lip_tighten - 0.25 * smile - 0.25 * stretch
    upper_thick = identity.upper_lip * (thin - 0.15 * units.upper_lip_raise)
    upper_thick *= 1.0 - 0.12 * drop
    lower_thick = identity.lower_lip * (thin - 0.1 * drop + 0.12 * units.chin_raise)
    peaks = 0.82 + 0.38 * bell(np.abs(along) - 0.27, 0.22) - 0.20 * bell(along, 0.11)
    raised = units.upper_lip_raise * (1.0 - gate) * 0.022
    upper: Field = (upper_thick * peaks + raised) * arch
    lower: Field = lower_thick * (0.55 * arch + 0.45 * np.sqrt(arch))
    return upper, lower


__all__ = [
    "IRIS",
    "Brows",
    "Eyes",
    "Head",
    "Mouth",
    "Nose",
    "shape_brows",
    "shape_eyes",
    "shape_head",
    "shape_mouth",
    "shape_nose",
]
