"""Facial action units and how emotions use them.

Ekman & Friesen's Facial Action Coding System (1978) names the visible movements of
the face; their EMFACS (1983, and Ekman, Friesen & Hager, "FACS Investigator's Guide", 2002)
lists which of them together read as an emotion. `PROTOTYPES` follows those lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from fer_core.labels import Emotion


@dataclass(frozen=True)
class ActionUnits:
    """Intensity of each drawn movement: 0 is rest, 1 is FACS's strongest level (E).

    The number in each field's comment is the movement's number in FACS.
    """

    inner_brow_raise: float = 0.0  # 1
    outer_brow_raise: float = 0.0  # 2
    brow_lower: float = 0.0  # 4
    upper_lid_raise: float = 0.0  # 5
    cheek_raise: float = 0.0  # 6
    lid_tighten: float = 0.0  # 7
    nose_wrinkle: float = 0.0  # 9
    upper_lip_raise: float = 0.0  # 10
    lip_corner_pull: float = 0.0  # 12
    lip_corner_depress: float = 0.0  # 15
    chin_raise: float = 0.0  # 17
    lip_stretch: float = 0.0  # 20
    lip_tighten: float = 0.0  # 23, with the pressing of 24
    lip_part: float = 0.0  # 25
    jaw_drop: float = 0.0  # 26, at its strongest the mouth stretch 27
    lid_droop: float = 0.0  # 43, at its strongest closed eyes

    def __post_init__(self) -> None:
        for name, value in self.as_mapping().items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"Action unit {name} must lie in 0 to 1, not {value}.")

    def as_mapping(self) -> Mapping[str, float]:
        """Returns intensity by name, in FACS order."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


UNIT_NAMES = tuple(field.name for field in fields(ActionUnits))


@dataclass(frozen=True)
class Prototype:
    """One way in which a face shows an emotion.

    Attributes:
        units: The movements at full expression.
        weight: How often this way is drawn, relative to the emotion's other ways.
    """

    units: ActionUnits
    weight: float = 1.0


PROTOTYPES: Mapping[Emotion, tuple[Prototype, ...]] = {
    Emotion.ANGRY: (
        # 4+5+7+23: the pressed mouth of controlled anger.
        Prototype(
            ActionUnits(
                brow_lower=1.0,
                upper_lid_raise=0.55,
                lid_tighten=0.7,
                lip_tighten=0.9,
                chin_raise=0.3,
                lip_corner_depress=0.25,
            ),
            1.2,
        ),
        # 4+5+7+10+23+25(+26): bared teeth; shares the raised lip with disgust.
        Prototype(
            ActionUnits(
                brow_lower=1.0,
                upper_lid_raise=0.65,
                lid_tighten=0.6,
                nose_wrinkle=0.3,
                upper_lip_raise=0.45,
                lip_stretch=0.3,
                lip_part=1.0,
                jaw_drop=0.25,
            ),
        ),
    ),
    Emotion.DISGUST: (
        # 9+15(+17): the wrinkled nose.
        Prototype(
            ActionUnits(
                brow_lower=0.55,
                lid_tighten=0.55,
                cheek_raise=0.3,
                nose_wrinkle=1.0,
                upper_lip_raise=0.5,
                lip_corner_depress=0.6,
                chin_raise=0.5,
            ),
        ),
        # 9+10+25: the raised upper lip.
        Prototype(
            ActionUnits(
                brow_lower=0.5,
                lid_tighten=0.6,
                cheek_raise=0.3,
                nose_wrinkle=0.8,
                upper_lip_raise=1.0,
                lip_corner_depress=0.3,
                lip_part=0.8,
            ),
        ),
    ),
    Emotion.FEAR: (
        # 1+2+4+5+20+25: shares brows and lids with surprise, the stretched mouth is its own.
        Prototype(
            ActionUnits(
                inner_brow_raise=1.0,
                outer_brow_raise=0.45,
                brow_lower=0.5,
                upper_lid_raise=0.9,
                lid_tighten=0.2,
                lip_stretch=1.0,
                lip_part=0.8,
            ),
        ),
        # 1+2+4+5+20+26: the jaw falls too.
        Prototype(
            ActionUnits(
                inner_brow_raise=0.9,
                outer_brow_raise=0.5,
                brow_lower=0.45,
                upper_lid_raise=1.0,
                lip_stretch=0.8,
                lip_part=0.8,
                jaw_drop=0.4,
            ),
        ),
    ),
    Emotion.HAPPY: (
        # 6+12+25: the open smile.
        Prototype(
            ActionUnits(cheek_raise=0.8, lip_corner_pull=1.0, lip_part=0.9, jaw_drop=0.12), 1.4
        ),
        # 6+12: the closed smile.
        Prototype(ActionUnits(cheek_raise=0.7, lip_corner_pull=0.9)),
    ),
    Emotion.NEUTRAL: (Prototype(ActionUnits()),),
    Emotion.SAD: (
        # 1+4+15(+17): oblique brows over a mouth turned down.
        Prototype(
            ActionUnits(
                inner_brow_raise=0.9,
                brow_lower=0.4,
                lip_corner_depress=1.0,
                chin_raise=0.45,
                lid_droop=0.25,
            ),
            1.2,
        ),
        # 1+4+11/15 with lowered eyes; close to neutral when faint.
        Prototype(
            ActionUnits(
                inner_brow_raise=0.8,
                brow_lower=0.25,
                lip_corner_depress=0.75,
                chin_raise=0.2,
                lid_droop=0.45,
            ),
        ),
    ),
    Emotion.SURPRISE: (
        # 1+2+5+26
        Prototype(
            ActionUnits(
                inner_brow_raise=0.95,
                outer_brow_raise=1.0,
                upper_lid_raise=0.85,
                lip_part=0.7,
                jaw_drop=0.8,
            ),
            1.3,
        ),
        # 1+2+5+25: astonished, the jaw hardly moves.
        Prototype(
            ActionUnits(
                inner_brow_raise=1.0,
                outer_brow_raise=0.9,
                upper_lid_raise=0.8,
                lip_part=0.8,
                jaw_drop=0.35,
            ),
        ),
    ),
}
"""Emotion -> the ways in which it is shown, after EMFACS. Movements are shared on purpose: fear
and surprise raise brows and lids, anger and disgust lower the brows and may raise the lip, and
faint sadness is nearly neutral, which is also where people and models err."""

FAINTEST, FULL = 0.3, 1.0
"""Range of a drawn expression's intensity. Below 0.3 even its author could not name it."""

_STRAY = 0.22
"""Largest intensity of a movement that has nothing to do with the emotion."""


def draw_intensity(rng: np.random.Generator) -> float:
    """Draws how strongly an emotion shows, from faint to full, with more full than faint ones."""
    return FAINTEST + (FULL - FAINTEST) * float(np.sqrt(rng.random()))


def draw_units(
    rng: np.random.Generator, emotion: Emotion, intensity: float, stray: float = 1.0
) -> ActionUnits:
    """Draws the movements of one face.

    Args:
        rng: Source of chance.
        emotion: What the face shows.
        intensity: 0 to 1; scales the prototype.
        stray: 0 to 1; how much unrelated movement and personal deviation there is.

    Returns:
        The prototype, scaled, with each movement a little more or less, plus faint others.
    """
    ways = PROTOTYPES[emotion]
    weights = np.array([way.weight for way in ways])
    way = ways[int(rng.choice(len(ways), p=weights / weights.sum()))]
    own = 1.0 + stray * rng.uniform(-0.3, 0.12, len(UNIT_NAMES))
    unrelated = stray * _STRAY * rng.random(len(UNIT_NAMES)) * (rng.random(len(UNIT_NAMES)) < 0.3)
    drawn = {
        name: min(1.0, value * intensity * float(own[i]) + float(unrelated[i]))
        for i, (name, value) in enumerate(way.units.as_mapping().items())
    }
    return replace(way.units, **drawn)
