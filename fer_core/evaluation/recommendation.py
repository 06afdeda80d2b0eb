"""The recommendation: which run to ship within a user's constraints, and why not the others.

The rule: among the runs within the constraints, take those whose mean cost on validation is not
significantly higher than that of the best (paired test, Holm's correction over the comparisons with
the best, 5% level). Of these take the fastest by median latency at batch size 1; among runs up to
10% slower than the fastest, take the smallest. Validation decides; the numbers that are shown are
those of test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.candidates import Candidate, Split
from fer_core.evaluation.constraints import (
    Constraints,
    Loosening,
    Violation,
    loosenings,
    violations,
)
from fer_core.evaluation.error_costs import ErrorCosts, cost_difference, paired_test
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.significance import LEVEL, holm
from fer_core.labels import LabelSet

AS_FAST = 1.1
"""Runs up to this many times slower than the fastest count as equally fast."""


class AssessmentStatus(StrEnum):
    """Why a run is recommended or not."""

    RECOMMENDED = "recommended"
    TIED = "tied"
    """Not significantly worse than the best, but slower or larger than the recommended run."""
    WORSE = "worse"
    """Significantly worse than the best on validation."""
    EXCLUDED = "excluded"
    """Outside the constraints."""


@dataclass(frozen=True)
class Assessment:
    """One run in a recommendation.

    Attributes:
        run_id: Id of the run.
        title: Display name.
        status: Why it is recommended or not.
        is_ensemble: Whether it is an ensemble.
        violations: Constraints that it violates.
        validation_cost: Mean cost per image on validation.
        validation_p: Corrected p-value of its difference from the best run on validation; None for
            the best run and for runs outside the constraints.
        test_cost: Mean cost per image on test.
        accuracy: Test accuracy with its 95% interval.
        macro_recall: Test macro-recall with its 95% interval.
        difference: Mean cost on test minus that of the recommended run; None for the recommended
            run, for runs outside the constraints, and if there is no recommended run.
        test_p: Corrected p-value of this difference on test; None where there is no difference.
        milliseconds: Median latency at batch size 1; None if it was not measured.
        megabytes: Size of the weight files in MB; None if it was not measured.
        licences: Licences of the weights.
    """

    run_id: str
    title: str
    status: AssessmentStatus
    is_ensemble: bool
    violations: tuple[Violation, ...]
    validation_cost: float
    validation_p: float | None
    test_cost: float
    accuracy: Estimate
    macro_recall: Estimate
    difference: Estimate | None
    test_p: float | None
    milliseconds: float | None
    megabytes: float | None
    licences: tuple[str, ...]

    @property
    def better_on_test(self) -> bool:
        """Whether it is significantly better than the recommended run on test."""
        significant = self.test_p is not None and self.test_p < LEVEL
        return significant and self.difference is not None and self.difference.value < 0


@dataclass(frozen=True)
class RecallCheck:
    """Recall of a class that a constraint limits, for the recommended run.

    Attributes:
        label: The class.
        least: Minimum recall of the constraint, 0 to 1.
        validation: Recall on validation with its 95% interval.
        test: Recall on test with its 95% interval; None without a test image of the class.
    """

    label: str
    least: float
    validation: Estimate
    test: Estimate | None

    @property
    def holds_on_test(self) -> bool:
        """Whether the test recall is at least the limit."""
        return self.test is None or self.test.value >= self.least


@dataclass(frozen=True)
class Recommendation:
    """The recommended run, and the assessment of every comparable run.

    Attributes:
        labels: The classes.
        constraints: Constraints of the user.
        costs: Costs of errors.
        best: Id of the run with the lowest validation cost within the constraints; None if no run
            is within them.
        assessments: All comparable runs: the recommended run first, then by status and test cost.
        recalls: Recalls of the recommended run that constraints limit.
        loosenings: If no run is within the constraints, the smallest changes that leave one.
    """

    labels: LabelSet
    constraints: Constraints
    costs: ErrorCosts
    best: str | None
    assessments: tuple[Assessment, ...]
    recalls: tuple[RecallCheck, ...]
    loosenings: tuple[Loosening, ...]

    @property
    def recommended(self) -> Assessment | None:
        """The recommended run; None if no run is within the constraints."""
        first = self.assessments[0] if self.assessments else None
        return first if first is not None and first.status is AssessmentStatus.RECOMMENDED else None

    @property
    def recommended_id(self) -> str | None:
        """Id of the recommended run; None if no run is within the constraints."""
        return None if self.recommended is None else self.recommended.run_id

    @property
    def best_run(self) -> Assessment | None:
        """The run with the lowest validation cost within the constraints."""
        return next((item for item in self.assessments if item.run_id == self.best), None)

    @property
    def others(self) -> tuple[Assessment, ...]:
        """All comparable runs but the recommended one."""
        return self.assessments[1:] if self.recommended else self.assessments

    @property
    def contradictions(self) -> tuple[Assessment, ...]:
        """Runs within the constraints that are significantly better on test."""
        return tuple(item for item in self.others if item.better_on_test)


class CostComparisons:
    """Mean costs and paired comparisons of candidates; each is computed once.

    Other constraints compare mostly the same pairs, so a caller that keeps this object gets them
    at once. It is valid for one set of candidates.

    Args:
        costs: Costs of errors.
        persons: Person of each image by split, see `candidates.persons_by_split`.
    """

    def __init__(
        self, costs: ErrorCosts, persons: Mapping[Split, NDArray[np.object_] | None] | None = None
    ) -> None:
        self.costs = costs
        self._persons = persons or {}
        self._means: dict[tuple[str, Split], float] = {}
        self._p_values: dict[tuple[str, str, Split], float] = {}
        self._differences: dict[tuple[str, str], Estimate] = {}

    def mean(self, item: Candidate, split: Split) -> float:
        """Returns a run's mean cost per image."""
        key = (item.run_id, split)
        if key not in self._means:
            self._means[key] = self.costs.mean(item.on(split))
        return self._means[key]

    def difference(self, item: Candidate, reference: Candidate) -> Estimate:
        """Returns the difference of mean costs on test, run minus reference."""
        key = (item.run_id, reference.run_id)
        if key not in self._differences:
            persons = self._persons.get(Split.TEST)
            self._differences[key] = cost_difference(item.test, reference.test, self.costs, persons)
        return self._differences[key]

    def p_values(
        self, reference: Candidate, candidates: Sequence[Candidate], split: Split
    ) -> Mapping[str, float]:
        """Returns corrected p-values of all other runs against a reference, by run id."""
        others = [item for item in candidates if item is not reference]
        raw = [self._p_value(item, reference, split) for item in others]
        return {item.run_id: float(p) for item, p in zip(others, holm(raw), strict=True)}

    def _p_value(self, item: Candidate, reference: Candidate, split: Split) -> float:
        key = (item.run_id, reference.run_id, split)
        if key not in self._p_values:
            persons = self._persons.get(split)
            test = paired_test(item.on(split), reference.on(split), self.costs, persons)
            self._p_values[key] = test
        return self._p_values[key]


def recommend(
    candidates: Sequence[Candidate],
    constraints: Constraints,
    costs: ErrorCosts,
    comparisons: CostComparisons | None = None,
) -> Recommendation:
    """Applies the rule to aligned candidates; see the module's text.

    Args:
        candidates: At least one run; all have predictions for the same samples in the same order.
        constraints: Constraints of the user.
        costs: Costs of errors.
        comparisons: Comparisons of the same candidates by the same costs, to compute them once.

    Raises:
        DataError: If constraints or costs name an unknown class, or a licence that no run has.
    """
    labels = candidates[0].test.labels
    constraints.check_labels(labels.names)
    constraints = constraints.with_licences_of(candidates)
    compare = comparisons or CostComparisons(costs)
    broken = {item.run_id: violations(item, constraints) for item in candidates}
    inside = [item for item in candidates if not broken[item.run_id]]
    best = min(
        inside, key=lambda item: (compare.mean(item, Split.VALIDATION), item.run_id), default=None
    )
    p_values = {} if best is None else compare.p_values(best, inside, Split.VALIDATION)
    tied = [item for item in inside if item is best or p_values[item.run_id] >= LEVEL]
    pick = fastest(tied) if tied else None
    test_p = {} if pick is None else compare.p_values(pick, inside, Split.TEST)
    assessments = []
    for item in candidates:
        status = _status(item, pick, tied, excluded=bool(broken[item.run_id]))
        assessment = _assess(item, status, broken[item.run_id], compare, pick)
        assessments.append(
            replace(
                assessment,
                validation_p=p_values.get(item.run_id),
                test_p=test_p.get(item.run_id),
            )
        )
    order = list(AssessmentStatus)
    assessments.sort(key=lambda item: (order.index(item.status), item.test_cost, item.run_id))
    return Recommendation(
        labels=labels,
        constraints=constraints,
        costs=costs,
        best=None if best is None else best.run_id,
        assessments=tuple(assessments),
        recalls=() if pick is None else _recall_checks(pick, constraints),
        loosenings=() if inside else loosenings(candidates, constraints),
    )


def fastest(candidates: Sequence[Candidate]) -> Candidate:
    """Returns the smallest of the runs that are at most 10% slower than the fastest.

    Runs whose latency was not measured are only considered if no run's was; then the smallest
    measured size decides.

    Args:
        candidates: At least one run.
    """
    times = {item.run_id: item.milliseconds for item in candidates}
    known = [time for time in times.values() if time is not None]
    limit = min(known) * AS_FAST if known else None
    fast = [
        item
        for item in candidates
        if limit is None or (item.milliseconds is not None and item.milliseconds <= limit)
    ]
    return min(
        fast,
        key=lambda item: (
            float("inf") if item.megabytes is None else item.megabytes,
            float("inf") if item.milliseconds is None else item.milliseconds,
            item.run_id,
        ),
    )


def _assess(
    item: Candidate,
    status: AssessmentStatus,
    broken: tuple[Violation, ...],
    compare: CostComparisons,
    pick: Candidate | None,
) -> Assessment:
    """Returns the assessment of one run, without p-values."""
    return Assessment(
        run_id=item.run_id,
        title=item.title,
        status=status,
        is_ensemble=item.is_ensemble,
        violations=broken,
        validation_cost=compare.mean(item, Split.VALIDATION),
        validation_p=None,
        test_cost=compare.mean(item, Split.TEST),
        accuracy=item.test_metrics.accuracy,
        macro_recall=item.test_metrics.macro_recall,
        difference=None
        if pick is None or item is pick or broken
        else compare.difference(item, pick),
        test_p=None,
        milliseconds=item.milliseconds,
        megabytes=item.megabytes,
        licences=item.licences,
    )


def _status(
    item: Candidate, pick: Candidate | None, tied: Sequence[Candidate], *, excluded: bool
) -> AssessmentStatus:
    if excluded:
        return AssessmentStatus.EXCLUDED
    if item is pick:
        return AssessmentStatus.RECOMMENDED
    return AssessmentStatus.TIED if any(item is other for other in tied) else AssessmentStatus.WORSE


def _recall_checks(pick: Candidate, constraints: Constraints) -> tuple[RecallCheck, ...]:
    checks = []
    for label, least in constraints.min_recall:
        index = pick.validation.labels.index(label)
        validation = pick.validation_metrics.classes[index].recall
        if validation is not None:  # a class without validation images excludes every run
            checks.append(
                RecallCheck(label, least, validation, pick.test_metrics.classes[index].recall)
            )
    return tuple(checks)
