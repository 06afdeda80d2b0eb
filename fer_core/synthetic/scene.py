"""Scene of a face: pose, light, background, occluders and camera."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fer_core.synthetic.field import Rgb, linear


class Occluder(StrEnum):
    """Object that covers a part of the face."""

    NONE = "none"
    HAND = "hand"
    STRAND = "strand"


@dataclass(frozen=True)
class Pose:
    """Head pose. Angles in radians; positive yaw turns the nose to the right."""

    roll: float
    yaw: float
    pitch: float
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Light:
    """A key light, a weak fill light from the other side, and ambient light.

    Attributes:
        direction: Unit vector to the key light; x right, y down, z towards the viewer.
        key: Intensity of the key light.
        ambient: Intensity of the ambient light.
        tint: Linear colour of the key light, about 1 per channel.
        gloss: Specular reflectance of the skin.
    """

    direction: tuple[float, float, float]
    key: float
    ambient: float
    tint: Rgb
    gloss: float


@dataclass(frozen=True)
class Camera:
    """Framing and image degradation.

    Attributes:
        half_view: Half of the image side in face units.
        centre: Position of the image centre in face units.
        blur: Standard deviation of the blur as a share of the side.
        noise: Standard deviation of the noise in display values of 0 to 1.
        exposure: Exposure factor.
        saturation: 0 is grey, 1 is full colour.
    """

    half_view: float
    centre: tuple[float, float]
    blur: float
    noise: float
    exposure: float
    saturation: float


@dataclass(frozen=True)
class Scene:
    """All properties of an image except person and expression."""

    pose: Pose
    light: Light
    camera: Camera
    backdrop: tuple[Rgb, Rgb]
    occluder: Occluder
    occluder_place: tuple[float, float, float]


def draw_scene(rng: np.random.Generator) -> Scene:
    """Samples the scene of a tight crop, as in FER data sets."""
    azimuth = float(rng.uniform(-1.15, 1.15))
    elevation = float(rng.uniform(0.05, 1.0))
    key = float(rng.uniform(0.5, 1.25))
    covered = rng.random() < 0.12
    occluder = Occluder.NONE
    if covered:
        occluder = Occluder.HAND if rng.random() < 0.6 else Occluder.STRAND
    return Scene(
        pose=Pose(
            roll=_near_zero(rng, 0.11, 0.25),
            yaw=_near_zero(rng, 0.16, 0.36),
            pitch=_near_zero(rng, 0.10, 0.22),
            gaze=(_near_zero(rng, 0.018, 0.04), _near_zero(rng, 0.007, 0.014)),
        ),
        light=Light(
            direction=_towards(azimuth, elevation),
            key=key,
            ambient=float(rng.uniform(0.25, 0.5)) + 0.12 * (1.25 - key),
            tint=_tint(rng, 0.16),
            gloss=float(rng.uniform(0.3, 1.0)),
        ),
        camera=Camera(
            half_view=float(rng.uniform(1.15, 1.42)),
            centre=(_near_zero(rng, 0.05, 0.1), 0.06 + _near_zero(rng, 0.05, 0.1)),
            blur=float(rng.choice([0.0, rng.uniform(0.002, 0.011)])),
            noise=float(rng.uniform(0.005, 0.035)),
            exposure=float(np.exp(rng.normal(0.0, 0.18))),
            saturation=float(rng.uniform(0.6, 1.05)),
        ),
        backdrop=_backdrop(rng),
        occluder=occluder,
        occluder_place=(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)), float(rng.random())),
    )


def draw_studio(rng: np.random.Generator) -> Scene:
    """Samples the scene of a portrait in good light without occlusion."""
    side = float(rng.choice([-1.0, 1.0]))
    return Scene(
        pose=Pose(
            roll=_near_zero(rng, 0.04, 0.09),
            yaw=_near_zero(rng, 0.08, 0.16),
            pitch=_near_zero(rng, 0.04, 0.09),
            gaze=(0.0, 0.0),
        ),
        light=Light(
            direction=_towards(side * float(rng.uniform(0.4, 0.85)), float(rng.uniform(0.35, 0.7))),
            key=float(rng.uniform(0.85, 1.05)),
            ambient=float(rng.uniform(0.30, 0.40)),
            tint=_tint(rng, 0.07),
            gloss=float(rng.uniform(0.5, 0.9)),
        ),
        camera=Camera(
            half_view=float(rng.uniform(1.72, 1.86)),
            centre=(_near_zero(rng, 0.04, 0.08), 0.30 + _near_zero(rng, 0.03, 0.06)),
            blur=0.0,
            noise=0.008,
            exposure=1.05,
            saturation=1.0,
        ),
        backdrop=_backdrop(rng),
        occluder=Occluder.NONE,
        occluder_place=(0.0, 0.0, 0.0),
    )


def _near_zero(rng: np.random.Generator, deviation: float, limit: float) -> float:
    return float(np.clip(rng.normal(0.0, deviation), -limit, limit))


def _towards(azimuth: float, elevation: float) -> tuple[float, float, float]:
    flat = float(np.cos(elevation))
    return (
        flat * float(np.sin(azimuth)),
        -float(np.sin(elevation)),
        flat * float(np.cos(azimuth)),
    )


def _tint(rng: np.random.Generator, spread: float) -> Rgb:
    warmth = float(rng.normal(0.3, 1.0)) * spread * 0.5
    return 1.0 + warmth, 1.0, 1.0 - warmth


def _backdrop(rng: np.random.Generator) -> tuple[Rgb, Rgb]:
    base = rng.uniform(0.35, 0.95) * (rng.uniform(120, 235) + rng.normal(0.0, 20.0, 3))
    other = base * rng.uniform(0.55, 0.85) + rng.normal(0.0, 8.0, 3)
    first, second = np.clip(base, 8, 245), np.clip(other, 8, 245)
    return linear(first.tolist()), linear(second.tolist())
