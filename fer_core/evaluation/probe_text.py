"""The words of a probe: what drawn faces show about a run, in sentences."""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.evaluation.attribute_effects import (
    AttributeEffect,
    ClassShift,
    DrawnAccuracy,
    Flips,
    attribute_effects,
    drawn_accuracy,
)
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.probes import read_probes
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.response_curves import ResponseCurve
from fer_core.evaluation.significance import LEVEL
from fer_core.labels import LabelSet
from fer_core.synthetic.attributes import ATTRIBUTES, BASE
from fer_core.synthetic.probe_design import ProbeKind

LIMITS = (
    "Drawn faces can show what a model reacts to, because one thing changes and everything else "
    "stays the same. They cannot show how often that happens on photographs, and they are no "
    "measure of fairness: no person is in them, skin and age are drawn in a simple way, and a "
    "model that was never trained on drawings may react to the style."
)
"""Caveat on what drawn faces can and cannot show."""

MANY_FLIPS = 0.05
"""Share of changed predictions from which it is named for an attribute without a mean shift."""

_SHOWN = 8
_SOME = 3
"""Least surplus of changed predictions that is named."""

_PAIRS = 42
"""Ordered pairs of seven classes."""


def validity_sentence(title: str, accuracy: DrawnAccuracy) -> str:
    """Returns how well a run recognises drawn faces, and what follows.

    Args:
        title: The run's display name.
        accuracy: Accuracy of the run on drawn faces.
    """
    start = (
        f"{title} has a macro-recall of {accuracy.macro_recall.text} on {accuracy.faces} drawn "
        "faces at full intensity"
    )
    if not accuracy.is_valid:
        return (
            f"{start}. That is below {accuracy.least:.0%}, twice what guessing reaches: nothing "
            "follows for this model from drawn faces."
        )
    known = _and(accuracy.recognised)
    others = [name for name in accuracy.recalls if name not in accuracy.recognised]
    if not accuracy.recognised:
        return f"{start}, but recognises no expression on half of the faces that show it."
    if not others:
        return f"{start} and recognises every expression on at least half of them."
    return (
        f"{start}. It recognises {known} there; on drawn {_and(others)} faces it mostly fails, so "
        "they say little about it."
    )


def curve_sentence(curve: ResponseCurve) -> str:
    """Returns what a response curve shows, and what the coding system expects."""
    moved = [(label, shift) for label, shift in zip(curve.labels.names, curve.shifts, strict=True)]
    moved = [(label, shift) for label, shift in moved if curve.direction(label)]
    moved.sort(key=lambda item: -abs(item[1].value))
    if moved:
        shifts = " and ".join(f"{label} {_points(shift)}" for label, shift in moved[:2])
        sentence = f"From intensity 0 to 5 of {curve.title}, the mean probability moves: {shifts}."
    else:
        sentence = f"From intensity 0 to 5 of {curve.title}, no mean probability moves."
    return f"{sentence} {threshold_sentence(curve)} {expectation_sentence(curve)}"


def threshold_sentence(curve: ResponseCurve) -> str:
    """Returns where the prediction changes along a curve."""
    threshold = curve.threshold
    if threshold.level is None:
        return (
            f"At intensity 5 the prediction has changed for {threshold.changed:.0%} of the persons."
        )
    return (
        f"For half of the persons the prediction has changed at intensity {threshold.level}"
        f"{f', mostly to {threshold.becomes}' if threshold.becomes else ''}."
    )


def expectation_sentence(curve: ResponseCurve) -> str:
    """Returns what the facial action coding system expects, and whether the run agrees."""
    rising = [label for label in curve.labels.names if curve.expected(label) > 0]
    if not rising:
        return "The coding system assigns this unit to no emotion."
    agrees = [label for label in rising if curve.direction(label) > 0]
    verb = "belongs to" if curve.kind is ProbeKind.UNIT else "is the prototype of"
    text = f"In the coding system it {verb} {_and(rising)}"
    if len(rising) == 1:
        return f"{text}, which {'rises' if agrees else 'does not rise'}."
    return f"{text}; of these {_and(agrees) or 'none'} rise{'s' if len(agrees) == 1 else ''}."


def effect_sentences(
    effects: Sequence[AttributeEffect], accuracy: DrawnAccuracy, count: int = _SHOWN
) -> list[str]:
    """Returns one sentence per attribute that has an effect, largest share of flips first.

    Args:
        effects: The run's effects.
        accuracy: Accuracy of the run on drawn faces.
        count: Most sentences.
    """
    if not accuracy.is_valid:
        return []
    significant = [effect for effect in effects if effect.significant]
    return [effect_sentence(effect, accuracy.recognised) for effect in significant[:count]]


def effect_sentence(effect: AttributeEffect, recognised: Sequence[str]) -> str:
    """Returns what an attribute does, such as `Glasses turn 6% of neutral faces into surprise`.

    The share has its Wilson interval.

    Args:
        effect: The effect.
        recognised: Expressions that the run recognises on drawn faces; changed predictions on
            others are not described, nor those that may be due to chance.
    """
    attribute = effect.attribute
    title = attribute.title[0].upper() + attribute.title[1:]
    against = (
        ""
        if attribute.reference == BASE
        else f" (compared with {ATTRIBUTES[attribute.reference].title})"
    )
    candidates = [item for item in effect.flips if item.expression in recognised]
    flips = [item for item in candidates if _is_certain(item, effect)] or [
        item for item in candidates if _is_supported(item, effect)
    ]
    if not flips:
        verb = _verb("move", plural=attribute.plural)
        return f"{title}{against} {verb} the probability of {_shift(effect.largest)}."
    return f"{title}{against} {_verb('turn', plural=attribute.plural)} {_flips(flips[0])}."


def _is_certain(flips: Flips, effect: AttributeEffect) -> bool:
    """Whether faces change from right to one other class significantly more often than back.

    By a one-sided sign test over the persons, at 5% divided by the number of pairs of classes.
    """
    away, back = _both_ways(flips, effect)
    return bool(bdtr(back, away + back, 0.5) < LEVEL / _PAIRS)


def _is_supported(flips: Flips, effect: AttributeEffect) -> bool:
    """Whether some faces change to a class whose mean probability rises significantly."""
    rising = {item.label for item in effect.shifts if item.significant and item.shift.value > 0}
    away, back = _both_ways(flips, effect)
    return flips.predicted in rising and away - back >= _SOME


def _both_ways(flips: Flips, effect: AttributeEffect) -> tuple[int, int]:
    """Returns how many faces change from right to one other class, and how many back."""
    if flips.predicted == flips.expression:
        return 0, 0
    returned = [
        item for item in effect.flips if item.expression == item.predicted == flips.expression
    ]
    back = sum(item.before.count(flips.predicted) for item in returned)
    return flips.before.count(flips.expression), back


def probe_sentence(run: RunDir) -> str:
    """Returns what drawn faces show about a run, in one sentence.

    Args:
        run: Files of the run.

    Returns:
        The largest effect of an attribute, or why nothing follows; empty without a probe that can
        be used.
    """
    if not run.probes_path.is_file():
        return ""
    try:
        info = run.info()
        predictions = read_probes(run.probes_path, LabelSet(tuple(info.labels)), info.created)
    except ArtifactError:
        return ""
    accuracy = drawn_accuracy(predictions)
    if not accuracy.is_valid:
        return validity_sentence(info.title, accuracy)
    sentences = effect_sentences(attribute_effects(predictions), accuracy, 1)
    if not sentences:
        return "On drawn faces, no attribute changes its predictions significantly."
    return f"On drawn faces with the expression held fixed: {sentences[0]}"


def no_effect_sentence(effects: Sequence[AttributeEffect]) -> str:
    """Returns which attributes shift no class on average, and how many predictions they change."""
    without = [effect for effect in effects if not effect.significant]
    if not without:
        return "Every attribute shifts a class significantly."
    if len(without) == len(effects):
        return "No attribute shifts a class significantly."
    named = [
        f"{effect.attribute.title} ({effect.flip_share.value:.0%})"
        if effect.flip_share.value >= MANY_FLIPS
        else effect.attribute.title
        for effect in without
    ]
    return f"No significant mean shift of a class (share of changed predictions): {_and(named)}."


def _flips(flips: Flips) -> str:
    low, high = wilson(np.array([len(flips.persons)]), np.array([flips.total]))[:, 0]
    return (
        f"{flips.share:.0%} [{100 * low:.0f}, {100 * high:.0f}] of {flips.expression} faces into "
        f"{flips.predicted} ({len(flips.persons)} of {flips.total})"
    )


def _shift(shift: ClassShift) -> str:
    return f"{shift.label} {_points(shift.shift)}"


def _points(estimate: Estimate) -> str:
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.0f} points [{low:+.0f}, {high:+.0f}]"


def _verb(verb: str, *, plural: bool) -> str:
    return verb if plural else f"{verb}s"


def _and(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
