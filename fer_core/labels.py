"""Emotions, their canonical order, and the codes of each data set.

The canonical order is alphabetical. Readers map native codes to emotions; all other code uses
names or canonical indices.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from fer_core.errors import DataError, listed


class Emotion(StrEnum):
    """Emotion classes of FER data sets (Ekman's basic emotions and neutral)."""

    ANGRY = "angry"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPY = "happy"
    NEUTRAL = "neutral"
    SAD = "sad"
    SURPRISE = "surprise"


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of class names; column `i` of any probability array is `names[i]`.

    Attributes:
        names: Class names in canonical (alphabetical) order, at least two.

    Raises:
        DataError: If there are fewer than two names, or they are not sorted and distinct.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise DataError(f"A label set needs at least two classes, not {list(self.names)}.")
        if list(self.names) != sorted(set(self.names)):
            raise DataError(
                f"Labels must be distinct and in alphabetical order, not {list(self.names)}. "
                "Build label sets with LabelSet.of(names)."
            )

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Builds a label set from names in any order; duplicates are allowed."""
        return cls(tuple(sorted({str(name) for name in names})))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Returns the canonical index of a class name.

        Raises:
            DataError: If the name is not in this set.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise DataError(f"Unknown label {name!r}; known: {', '.join(self.names)}.") from None


_NAMED = 12
"""Classes that a note names; a model of ImageNet has 1,000."""


@dataclass(frozen=True)
class OutputClasses:
    """Class of each output of a model that was trained elsewhere.

    Attributes:
        names: Class of each output, in order: the benchmark's name where there is one, else the
            model's.
        labels: The benchmark's classes.
    """

    names: tuple[str, ...]
    labels: LabelSet

    @property
    def columns(self) -> tuple[int, ...]:
        """Output of each class of the benchmark; -1 for a class that the model does not have."""
        return tuple(
            self.names.index(label) if label in self.names else -1 for label in self.labels.names
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Classes of the model that the benchmark does not have."""
        return tuple(name for name in self.names if name not in self.labels.names)

    @property
    def missing(self) -> tuple[str, ...]:
        """Classes of the benchmark that the model does not have."""
        return tuple(label for label in self.labels.names if label not in self.names)

    def notes(self) -> list[str]:
        """Returns a sentence on classes left out and one on missing classes, if there are any."""
        notes = []
        if self.left_out:
            notes.append(
                "Left out, because the benchmark does not have it: "
                f"{listed(self.left_out, _NAMED)}. "
                "The probabilities of the other classes are renormalised."
            )
        if self.missing:
            notes.append(
                f"The model cannot predict {', '.join(self.missing)}: the probability is 0, and "
                "the run is shown apart from the ranking."
            )
        return notes


ABSENT = -1e4
"""Logit of a class that a model does not have; its probability is 0."""

SEVEN_EMOTIONS = LabelSet.of(Emotion)

FER2013_CODES: Mapping[int, Emotion] = {
    0: Emotion.ANGRY,
    1: Emotion.DISGUST,
    2: Emotion.FEAR,
    3: Emotion.HAPPY,
    4: Emotion.SAD,
    5: Emotion.SURPRISE,
    6: Emotion.NEUTRAL,
}
"""Goodfellow et al. 2013 (arXiv:1307.0414): the `emotion` column of fer2013.csv."""

FERPLUS_COLUMNS: Mapping[str, str] = {
    "neutral": Emotion.NEUTRAL,
    "happiness": Emotion.HAPPY,
    "surprise": Emotion.SURPRISE,
    "sadness": Emotion.SAD,
    "anger": Emotion.ANGRY,
    "disgust": Emotion.DISGUST,
    "fear": Emotion.FEAR,
    "contempt": "contempt",
    "unknown": "unknown",
    "NF": "not_a_face",
}
"""Barsoum et al. 2016 (arXiv:1608.01041): vote columns of fer2013new.csv, in file order."""

RAFDB_CODES: Mapping[int, Emotion] = {
    1: Emotion.SURPRISE,
    2: Emotion.FEAR,
    3: Emotion.DISGUST,
    4: Emotion.HAPPY,
    5: Emotion.SAD,
    6: Emotion.ANGRY,
    7: Emotion.NEUTRAL,
}
"""Li et al. 2017 (CVPR, RAF-DB): `list_patition_label.txt` and the folders named 1 to 7."""

AFFECTNET_CODES: Mapping[int, str] = {
    0: Emotion.NEUTRAL,
    1: Emotion.HAPPY,
    2: Emotion.SAD,
    3: Emotion.SURPRISE,
    4: Emotion.FEAR,
    5: Emotion.DISGUST,
    6: Emotion.ANGRY,
    7: "contempt",
    8: "none",
    9: "uncertain",
    10: "not_a_face",
}
"""Mollahosseini et al. 2017 (arXiv:1708.03985): the `expression` column, `_exp.npy` and the folders
named 0 to 7. From contempt on, the codes name none of the seven emotions."""

_ALIASES: Mapping[str, Emotion] = {
    "anger": Emotion.ANGRY,
    "disgusted": Emotion.DISGUST,
    "fearful": Emotion.FEAR,
    "afraid": Emotion.FEAR,
    "happiness": Emotion.HAPPY,
    "joy": Emotion.HAPPY,
    "neutrality": Emotion.NEUTRAL,
    "sadness": Emotion.SAD,
    "surprised": Emotion.SURPRISE,
}


def canonical_name(name: str) -> str:
    """Returns the emotion for a folder or class name, or the name in lower case if unknown.

    `Anger`, `angry` and `ANGRY` all give `angry`; an unknown name such as `boredom` becomes its
    own class.
    """
    plain = name.strip().lower()
    return _ALIASES.get(plain, plain)


def names_in_order(value: object) -> tuple[str, ...]:
    """Returns class names in a list, or by number from 0 on, or with numbers; else empty."""
    if isinstance(value, Mapping):
        found = {str(key): entry for key, entry in value.items()}
        found |= {str(entry): key for key, entry in value.items()}
        value = [found.get(str(number)) for number in range(len(value))]
    names = value if isinstance(value, list | tuple) else ()
    return tuple(names) if len(names) > 1 and all(isinstance(name, str) for name in names) else ()
