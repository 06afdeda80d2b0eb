"""Compares a transferred set with the benchmark that its runs come from. No network runs here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from fer_core.artifacts import BenchmarkDir
from fer_core.errors import ArtifactError
from fer_core.evaluation import metrics
from fer_core.evaluation.accuracy_estimates import (
    AgreementLine,
    RunPredictions,
    agreement_by_image,
    estimate,
    mean_agreement,
    moved_share,
)
from fer_core.evaluation.calibration import fit_temperature, scale_predictions
from fer_core.evaluation.estimate_trust import (
    MOST_MOVED,
    Signals,
    contradicted_by_labels,
    error_of,
    faces_needed,
    margin_of,
    method_error,
    read_checks,
    reasons_against,
    shown_estimate,
    spread_of,
)
from fer_core.evaluation.label_shift import (
    AgreementCheck,
    bbse,
    em_priors,
    priors_of,
    with_interval,
)
from fer_core.evaluation.person_accuracy import share_of
from fer_core.evaluation.persons import persons_of
from fer_core.evaluation.predictions import (
    UNLABELLED,
    Predictions,
    SplitPredictions,
    read_predictions,
)
from fer_core.evaluation.shift import (
    ClassShare,
    DistributionShift,
    OrderOfRuns,
    RunShift,
    ShiftReport,
)
from fer_core.evaluation.shift_causes import FramingCheck, Signs, explain
from fer_core.evaluation.shift_reference import MEASURES, ShiftReference
from fer_core.records import RunInfo
from fer_core.tables import read_table

MEASUREMENT_COLUMNS = ("id", "distance", *MEASURES, "reframed")
FEWEST_WITHIN = 30
SURE = 0.8
"""Mean confidence from which a shared prediction speaks against a label."""

_RESAMPLES = 200
_UNLIKELY = 0.05
_FIVE = (5, 25, 50, 75, 95)
QUALITY = frozenset({"brightness", "contrast", "sharpness"})
"""Measures of the pictures that show whether faces look as in the benchmark."""

_PICTURES = {
    "brightness": ("light: mean grey level", ""),
    "contrast": ("contrast: deviation of grey levels", ""),
    "sharpness": ("sharpness: variance of the Laplacian", ""),
    "width": ("size of the face in its picture", "px"),
}


@dataclass(frozen=True)
class TransferredRun:
    """A run's predictions, calibrated by the temperature of the benchmark's validation split.

    Attributes:
        info: The run.
        validation: Predictions for the benchmark's validation split.
        benchmark_test: Predictions for the benchmark's test split.
        everything: Predictions for all faces of the set; unlabelled ones have the truth
            `UNLABELLED`.
    """

    info: RunInfo
    validation: SplitPredictions
    benchmark_test: SplitPredictions
    everything: SplitPredictions

    @property
    def predictions(self) -> RunPredictions:
        """Predictions for validation and the set, for estimates without labels."""
        return RunPredictions(self.validation, self.everything.probabilities)

    @property
    def labelled(self) -> SplitPredictions:
        """The labelled faces."""
        return self.everything.select(self.everything.truth != UNLABELLED)


def write_shift(benchmark: BenchmarkDir) -> ShiftReport:
    """Compares a transferred set with its benchmark and writes `shift.json`.

    Raises:
        ArtifactError: If the set or its benchmark cannot be read, or no run can.
    """
    report = build_shift(benchmark)
    report.write(benchmark.shift_path)
    return report


@dataclass(frozen=True)
class _Facts:
    """Inputs of the comparison.

    Attributes:
        runs: Readable runs of the set.
        samples: Samples of the set.
        measurements: Measurements of the set's faces, in the order of the samples.
        reference: Statistics of the benchmark's faces; None if they are missing.
    """

    runs: Mapping[str, TransferredRun]
    samples: pd.DataFrame
    measurements: pd.DataFrame
    reference: ShiftReference | None

    @property
    def distances(self) -> NDArray[np.float64]:
        """Embedding distances, shape (N,); NaN where a face was not compared."""
        return self.measurements["distance"].to_numpy(dtype=np.float64)

    @property
    def persons(self) -> NDArray[np.object_] | None:
        """Person of each face, shape (N,); None if they are not known."""
        return persons_of(self.samples)

    @property
    def labelled_persons(self) -> int | None:
        """Number of persons of the labelled faces; None if they are not known."""
        if self.persons is None:
            return None
        labelled = self.samples["label"].notna().to_numpy()
        return int(pd.Series(self.persons[labelled]).nunique()) or None

    @property
    def outside(self) -> float | None:
        """Share of faces farther out than 99% of the benchmark's; None if not compared."""
        seen = np.isfinite(self.distances)
        if self.reference is None or not seen.any():
            return None
        return self.reference.space.share_outside(self.distances[seen])

    @property
    def within(self) -> NDArray[np.bool_] | None:
        """Whether each face is like the benchmark's, shape (N,); None if they were not compared."""
        if self.reference is None or self.outside is None:
            return None
        within: NDArray[np.bool_] = self.distances <= self.reference.space.limit
        return within


def build_shift(benchmark: BenchmarkDir) -> ShiftReport:
    """Compares a transferred set with its benchmark; see `write_shift`."""
    origin, runs = benchmark.origin, read_runs(benchmark)
    if origin is None:
        raise ArtifactError(f"{benchmark.name} is no transferred set. Transfer it first.")
    if not runs:
        raise ArtifactError(f"{benchmark.name} has no run that can be compared. Transfer it again.")
    info, samples = benchmark.info(), benchmark.samples()
    facts = _Facts(runs, samples, _measurements(benchmark, samples), _reference(origin))
    line = AgreementLine.of({name: run.predictions for name, run in _networks(runs).items()})
    rows = tuple(_run_shift(run, line, facts) for run in runs.values())
    present = tuple(name for name, count in info.counts["test"].items() if count)
    classes = _classes(max(runs.values(), key=lambda run: run.predictions.accuracy), present)
    framing = _framing(facts)
    agreement, before = _agreements(_networks(runs))
    pictures = _pictures(samples, origin.samples())
    causes, sentence = explain(rows, _signs(facts, classes, (framing, pictures)))
    checks = read_checks(origin.estimate_checks_path)
    signals = _signals(facts, rows, checks)
    return _with_contradiction(
        ShiftReport(
            faces=len(samples),
            labelled=info.labelled,
            missing_classes=tuple(n for n in info.labels if n not in present) if present else (),
            runs=rows,
            ranking=order_of_runs(list(runs.values())),
            classes=classes,
            pictures=pictures,
            framing=framing,
            outside=facts.outside,
            outside_run=None if facts.reference is None else facts.reference.run_id,
            agreement=agreement,
            benchmark_agreement=before,
            causes=causes,
            sentence=sentence,
            trusted=True,
            reasons=reasons_against(signals),
            error=error_of(checks),
            margin=signals.margin,
            persons=facts.labelled_persons,
        )
    )


def _with_contradiction(report: ShiftReport) -> ShiftReport:
    """Returns a report whose estimates are not trusted if labels contradict the class shares."""
    reasons = (*report.reasons, *report.contradicted_shares)
    return report.model_copy(update={"trusted": not reasons, "reasons": reasons})


def _signs(
    facts: _Facts,
    classes: Sequence[ClassShare],
    distributions: tuple[Sequence[DistributionShift], Sequence[DistributionShift]],
) -> Signs:
    """Returns the signs of a shift; the distributions are those of framing and of the pictures."""
    framing, pictures = distributions
    return Signs(
        classes=classes,
        framing=framing,
        pictures=[row for row in pictures if row.name in QUALITY],
        agreement=_agreement_check(_networks(facts.runs)),
        framing_check=_framing_check(facts),
        outside=facts.outside,
        compared=int(np.isfinite(facts.distances).sum()),
        conflicts=_conflicts(facts.runs),
    )


def _signals(facts: _Facts, rows: Sequence[RunShift], checks: pd.DataFrame | None) -> Signals:
    losses = [
        run.predictions.accuracy - row.estimate
        for run, row in zip(facts.runs.values(), rows, strict=True)
    ]
    spreads = [spread_of(row.estimates) for row in rows]
    faces, known = len(facts.samples), None if checks is None else checks[checks["within"]]
    method = None if known is None else method_error(known)
    estimates = [row.estimate for row in rows]
    images = min(len(run.validation) for run in facts.runs.values())
    margin = None if method is None else margin_of(estimates, faces, method, images)
    enough = None if method is None else faces_needed(estimates, method, images)
    return Signals(
        faces=faces,
        margin=margin,
        outside=facts.outside,
        spread=float(np.median(spreads)),
        loss=float(np.median(losses)),
        moved=moved_share([run.predictions for run in facts.runs.values()]),
        misplaced=max((row.outside for row in _framing(facts)), default=0.0),
        contradicted=contradicted_by_labels(rows, margin),
        enough=enough,
    )


def read_runs(benchmark: BenchmarkDir) -> dict[str, TransferredRun]:
    """Returns the readable runs of a transferred set, by id; others are left out."""
    runs: dict[str, TransferredRun] = {}
    ids = benchmark.samples()["id"].to_numpy(dtype=object)
    for directory in benchmark.runs():
        try:
            info = directory.info()
            stored = read_predictions(directory, benchmark.info().label_set, unlabelled=True)
            validation, everything = stored.split("validation"), stored.split("test")
            if directory.origin is None:
                continue
            original = Predictions.read(directory.origin.predictions_path, everything.labels)
            temperature = fit_temperature(validation)
            run = TransferredRun(
                info,
                scale_predictions(validation, temperature),
                scale_predictions(original.split("test"), temperature),
                scale_predictions(everything, temperature),
            )
        except ArtifactError:
            continue
        if np.array_equal(ids, run.everything.ids):  # else it predicted the set as it was
            runs[info.run_id] = run
    return runs


def _networks(runs: Mapping[str, TransferredRun]) -> dict[str, TransferredRun]:
    return {name: run for name, run in runs.items() if not run.info.members}


def _measurements(benchmark: BenchmarkDir, samples: pd.DataFrame) -> pd.DataFrame:
    """Returns the measurements in the order of the samples; NaN where there are none."""
    try:
        table = read_table(benchmark.measurements_path, MEASUREMENT_COLUMNS)
    except ArtifactError:
        table = pd.DataFrame(columns=list(MEASUREMENT_COLUMNS))
    return table.set_index("id").reindex(samples["id"]).reset_index()


def _reference(origin: BenchmarkDir) -> ShiftReference | None:
    try:
        return ShiftReference.read(origin.reference_path)
    except ArtifactError:
        return None


def _run_shift(run: TransferredRun, line: AgreementLine | None, facts: _Facts) -> RunShift:
    test, labelled = run.benchmark_test, run.labelled
    estimates = {str(name): value for name, value in estimate(run.predictions, line).items()}
    shift = RunShift(
        run_id=run.info.run_id,
        benchmark_accuracy=_accuracy(test),
        benchmark_ece=metrics.ece(test.truth, test.probabilities),
        estimates=estimates,
        estimate=shown_estimate(estimates),
    )
    if not len(labelled):
        return shift
    known = run.everything.truth != UNLABELLED
    persons = None if facts.persons is None else facts.persons[known]
    names = [labelled.labels.names[index] for index in np.unique(labelled.truth)]
    present = None
    if 2 <= len(names) < len(labelled.labels):
        present = share_of(labelled.subset(names).right, persons)
    inside, within = None, facts.within
    if within is not None:
        like = run.everything.select(known & within)
        inside = _accuracy(like) if len(like) >= FEWEST_WITHIN else None
    return shift.model_copy(
        update={
            "accuracy": share_of(labelled.right, persons),
            "accuracy_present": present,
            "ece": metrics.ece(labelled.truth, labelled.probabilities),
            "ece_by_chance": ece_by_chance(test, len(labelled)),
            "reweighted": _reweighted(labelled, test),
            "at_set_shares": _reweighted(test, labelled),
            "within": inside,
        }
    )


def ece_by_chance(test: SplitPredictions, images: int, seed: int = 0) -> float:
    """Returns the 95% quantile of the ECE of this many of the benchmark's test images.

    They are drawn with replacement, as the set may be larger than the benchmark.
    """
    random = np.random.default_rng(seed)
    values = []
    for _ in range(_RESAMPLES):
        rows = random.integers(0, len(test), images)
        values.append(metrics.ece(test.truth[rows], test.probabilities[rows]))
    return float(np.quantile(values, 1 - _UNLIKELY))


def _accuracy(predictions: SplitPredictions) -> float:
    return float(predictions.right.mean())


def _reweighted(scored: SplitPredictions, other: SplitPredictions) -> float:
    """Returns the accuracy at the class shares of other images, over the scored classes."""
    shares = priors_of(other.truth, len(other.labels))
    right = scored.right
    present = np.unique(scored.truth)
    recalls = np.array([right[scored.truth == index].mean() for index in present])
    weights = shares[present]
    return float((recalls * weights).sum() / weights.sum()) if weights.sum() else _accuracy(scored)


def _classes(run: TransferredRun, present: Sequence[str]) -> tuple[ClassShare, ...]:
    """Returns class shares; estimates are those of the most accurate run on validation."""
    names = run.everything.labels.names
    shares = with_interval(run.validation, run.everything.predicted)
    source = priors_of(run.validation.truth, len(names))
    em = em_priors(run.everything.probabilities, source)
    benchmark = priors_of(run.benchmark_test.truth, len(names))
    labelled = priors_of(run.labelled.truth, len(names))
    return tuple(
        ClassShare(
            label=name,
            benchmark=float(benchmark[index]),
            labelled=float(labelled[index]) if present else None,
            bbse=(float(shares.value[index]), float(shares.low[index]), float(shares.high[index])),
            em=float(em[index]),
        )
        for index, name in enumerate(names)
    )


def _pictures(samples: pd.DataFrame, known: pd.DataFrame) -> tuple[DistributionShift, ...]:
    test = known[known["split"] == "test"]
    rows = []
    for name, (title, unit) in _PICTURES.items():
        if name in test.columns and name in samples.columns:
            quantiles = np.quantile(test[name].to_numpy(dtype=np.float64), np.linspace(0, 1, 101))
            rows.append(
                _comparison((name, title, unit), quantiles, samples[name].to_numpy(np.float64))
            )
    return tuple(rows)


def _framing(facts: _Facts) -> tuple[DistributionShift, ...]:
    if facts.reference is None:
        return ()
    rows = []
    for name, title in MEASURES.items():
        values = facts.measurements[name].to_numpy(dtype=np.float64)
        values = values[np.isfinite(values)]
        known = facts.reference.placement[name]
        if len(values) and np.isfinite(known).all():
            rows.append(_comparison((name, title, "°" if name == "roll" else ""), known, values))
    return tuple(rows)


def _comparison(
    what: tuple[str, str, str], benchmark: NDArray[np.float64], values: NDArray[np.float64]
) -> DistributionShift:
    """Compares values with quantiles 0, 0.01, ... 1 of the benchmark."""
    outside = float(((values < benchmark[1]) | (values > benchmark[99])).mean())
    five = np.percentile(values, _FIVE).tolist()
    name, title, unit = what
    return DistributionShift(
        name=name,
        title=title,
        unit=unit,
        benchmark=tuple(benchmark[list(_FIVE)].tolist()),
        transferred=tuple(five),
        outside=outside,
        faces=len(values),
    )


def order_of_runs(runs: Sequence[TransferredRun], seed: int = 0) -> OrderOfRuns | None:
    """Returns Kendall's tau of the accuracies, and the tau that chance alone leaves.

    An interval by resampling both sets would not hold: resampling adds noise, so it lies below the
    true tau. The tau of two samples from the benchmark alone has the noise of one comparison.
    """
    if len(runs) < 3 or not len(runs[0].labelled):
        return None
    try:
        tests = [run.benchmark_test.aligned_with(runs[0].benchmark_test) for run in runs]
    except ArtifactError:
        return None
    known = np.stack([part.right for part in tests])
    correct = np.stack([run.labelled.right for run in runs])
    random = np.random.default_rng(seed)
    images = known.shape[1]
    values = []
    for _ in range(_RESAMPLES):
        first = known[:, random.integers(0, images, images)].mean(axis=1)
        second = known[:, random.integers(0, images, correct.shape[1])].mean(axis=1)
        values.append(_tau(first, second))
    return OrderOfRuns(
        tau=_tau(known.mean(axis=1), correct.mean(axis=1)),
        expected=float(np.quantile(values, _UNLIKELY)),
        runs=len(runs),
    )


def _tau(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    tau = float(kendalltau(first, second).statistic)
    return 0.0 if np.isnan(tau) else tau


def _agreements(networks: Mapping[str, TransferredRun]) -> tuple[float | None, float | None]:
    if len(networks) < 2:
        return None, None
    runs = list(networks.values())
    before = mean_agreement([run.validation.predicted for run in runs])
    return mean_agreement([run.everything.predicted for run in runs]), before


def _agreement_check(networks: Mapping[str, TransferredRun]) -> AgreementCheck | None:
    """Compares the networks' agreement with that of the estimated class shares alone."""
    runs = list(networks.values())
    if len(runs) < 2:
        return None
    try:
        known = [run.validation.aligned_with(runs[0].validation) for run in runs]
    except ArtifactError:
        return None
    best = max(runs, key=lambda run: run.predictions.accuracy)
    shares = bbse(best.validation, best.everything.predicted)
    return AgreementCheck.of(
        agreement_by_image([part.predicted for part in known]),
        known[0].truth,
        shares,
        agreement_by_image([run.everything.predicted for run in runs]),
    )


def _conflicts(runs: Mapping[str, TransferredRun]) -> float | None:
    """Returns by how much more labels every network contradicts alike than in the benchmark.

    None without labels, with fewer than three networks, or if the predictions moved to other
    classes: then it is the networks that fail alike, not the labels.
    """
    networks = list(_networks(runs).values())
    if len(networks) < 3 or not len(networks[0].labelled):
        return None
    if moved_share([run.predictions for run in networks]) > MOST_MOVED:
        return None
    try:
        tests = [run.benchmark_test.aligned_with(networks[0].benchmark_test) for run in networks]
    except ArtifactError:
        return None
    usual = _contradicted(tests)
    return max(0.0, _contradicted([run.labelled for run in networks]) - usual)


def _contradicted(predictions: Sequence[SplitPredictions]) -> float:
    """Returns the share of labels that all contradict with one confident class."""
    predicted = np.stack([part.predicted for part in predictions])
    sure = np.mean([part.confidence for part in predictions], axis=0) >= SURE
    same = (predicted == predicted[0]).all(axis=0) & (predicted[0] != predictions[0].truth)
    return float((same & sure).mean())


def _framing_check(facts: _Facts) -> FramingCheck | None:
    """Returns the accuracy of one network as framed, and after reframing, on the same faces."""
    samples, reframed = facts.samples, facts.measurements["reframed"]
    rows = (reframed.notna() & samples["label"].notna()).to_numpy()
    if facts.reference is None or facts.reference.run_id not in facts.runs or not rows.any():
        return None
    run = facts.runs[facts.reference.run_id].everything
    order = pd.Index(run.ids).get_indexer(pd.Index(samples["id"][rows]))
    names = np.array(run.labels.names, dtype=object)
    truth = samples["label"].to_numpy(dtype=object)[rows]
    before = np.asarray(names[run.predicted[order]] == truth, dtype=bool)
    after = np.asarray(reframed.to_numpy(dtype=object)[rows] == truth, dtype=bool)
    persons = None if facts.persons is None else facts.persons[rows]
    return FramingCheck.of(facts.reference.run_id, before, after, persons)
