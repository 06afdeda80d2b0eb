"""Subsets of the classes that are worth a name."""

from collections.abc import Mapping, Sequence

from fer_core.errors import DataError
from fer_core.labels import Emotion, canonical_name

THREE = (Emotion.ANGRY, Emotion.HAPPY, Emotion.SAD)
"""The three classes of many small studies and demonstrations."""

RARE = frozenset({Emotion.DISGUST, Emotion.FEAR})
"""The classes with the fewest images in FER2013 and FER+."""


def presets(labels: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Returns the named subsets of at least two classes that a label set has, all of it first.

    Args:
        labels: Class names in canonical order.
    """
    everything = tuple(labels)
    found = {f"All {len(everything)}": everything}
    if set(THREE) < set(everything):
        found["Angry, happy, sad"] = tuple(str(name) for name in THREE)
    common = tuple(name for name in everything if name not in RARE)
    if len(common) < len(everything) and len(common) >= 2:
        found["Without disgust and fear"] = common
    polar = tuple(name for name in everything if name != Emotion.NEUTRAL)
    if len(polar) < len(everything) and len(polar) >= 2:
        found["Without neutral"] = polar
    return found


def classes_in(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Returns the classes that a text names; empty if they are all there are.

    Args:
        text: The name of a preset, or class names with commas between them.
        labels: Class names in canonical order.

    Raises:
        DataError: If a name is no class, or there are fewer than two.
    """
    named = {name.lower(): classes for name, classes in presets(labels).items()}
    chosen = set(
        named.get(text.strip().lower()) or [canonical_name(name) for name in text.split(",")]
    )
    if unknown := sorted(chosen - set(labels)):
        raise DataError(
            f"No class {', '.join(map(repr, unknown))} here; there are {', '.join(labels)}. Named "
            f"subsets: {'; '.join(presets(labels))}."
        )
    if len(chosen) < 2:
        raise DataError(f"At least two classes have to count, not {text!r} alone.")
    return () if len(chosen) == len(labels) else tuple(sorted(chosen))
