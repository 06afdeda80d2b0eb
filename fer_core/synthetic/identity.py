"""Identity of a drawn person: the traits that do not depend on the expression.

Lengths are in face units: the eyes lie on v = 0, v points down, and the face is
about 1.7 units wide. The proportions follow drawing manuals (eyes at half the head's height, nose
and mouth by thirds) with natural variation.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_core.synthetic.field import Rgb, linear


class Hair(StrEnum):
    """Hair style."""

    BALD = "bald"
    BUZZ = "buzz"
    SHORT = "short"
    SWEPT = "swept"
    FRINGE = "fringe"
    BUN = "bun"
    CURLY = "curly"
    BOB = "bob"
    LONG = "long"


class Beard(StrEnum):
    """Beard style."""

    NONE = "none"
    STUBBLE = "stubble"
    MOUSTACHE = "moustache"
    GOATEE = "goatee"
    FULL = "full"


SKIN = (
    (250, 226, 210),
    (243, 208, 184),
    (232, 188, 158),
    (214, 164, 128),
    (190, 137, 100),
    (158, 108, 76),
    (124, 82, 57),
    (94, 62, 45),
    (68, 46, 37),
)
"""Display colours of skin from light to dark; skin colours are interpolated between them."""

_HAIR = {
    "black": (28, 24, 24),
    "dark brown": (58, 38, 28),
    "brown": (96, 62, 40),
    "auburn": (128, 64, 36),
    "dark blond": (154, 116, 72),
    "blond": (206, 168, 112),
    "red": (168, 82, 38),
    "grey": (150, 148, 146),
    "white": (214, 210, 204),
}
_IRIS = ((60, 36, 22), (92, 56, 30), (112, 90, 48), (86, 112, 78), (88, 128, 158), (112, 126, 136))
_LIPS = ((168, 52, 62), (140, 36, 56), (198, 92, 92))


@dataclass(frozen=True)
class Identity:
    """Traits of one person: lengths in face units, angles in radians, colours in linear light."""

    half_width: float
    chin: float
    jaw_taper: float
    jaw_square: float
    cheekbones: float
    age: float
    skin: Rgb
    ruddiness: float
    freckles: float
    eye_x: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    lid_fold: float
    lashes: float
    iris: Rgb
    brow_y: float
    brow_thick: float
    brow_arch: float
    brow_density: float
    nose_length: float
    nose_width: float
    nose_bridge: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lip_colour: Rgb
    resting_corners: float
    skew: float
    hair: Hair
    hair_colour: Rgb
    hairline: float
    parting: float
    beard: Beard
    glasses: bool
    glasses_round: float
    glasses_colour: Rgb
    clothes: Rgb
    collar: int


def draw_identity(rng: np.random.Generator) -> Identity:
    """Samples a person; traits are independent unless they are correlated in people."""
    draw = _draw_common(rng)
    return Identity(
        **_draw_head(draw),
        **_draw_eyes(draw),
        **_draw_nose_and_mouth(draw),
        **_draw_hair_and_clothes(draw),
    )


@dataclass(frozen=True)
class _Draw:
    """A random generator and what several traits depend on.

    Attributes:
        rng: Random generator; the order of its uses determines the person.
        male: 0 (typically female traits) to 1 (typically male traits).
        age: 0 to 1.
        dark: Darkness of the skin, 0 to 1.
        skin: Display colour of the skin.
        hair: Hair style.
        hair_colour: Colour of the hair, in linear light.
        lips: Display colour of the lips, with make-up.
        dye: Display colour of the clothes' dye.
        iris: Display colour of the irises.
    """

    rng: np.random.Generator
    male: float
    age: float
    dark: float
    skin: NDArray[np.float64]
    hair: Hair
    hair_colour: Rgb
    lips: NDArray[np.float64]
    dye: NDArray[np.float64]
    iris: tuple[int, int, int]

    def normal(self, mean: float, deviation: float) -> float:
        """Draws a normal number, at most two deviations from the mean."""
        return float(mean + deviation * np.clip(self.rng.normal(), -2.0, 2.0))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draws a uniform number."""
        return float(self.rng.uniform(low, high))


def _draw_common(rng: np.random.Generator) -> _Draw:
    male = float(np.clip(rng.normal(0.5, 0.4), 0.0, 1.0))
    age = float(rng.beta(1.6, 2.4))
    skin, dark = _draw_skin(rng)
    return _Draw(
        rng,
        male,
        age,
        dark,
        skin,
        hair=_draw_hair(rng, male, age, dark),
        hair_colour=_draw_hair_colour(rng, age, dark),
        lips=_draw_lips(rng, skin, male),
        dye=rng.uniform(60, 255, 3),
        iris=_IRIS[min(len(_IRIS) - 1, int(rng.integers(1, len(_IRIS)) * (1.0 - dark) ** 0.6))],
    )


def _draw_skin(rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """Returns a display colour and its darkness, 0 to 1."""
    tone = float(rng.uniform(0.0, len(SKIN) - 1.001))
    light, dark = np.array(SKIN[int(tone)]), np.array(SKIN[int(tone) + 1])
    skin = light + (tone % 1.0) * (dark - light)
    skin = np.clip(skin + rng.normal(0.0, (3.0, 2.0, 4.0)), 20, 255)
    return skin, tone / (len(SKIN) - 1)


def _draw_lips(
    rng: np.random.Generator, skin: NDArray[np.float64], male: float
) -> NDArray[np.float64]:
    natural = skin * np.array((0.86, 0.60, 0.60)) + np.array((8.0, 2.0, 6.0))
    painted = np.array(_LIPS[int(rng.integers(len(_LIPS)))]) * (0.6 + 0.4 * skin[0] / 250)
    makeup = float(rng.random() < 0.55 * (1.0 - male)) * rng.uniform(0.4, 0.9)
    lips: NDArray[np.float64] = natural + makeup * (painted - natural)
    return lips


def _draw_head(draw: _Draw) -> dict[str, Any]:
    male = draw.male
    return {
        "half_width": draw.normal(0.86 + 0.02 * male, 0.03),
        "chin": draw.normal(1.15 + 0.05 * male, 0.035),
        "jaw_taper": draw.normal(0.40 - 0.10 * male, 0.05),
        "jaw_square": float(np.clip(draw.normal(0.15 + 0.5 * male, 0.15), 0.0, 1.0)),
        "cheekbones": draw.normal(1.0, 0.25),
        "age": draw.age,
        "skin": linear(draw.skin.tolist()),
        "ruddiness": draw.uniform(0.3),
        "freckles": float((draw.rng.random() < 0.2) * draw.uniform(0.3) * (1.0 - draw.dark)),
    }


def _draw_eyes(draw: _Draw) -> dict[str, Any]:
    male = draw.male
    return {
        "eye_x": draw.normal(0.365, 0.016),
        "eye_width": draw.normal(0.200 - 0.010 * male, 0.010),
        "eye_open": draw.normal(1.10 - 0.08 * male, 0.09),
        "eye_tilt": draw.normal(-0.03, 0.04),
        "lid_fold": draw.uniform(),
        "lashes": float(np.clip(1.0 - male + 0.2 * draw.rng.normal(), 0.15, 1.0)),
        "iris": linear(draw.iris),
        "brow_y": draw.normal(-0.235 + 0.02 * male, 0.018),
        "brow_thick": draw.normal(0.030 + 0.012 * male, 0.006),
        "brow_arch": draw.normal(0.045 - 0.02 * male, 0.015),
        "brow_density": draw.uniform(0.6),
    }


def _draw_nose_and_mouth(draw: _Draw) -> dict[str, Any]:
    male, dark = draw.male, draw.dark
    fullness = 0.8 + 0.25 * (1.0 - male) + 0.25 * dark
    return {
        "nose_length": draw.normal(0.42 + 0.015 * male, 0.025),
        "nose_width": draw.normal(0.155 + 0.015 * male + 0.03 * dark, 0.014),
        "nose_bridge": draw.normal(1.0 + 0.15 * male - 0.2 * dark, 0.14),
        "mouth_y": draw.normal(0.70, 0.02),
        "mouth_width": draw.normal(0.30 + 0.015 * male, 0.02),
        "upper_lip": draw.normal(0.062 * fullness, 0.010),
        "lower_lip": draw.normal(0.085 * fullness, 0.012),
        "lip_colour": linear(draw.lips.tolist()),
        "resting_corners": draw.normal(0.004, 0.014),
        "skew": draw.normal(0.0, 0.012),
    }


def _draw_hair_and_clothes(draw: _Draw) -> dict[str, Any]:
    rng, dye = draw.rng, draw.dye
    return {
        "hair": draw.hair,
        "hair_colour": draw.hair_colour,
        "hairline": draw.normal(-0.80 - 0.07 * draw.male * draw.age, 0.04),
        "parting": float(rng.choice([-1.0, 1.0]) * rng.uniform(0.0, 0.4)),
        "beard": _draw_beard(rng, draw.male),
        "glasses": bool(rng.random() < 0.17),
        "glasses_round": draw.uniform(),
        "glasses_colour": linear(rng.choice(((30, 28, 30), (74, 44, 26), (120, 120, 128)))),
        "clothes": linear((rng.uniform(0.15, 0.9) * (0.5 * dye.mean() + 0.5 * dye)).tolist()),
        "collar": int(rng.integers(3)),
    }


def _draw_hair(rng: np.random.Generator, male: float, age: float, dark: float) -> Hair:
    weights = {
        Hair.BALD: 0.9 * male * age,
        Hair.BUZZ: 0.5 * male + 0.5 * male * dark,
        Hair.SHORT: 0.3 + 1.2 * male,
        Hair.SWEPT: 0.2 + 0.8 * male,
        Hair.FRINGE: 0.5,
        Hair.BUN: 0.8 * (1.0 - male),
        Hair.CURLY: 0.25 + 0.8 * dark,
        Hair.BOB: 1.1 * (1.0 - male),
        Hair.LONG: 1.6 * (1.0 - male),
    }
    chances = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(weights), p=chances / chances.sum()))]


def _draw_hair_colour(rng: np.random.Generator, age: float, dark: float) -> Rgb:
    fair = (1.0 - dark) ** 3
    weights = {
        "black": 0.5 + 2.0 * dark,
        "dark brown": 1.2,
        "brown": 0.2 + 1.0 * fair,
        "auburn": 0.5 * fair,
        "dark blond": 0.8 * fair,
        "blond": 0.7 * fair,
        "red": 0.35 * fair,
        "grey": 1.5 * max(0.0, age - 0.4),
        "white": 2.0 * max(0.0, age - 0.65),
    }
    chances = np.array(list(weights.values()))
    name = list(weights)[int(rng.choice(len(weights), p=chances / chances.sum()))]
    return linear((np.array(_HAIR[name]) * rng.uniform(0.85, 1.15)).tolist())


def _draw_beard(rng: np.random.Generator, male: float) -> Beard:
    if male < 0.55 or rng.random() < 0.45:
        return Beard.NONE
    return list(Beard)[1 + int(rng.choice(4, p=[0.45, 0.12, 0.18, 0.25]))]
