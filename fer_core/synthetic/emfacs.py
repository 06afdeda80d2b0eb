"""Action units of each emotion.

Sources: P. Ekman and W. V. Friesen, "Facial Action Coding System" (1978), table 11-1; the same
authors' EMFACS-7 (1983); P. Ekman, W. V. Friesen and J. C. Hager, "FACS Investigator's Guide"
(2002), chapter 12. A unit is listed here if it is in the prototypes of the emotion there or in
their major variants.
"""

from collections.abc import Mapping

from fer_core.labels import Emotion

SOURCE = (
    "Ekman & Friesen, Facial Action Coding System (1978), table 11-1, and EMFACS-7 (1983); Ekman, "
    "Friesen & Hager, FACS Investigator's Guide (2002)"
)
"""Reference of `CLASSES_OF_UNIT`, as pages show it."""

CLASSES_OF_UNIT: Mapping[str, tuple[Emotion, ...]] = {
    "inner_brow_raise": (Emotion.FEAR, Emotion.SAD, Emotion.SURPRISE),
    "outer_brow_raise": (Emotion.FEAR, Emotion.SURPRISE),
    "brow_lower": (Emotion.ANGRY, Emotion.FEAR, Emotion.SAD),
    "upper_lid_raise": (Emotion.ANGRY, Emotion.FEAR, Emotion.SURPRISE),
    "cheek_raise": (Emotion.HAPPY,),
    "lid_tighten": (Emotion.ANGRY,),
    "nose_wrinkle": (Emotion.DISGUST,),
    "upper_lip_raise": (Emotion.ANGRY, Emotion.DISGUST),
    "lip_corner_pull": (Emotion.HAPPY,),
    "lip_corner_depress": (Emotion.DISGUST, Emotion.SAD),
    "chin_raise": (Emotion.ANGRY, Emotion.DISGUST, Emotion.SAD),
    "lip_stretch": (Emotion.FEAR,),
    "lip_tighten": (Emotion.ANGRY,),
    "lip_part": (
        Emotion.ANGRY,
        Emotion.DISGUST,
        Emotion.FEAR,
        Emotion.HAPPY,
        Emotion.SURPRISE,
    ),
    "jaw_drop": (Emotion.ANGRY, Emotion.DISGUST, Emotion.FEAR, Emotion.SURPRISE),
    "lid_droop": (),
}
"""The emotions whose probability a unit is expected to raise. Closing eyes (43) belongs to none."""

FACS_NUMBERS: Mapping[str, str] = {
    "inner_brow_raise": "1",
    "outer_brow_raise": "2",
    "brow_lower": "4",
    "upper_lid_raise": "5",
    "cheek_raise": "6",
    "lid_tighten": "7",
    "nose_wrinkle": "9",
    "upper_lip_raise": "10",
    "lip_corner_pull": "12",
    "lip_corner_depress": "15",
    "chin_raise": "17",
    "lip_stretch": "20",
    "lip_tighten": "23+24",
    "lip_part": "25",
    "jaw_drop": "26/27",
    "lid_droop": "43",
}
"""Number of each unit in FACS."""


def unit_title(unit: str) -> str:
    """Returns a unit's display name, such as `lip corner pull (AU 12)`."""
    return f"{unit.replace('_', ' ')} (AU {FACS_NUMBERS[unit]})"


def expected_direction(unit: str, label: str) -> int:
    """Returns the direction in which a unit should move the probability of a class.

    Returns:
        1 if the unit belongs to the class; -1 for neutral if the unit belongs to any class;
        0 where the coding system has no expectation.
    """
    classes = CLASSES_OF_UNIT[unit]
    if label in classes:
        return 1
    return -1 if label == Emotion.NEUTRAL and classes else 0
