"""Named subsets of the classes."""

from collections.abc import Mapping, Sequence

from fer_core.errors import DataError
from fer_core.labels import Emotion, canonical_name

THREE = (Emotion.ANGRY, Emotion.HAPPY, Emotion.SAD)
"""Three classes that many small studies use."""

RARE = frozenset({Emotion.DISGUST, Emotion.FEAR})
"""The classes with the fewest images in FER2013 and FER+."""


def presets(labels: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Returns the named class subsets of a label set, starting with all classes.

    Args:
        labels: Class names in canonical order.
    """
    everything = tuple(labels)
    subsets = {f"All {len(everything)}": everything}
    if set(THREE) < set(everything):
        subsets["Angry, happy, sad"] = tuple(str(name) for name in THREE)
    common = tuple(name for name in everything if name not in RARE)
    if len(common) < len(everything) and len(common) >= 2:
        subsets["Without disgust and fear"] = common
    emotional = tuple(name for name in everything if name != Emotion.NEUTRAL)
    if len(emotional) < len(everything) and len(emotional) >= 2:
        subsets["Without neutral"] = emotional
    return subsets


def classes_in(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Parses class names; returns an empty tuple for all classes.

    Args:
        text: Name of a preset, or comma-separated class names.
        labels: Class names in canonical order.

    Raises:
        DataError: If a class is unknown, or there are fewer than two.
    """
    named = {name.lower(): subset for name, subset in presets(labels).items()}
    classes = set(
        named.get(text.strip().lower()) or [canonical_name(name) for name in text.split(",")]
    )
    if unknown := sorted(classes - set(labels)):
        raise DataError(
            f"Unknown class {', '.join(map(repr, unknown))}. Classes: {', '.join(labels)}. Named "
            f"subsets: {'; '.join(presets(labels))}."
        )
    if len(classes) < 2:
        raise DataError(f"Pass at least two classes, not only {text!r}.")
    return () if len(classes) == len(labels) else tuple(sorted(classes))
