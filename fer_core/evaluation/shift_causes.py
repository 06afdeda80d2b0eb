"""Causes of a change of accuracy between a benchmark and a transferred set, and remedies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from fer_core.evaluation.estimate_trust import MOST_OUTSIDE
from fer_core.evaluation.label_shift import AgreementCheck
from fer_core.evaluation.shift import Cause, ClassShare, DistributionShift, RunShift
from fer_core.evaluation.significance import LEVEL, right_test

LARGEST_UNSEEN = 0.05
"""A fall that the interval does not exclude from which more labels are asked for."""

SMALL = 0.01
"""Changes of accuracy below one point are not explained."""

FAR_OUTSIDE = 0.1
"""Share of faces beyond 98% of the benchmark's from which a measure differs."""

EXPECTED_MISPLACED = 0.033
"""Share of the benchmark's own faces beyond 98% of 150 others, from which quantiles are known."""

EXPECTED_OUTSIDE = 0.01
"""Share of the benchmark's own faces farther out in the embedding than 99% of it."""

FEWEST_REFRAMED = 30
ECE_RISE = 0.05
SHARE_CHANGE = 0.1

EXPECTED_BEYOND = 0.02
"""Share of the benchmark's own faces outside its 1% to 99% quantiles."""

LESS_AGREEMENT = 0.05
"""Fall of the networks' agreement, beyond that of class shares, from which faces differ."""

_ADAPT = "adapt a run to labels of this set"
_RECALIBRATE = "recalibrate: fit temperature and class priors on labels of this set"
_REFRAME = "reframe: let the faces be found and cropped, without --cropped"
_RELABEL = "relabel: check the labels that all models contradict"


@dataclass(frozen=True)
class FramingCheck:
    """Accuracy of one network on the same faces, as framed and after reframing.

    Attributes:
        run_id: The network.
        before, after: Accuracy, 0 to 1.
        faces: Number of labelled faces.
        p_value: Paired test of both results on the same faces, see `significance.right_test`.
    """

    run_id: str
    before: float
    after: float
    faces: int
    p_value: float

    @classmethod
    def of(
        cls,
        run_id: str,
        before: NDArray[np.bool_],
        after: NDArray[np.bool_],
        persons: NDArray[np.object_] | None = None,
    ) -> Self:
        """Compares whether each face is right as framed and after reframing.

        Args:
            run_id: The network.
            before: Whether each face is right as framed, shape (N,).
            after: Whether it is right after reframing, shape (N,).
            persons: Person of each face, as `persons.persons_of` returns them.
        """
        means = float(before.mean()), float(after.mean())
        return cls(run_id, *means, len(before), right_test(after, before, persons))

    @property
    def is_sure(self) -> bool:
        """Whether enough faces were compared and chance does not explain the difference."""
        return self.faces >= FEWEST_REFRAMED and self.p_value < LEVEL


@dataclass(frozen=True)
class Signs:
    """Differences between a benchmark and a set.

    Attributes:
        classes: Class shares.
        framing: Placement of the faces.
        framing_check: Accuracy before and after reframing; None if it was not measured.
        outside: Share of faces far out in the embedding; None if they were not compared.
        compared: Number of faces that were compared in the embedding.
        conflicts: Share of labels that all networks contradict alike, beyond the benchmark's; None
            if it is unknown.
        pictures: Light, contrast and sharpness.
        agreement: Agreement of the networks, and what class shares alone would make of it; None if
            it is unknown.
    """

    classes: Sequence[ClassShare]
    framing: Sequence[DistributionShift]
    framing_check: FramingCheck | None
    outside: float | None
    compared: int
    conflicts: float | None
    pictures: Sequence[DistributionShift] = ()
    agreement: AgreementCheck | None = None


def explain(runs: Sequence[RunShift], signs: Signs) -> tuple[tuple[Cause, ...], str]:
    """Returns what explains the change, largest first, and one sentence with the remedy.

    Args:
        runs: Each run on the benchmark and on the set.
        signs: Differences between the benchmark and the set.
    """
    labelled = [run for run in runs if run.accuracy is not None]
    if not labelled:
        return _without_labels(signs)
    accuracy = float(np.mean([run.accuracy.value for run in labelled if run.accuracy]))
    before = float(np.mean([run.benchmark_accuracy for run in labelled]))
    causes = [_class_cause(labelled, accuracy)]
    if signs.framing_check is not None and signs.framing_check.is_sure:
        causes.append(_framing_cause(signs.framing_check))
    causes += _within_cause(labelled, accuracy, signs.outside)
    if signs.conflicts is not None:
        causes.append(_label_cause(signs.conflicts))
    causes.sort(key=lambda cause: -(cause.points or 0))
    return tuple(causes), _sentence(causes, before, accuracy, labelled)


def _label_cause(conflicts: float) -> Cause:
    return Cause(
        name="labels",
        points=100 * conflicts,
        text="The share of faces on which all networks agree on another class than the label, "
        f"with a mean confidence of at least 80%, is {100 * conflicts:.1f} points higher than in "
        "the benchmark.",
        remedy=_RELABEL,
    )


def _class_cause(runs: Sequence[RunShift], accuracy: float) -> Cause:
    """Returns the part of class shares: the mean of both orders of changing shares and recalls.

    Runs that predict one class for want of evidence reach a high recall of it; its share in the
    benchmark alone would then explain too much.
    """
    values = [run.reweighted for run in runs if run.reweighted is not None]
    gains = [float(np.mean(values)) - accuracy]
    text = (
        f"At the benchmark's class shares the mean accuracy would be {accuracy + gains[0]:.1%} "
        f"instead of {accuracy:.1%}"
    )
    pairs = [(run.benchmark_accuracy, run.at_set_shares) for run in runs if run.at_set_shares]
    if pairs:
        before, there = np.mean(pairs, axis=0).tolist()
        gains.append(before - there)
        text += (
            f"; on the benchmark at this set's class shares, {there:.1%} instead of {before:.1%}"
        )
    points = 100 * float(np.mean(gains))
    return Cause(name="class shares", points=points, text=f"{text}.", remedy=_RECALIBRATE)


def _framing_cause(check: FramingCheck) -> Cause:
    return Cause(
        name="framing",
        points=100 * (check.after - check.before),
        text=f"{check.run_id} reaches {check.after:.1%} instead of {check.before:.1%} on "
        f"{check.faces:,} labelled faces if they are cropped in the benchmark's framing.",
        remedy=_REFRAME,
    )


def _within_cause(runs: Sequence[RunShift], accuracy: float, outside: float | None) -> list[Cause]:
    inside = [run.within for run in runs if run.within is not None]
    if not inside or outside is None:
        return []
    gain = float(np.mean(inside)) - accuracy
    return [
        Cause(
            name="out-of-distribution faces",
            points=100 * gain,
            text=f"Without the {outside:.0%} of faces with a larger embedding distance than 99% of "
            f"the benchmark's, the mean accuracy is {accuracy + gain:.1%} instead of "
            f"{accuracy:.1%}.",
            remedy=_ADAPT,
        )
    ]


def _sentence(
    causes: Sequence[Cause], before: float, accuracy: float, runs: Sequence[RunShift]
) -> str:
    drop = before - accuracy
    rise = float(np.mean([(run.ece or 0) - run.benchmark_ece for run in runs]))
    low = float(np.mean([run.accuracy.low for run in runs if run.accuracy]))
    high = float(np.mean([run.accuracy.high for run in runs if run.accuracy]))
    if drop < SMALL or before <= high:
        start = (
            f"The mean accuracy is {accuracy:.1%} [{low:.1%}, {high:.1%}], against {before:.1%} on "
            "the benchmark."
        )
        if before - low > LARGEST_UNSEEN:
            return (
                f"{start} No fall is shown, but one of up to {100 * (before - low):.0f} points "
                "cannot be excluded: label more faces."
            )
        if rise > ECE_RISE and _is_less_calibrated(runs):
            return f"{start} Only calibration is worse (ECE {rise:+.2f}): {_RECALIBRATE}."
        return f"{start} Nothing needs to be done."
    start = (
        f"The mean accuracy falls by {100 * drop:.1f} points, from {before:.1%} to {accuracy:.1%}."
    )
    largest = causes[0]
    points = largest.points or 0.0
    if points < max(100 * SMALL, 50 * drop):
        shown = f", after {largest.name} with {points:.1f}" if points >= 1 else ""
        return (
            f"{start} Most of it, {100 * drop - max(points, 0):.1f} points, is not explained by "
            f"the causes below{shown}. To do: {_ADAPT}."
        )
    return (
        f"{start} The largest cause is {largest.name} ({points:+.1f} points). To do: "
        f"{largest.remedy}."
    )


def _is_less_calibrated(runs: Sequence[RunShift]) -> bool:
    """Whether the mean ECE is larger than so few of the benchmark's images explain."""
    by_chance = [run.ece_by_chance or 0.0 for run in runs]
    return float(np.mean([run.ece or 0.0 for run in runs])) > float(np.mean(by_chance))


def _without_labels(signs: Signs) -> tuple[tuple[Cause, ...], str]:
    """Names what differs; without labels nothing says how much accuracy it costs."""
    causes = _visible(signs.framing, "framing", EXPECTED_MISPLACED, _REFRAME)
    if (
        signs.outside is not None
        and signs.outside > MOST_OUTSIDE
        and _exceeds(signs.outside, signs.compared, EXPECTED_OUTSIDE)
    ):
        text = (
            f"{signs.outside:.0%} of the faces have a larger embedding distance than 99% of the "
            "benchmark's faces."
        )
        causes.append(
            Cause(name="out-of-distribution faces", points=None, text=text, remedy=_ADAPT)
        )
    causes += _visible(signs.pictures, "light and sharpness", EXPECTED_BEYOND, _ADAPT)
    causes += _visible_disagreement(signs.agreement)
    causes += _visible_classes(signs.classes, faces_differ=bool(causes))
    if not causes:
        return (), (
            "Framing, light, class shares, embedding and the networks' agreement are like the "
            "benchmark's. Label some faces to know the accuracy."
        )
    return tuple(causes), (
        f"Without labels, the clearest difference is {causes[0].name}: {causes[0].text} To do: "
        f"{causes[0].remedy}; label some faces to know what it costs."
    )


def _visible_disagreement(check: AgreementCheck | None) -> list[Cause]:
    """Names faces that look different, if networks agree less than class shares explain."""
    if check is None or check.p_value >= LEVEL or check.expected - check.observed < LESS_AGREEMENT:
        return []
    text = (
        f"Two networks agree on {check.observed:.0%} of the faces; if only class shares differed, "
        f"it would be about {check.expected:.0%}."
    )
    return [Cause(name="faces that look different", points=None, text=text, remedy=_ADAPT)]


def _visible_classes(classes: Sequence[ClassShare], *, faces_differ: bool) -> list[Cause]:
    """Names the class whose estimated share changed most, if its interval excludes no change.

    Args:
        classes: Class shares.
        faces_differ: Whether something else differs; the estimate assumes that nothing does.
    """
    changed = [
        row
        for row in classes
        if abs(row.bbse[0] - row.benchmark) > SHARE_CHANGE
        and not row.bbse[1] <= row.benchmark <= row.bbse[2]
    ]
    if not changed:
        return []
    moved = max(changed, key=lambda row: abs(row.bbse[0] - row.benchmark))
    value, low, high = moved.bbse
    text = (
        f"If faces of a class look as in the benchmark and only class shares differ, about "
        f"{value:.0%} ({low:.0%} to {high:.0%}) of the faces are {moved.label}, against "
        f"{moved.benchmark:.0%} in the benchmark."
    )
    if faces_differ:
        text += " The faces look different, so this may be far off."
    return [Cause(name="class shares", points=None, text=text, remedy=_RECALIBRATE)]


def _exceeds(share: float, faces: int, expected: float) -> bool:
    """Whether a share of the faces is larger than expected, by a one-sided binomial test."""
    return float(bdtrc(round(share * faces) - 1, faces, expected)) < LEVEL


def _visible(
    distributions: Sequence[DistributionShift], name: str, expected: float, remedy: str
) -> list[Cause]:
    """Names the measure with most faces beyond the benchmark's, if they are more than expected."""
    differing = [
        row
        for row in distributions
        if row.outside >= FAR_OUTSIDE and _exceeds(row.outside, row.faces, expected)
    ]
    if not differing:
        return []
    worst = max(differing, key=lambda row: row.outside)
    text = (
        f"{worst.title[0].upper()}{worst.title[1:]}: {worst.outside:.0%} of the faces lie "
        "outside the benchmark's 1% to 99% quantiles."
    )
    return [Cause(name=name, points=None, text=text, remedy=remedy)]
