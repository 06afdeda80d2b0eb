"""`shift.json`: how a transferred set differs from the benchmark that its runs come from."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, field_validator

from fer_core.evaluation.report import Estimate
from fer_core.records import Record


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunShift(_Frozen):
    """A run on the benchmark's test split and on the transferred set.

    Attributes:
        run_id: The run.
        benchmark_accuracy: Accuracy on the benchmark's test split.
        benchmark_ece: ECE there, calibrated by the temperature of validation.
        accuracy: Accuracy on labelled faces; predictions of classes that the set lacks are wrong.
            None without labels. The interval is Wilson's, or over persons where they are known.
        accuracy_present: Accuracy if the probabilities are renormalised over the classes of the
            set; None if it has all classes, or no labels.
        ece: ECE on labelled faces, calibrated by the same temperature.
        ece_by_chance: 95% quantile of the benchmark's ECE on as many images as are labelled: ECE is
            larger in a small set even if calibration is the same. None without labels and in older
            files.
        reweighted: Accuracy at the class shares of the benchmark's test split, over the classes
            that the set has.
        at_set_shares: Accuracy on the benchmark's test split at the class shares of the labelled
            faces. None without labels and in older files.
        within: Accuracy on labelled faces like the benchmark's; None if they were not compared or
            are too few.
        estimates: Accuracy of all faces as estimated without labels, by method.
        estimate: The estimate that is shown.
    """

    run_id: str
    benchmark_accuracy: float
    benchmark_ece: float
    accuracy: Estimate | None = None
    accuracy_present: Estimate | None = None
    ece: float | None = None
    ece_by_chance: float | None = None
    reweighted: float | None = None
    at_set_shares: float | None = None
    within: float | None = None
    estimates: Mapping[str, float]
    estimate: float


class ClassShare(_Frozen):
    """Share of a class: in the benchmark's test split, among labels, and estimated without labels.

    Attributes:
        label: The class.
        benchmark: Share in the benchmark's test split.
        labelled: Share among labels; None without labels.
        bbse: Estimate by BBSE with its 95% bootstrap interval.
        em: Estimate by EM, which has no interval that holds. Older files have one, which is left
            out.
    """

    label: str
    benchmark: float
    labelled: float | None
    bbse: tuple[float, float, float]
    em: float

    @field_validator("em", mode="before")
    @classmethod
    def _without_interval(cls, em: object) -> object:
        return em[0] if isinstance(em, list | tuple) and em else em


class DistributionShift(_Frozen):
    """Distribution of a measure of the faces, in the benchmark and in the set.

    Attributes:
        name: Name of the measure.
        title: Title of the measure.
        unit: Unit, such as `px`; empty for grey levels and shares.
        benchmark: Quantiles 5%, 25%, 50%, 75% and 95% in the benchmark.
        transferred: Quantiles in the set.
        outside: Share of the set's faces beyond 98% of the benchmark's (1% at each end).
        faces: Number of the set's faces that were measured.
    """

    name: str
    title: str
    unit: str
    benchmark: tuple[float, float, float, float, float]
    transferred: tuple[float, float, float, float, float]
    outside: float
    faces: int


class Cause(_Frozen):
    """A cause of a change in accuracy.

    Attributes:
        name: Short name.
        points: Percentage points of accuracy that it explains, on average over runs; negative if
            it hides a larger loss. None without labels.
        text: The comparison in one sentence.
        remedy: Advice in one sentence.
    """

    name: str
    points: float | None
    text: str
    remedy: str


class OrderOfRuns(_Frozen):
    """Kendall's tau between the order of the runs on the benchmark and on the set.

    Attributes:
        tau: -1 (reversed) to 1 (equal).
        expected: Tau that two samples of the benchmark's test images, as large as both sets, exceed
            with 95% probability; None in older files.
        low, high: Older files only: an interval that did not hold, and is not shown.
        runs: Number of runs.
    """

    tau: float
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    runs: int

    @property
    def text(self) -> str:
        """The tau, and whether chance explains that it is below 1."""
        start = (
            f"Order of the {self.runs} models against the benchmark's: Kendall's tau "
            f"{self.tau:.2f} (1 is the same order, 0 none in common)."
        )
        if self.expected is None:
            return start
        compared = (
            f"If the models were as accurate here as on the benchmark, tau would be at least "
            f"{self.expected:.2f} with 95% probability"
        )
        if self.tau < self.expected:
            return f"{start} {compared}: the order changed more than chance explains."
        return f"{start} {compared}: chance can explain the change of the order."


class ErrorOfEstimates(_Frozen):
    """Errors of the shown estimate where labels exist, among checks with signals like these.

    Attributes:
        mean: Mean absolute error, as a share.
        most: 95th percentile of the absolute error.
        checks: Number of checks: one run on one set each.
        sets: Number of sets; None in older files.
    """

    mean: float
    most: float
    checks: int
    sets: int | None = None


class ShiftReport(Record):
    """Comparison of a benchmark with a transferred set.

    Attributes:
        faces: Faces of the set.
        labelled: Labelled faces.
        missing_classes: Classes of the benchmark without a labelled face.
        runs: Each run on both.
        ranking: Order of the runs; None without labels or with fewer than three runs.
        classes: Class shares.
        pictures: Light, sharpness and size.
        framing: Size, position and roll of the face.
        outside: Share of faces farther out in the embedding than 99% of the benchmark's; None if
            the benchmark's statistics are missing.
        outside_run: The network whose features were compared.
        agreement: Mean agreement of pairs of networks on the set.
        benchmark_agreement: Mean agreement on validation.
        causes: Causes of the change, largest first.
        sentence: The largest cause and its remedy.
        trusted: Whether estimates without labels can be trusted here.
        reasons: Why not; empty if they can.
        error: Errors of the estimate where labels exist; None if it was not checked.
        margin: Half the width of the 95% interval of the estimates' errors, for all runs at once;
            None if they were not checked.
        persons: Number of persons of the labelled faces, if they are known; intervals are then
            bootstrapped over persons. None in older files.
    """

    faces: int
    labelled: int
    missing_classes: tuple[str, ...]
    runs: tuple[RunShift, ...]
    ranking: OrderOfRuns | None
    classes: tuple[ClassShare, ...]
    pictures: tuple[DistributionShift, ...]
    framing: tuple[DistributionShift, ...]
    outside: float | None
    outside_run: str | None
    agreement: float | None
    benchmark_agreement: float | None
    causes: tuple[Cause, ...]
    sentence: str
    trusted: bool
    reasons: tuple[str, ...]
    error: ErrorOfEstimates | None
    margin: float | None = None
    persons: int | None = None

    @property
    def contradicted_shares(self) -> tuple[str, ...]:
        """A sentence on the estimated class share that labels contradict most; empty without one.

        The 95% interval of the labelled share and that of the estimate do not overlap.
        """
        contradicted = []
        for row in self.classes:
            known = _labelled_share(row, self.labelled)
            if known is not None and not (known.low <= row.bbse[2] and row.bbse[1] <= known.high):
                contradicted.append((abs(known.value - row.bbse[0]), row, known))
        if not contradicted:
            return ()
        _, row, known = max(contradicted, key=lambda item: item[0])
        value, low, high = row.bbse
        return (
            f"The labels contradict the estimated class shares: {known.value:.0%} "
            f"({known.low:.0%} to {known.high:.0%}) of {self.labelled:,} labelled faces are "
            f"{row.label}, the estimate without labels is {value:.0%} ({low:.0%} to {high:.0%}). "
            "Faces of a class do not look as in the benchmark, or the labelled faces are no random "
            "sample.",
        )


def _labelled_share(row: ClassShare, labelled: int) -> Estimate | None:
    if row.labelled is None:
        return None
    return Estimate.of_share(round(row.labelled * labelled), labelled)
