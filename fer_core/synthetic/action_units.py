"""Facial action units and their combinations in emotions.

Ekman & Friesen's Facial Action Coding System (1978) defines the visible movements of the face.
`PROTOTYPES` follows EMFACS (1983, and Ekman, Friesen & Hager, "FACS Investigator's Guide", 2002),
which lists the combinations that express an emotion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from fer_core.labels import Emotion


@dataclass(frozen=True)
class ActionUnits:
    """Intensity of each action unit: 0 is neutral, 1 is the strongest FACS level (E).

    The comment of each field is its number in FACS.
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
    lip_tighten: float = 0.0  # 23, combined with 24 (lip press)
    lip_part: float = 0.0  # 25
    jaw_drop: float = 0.0  # 26; at 1 it is 27 (mouth stretch)
    lid_droop: float = 0.0  # 43; at 1 the eyes are closed

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
    """A combination of action units that expresses an emotion.

    Attributes:
        units: Action units at full intensity.
        weight: Sampling weight relative to the emotion's other prototypes.
    """

    units: ActionUnits
    weight: float = 1.0


PROTOTYPES: Mapping[Emotion, tuple[Prototype, ...]] = {
    Emotion.ANGRY: (
        # 4+5+7+23: controlled anger with pressed lips
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
        # 4+5+7+10+23+25(+26): bared teeth; the raised upper lip also occurs in disgust
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
        # 9+15(+17): wrinkled nose
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
        # 9+10+25: raised upper lip
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
        # 1+2+4+5+20+25: brows and lids as in surprise, with stretched lips
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
        # 1+2+4+5+20+26: with jaw drop
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
        # 6+12+25: open smile
        Prototype(
            ActionUnits(cheek_raise=0.8, lip_corner_pull=1.0, lip_part=0.9, jaw_drop=0.12), 1.4
        ),
        # 6+12: closed smile
        Prototype(ActionUnits(cheek_raise=0.7, lip_corner_pull=0.9)),
    ),
    Emotion.NEUTRAL: (Prototype(ActionUnits()),),
    Emotion.SAD: (
        # 1+4+15(+17): oblique brows and lowered lip corners
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
        # 1+4+11/15 with lowered eyes; close to neutral at low intensity
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
        # 1+2+5+25: with little jaw movement
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
"""Prototypes by emotion, after EMFACS. Emotions share action units: fear and surprise raise brows
and lids, anger and disgust lower the brows and may raise the lip, and weak sadness is almost
neutral. Annotators and models confuse the same pairs."""

FAINTEST, FULL = 0.3, 1.0
"""Range of sampled intensities; expressions below 0.3 are not recognisable."""

_STRAY = 0.22
"""Largest intensity of an action unit that is unrelated to the emotion."""


def draw_intensity(rng: np.random.Generator) -> float:
    """Samples the intensity of an expression; high intensities are more frequent."""
    return FAINTEST + (FULL - FAINTEST) * float(np.sqrt(rng.random()))


def draw_units(
    rng: np.random.Generator, emotion: Emotion, intensity: float, stray: float = 1.0
) -> ActionUnits:
    """Samples the action units of one face.

    Args:
        rng: Random generator.
        emotion: Emotion to express.
        intensity: Scale of the prototype, 0 to 1.
        stray: Amount of unrelated action units and individual variation, 0 to 1.

    Returns:
        The scaled prototype with individual variation and weak unrelated action units.
    """
    prototypes = PROTOTYPES[emotion]
    weights = np.array([prototype.weight for prototype in prototypes])
    units = prototypes[int(rng.choice(len(prototypes), p=weights / weights.sum()))].units
    variation = 1.0 + stray * rng.uniform(-0.3, 0.12, len(UNIT_NAMES))
    unrelated = stray * _STRAY * rng.random(len(UNIT_NAMES)) * (rng.random(len(UNIT_NAMES)) < 0.3)
    intensities = {
        name: min(1.0, value * intensity * float(variation[i]) + float(unrelated[i]))
        for i, (name, value) in enumerate(units.as_mapping().items())
    }
    return replace(units, **intensities)
