"""Matching the classes of a model from elsewhere with a benchmark's, by name."""

from collections.abc import Mapping, Sequence

from fer_core.data.sources.class_names import MOST_SHOWN, emotion_of
from fer_core.errors import DataError, listed
from fer_core.labels import LabelSet, OutputClasses, canonical_name


def match_classes(
    outputs: Sequence[str],
    labels: LabelSet,
    source: str,
    mapping: Mapping[str, str] | None = None,
    remedy: str = "Name them in output order with --labels, or map them",
) -> OutputClasses:
    """Returns the class of each output of a model.

    Args:
        outputs: The model's class names in output order, such as `Happiness` or `0_angry`.
        labels: The benchmark's classes.
        source: The model, for error messages.
        mapping: The benchmark's class by the model's name, for names that are no synonyms; an
            empty one leaves the class out.
        remedy: What the error advises if fewer than two classes are the benchmark's.

    Raises:
        DataError: If the mapping names an unknown class, two outputs have one class, or fewer than
            two classes are the benchmark's.
    """
    renamed = _checked(mapping or {}, outputs, labels, source)
    names: list[str] = []
    for output in outputs:
        target = renamed.get(_plain(output))
        if target is None:
            name = _meaning(output, labels)
        else:
            name = target or f"{output.strip()} (left out)"
        if name in names and name not in labels.names and target is None:
            name = f"{name} ({len(names)})"  # left out in any case
        if name in names:
            raise DataError(
                f"{source} has two outputs for the class {name}: "
                f"{outputs[names.index(name)]} and {output}. Pass --map-class {output}= to leave "
                "one out, or name it otherwise."
            )
        names.append(name)
    matched = OutputClasses(tuple(names), labels)
    if len(labels) - len(matched.missing) < 2:
        raise DataError(
            f"Fewer than two classes of {source} ({listed(outputs, MOST_SHOWN)}) are classes of "
            f"the benchmark ({', '.join(labels.names)}). {remedy}: "
            f"--map-class {outputs[0]}={labels.names[0]}."
        )
    return matched


def _checked(
    mapping: Mapping[str, str], outputs: Sequence[str], labels: LabelSet, source: str
) -> dict[str, str]:
    """Returns the mapping by plain names."""
    known = {_plain(output) for output in outputs}
    for name, target in mapping.items():
        if _plain(name) not in known:
            raise DataError(
                f"--map-class {name}={target}: {source} has no class {name}; it has "
                f"{listed(outputs, MOST_SHOWN)}."
            )
        if target and canonical_name(target) not in labels.names:
            raise DataError(
                f"--map-class {name}={target}: the benchmark has no class {target}; it has "
                f"{', '.join(labels.names)}."
            )
    return {_plain(name): canonical_name(target) for name, target in mapping.items()}


def _plain(name: str) -> str:
    return name.strip().lower()


def _meaning(output: str, labels: LabelSet) -> str:
    """Returns the class that a name means, or the name itself."""
    plain = canonical_name(output)
    if plain in labels.names:
        return str(plain)
    return str(emotion_of(output) or plain)
