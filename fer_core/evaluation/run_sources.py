"""The finished runs of a benchmark, read for an evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.predictions import Predictions, read_predictions
from fer_core.evaluation.report import Report
from fer_core.evaluation.scope import TEST
from fer_core.records import BenchmarkInfo, RunInfo

_NO_LABELS = (
    "No picture of this set has a label, so nothing can be scored. Label some on the page Your "
    "faces, or pass --labels to `transfer`."
)


@dataclass(frozen=True)
class RunSource:
    """A finished run that can be evaluated.

    Attributes:
        directory: Files of the run.
        info: Metadata of the run.
        report: Report of the run.
        load: Reads the run's predictions.
    """

    directory: RunDir
    info: RunInfo
    report: Report
    load: Callable[[], Predictions]

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.info.run_id


def read_sources(benchmark: BenchmarkDir, info: BenchmarkInfo) -> tuple[list[RunSource], list[str]]:
    """Reads the records of all finished runs; their predictions are read later.

    Args:
        benchmark: Directory of the benchmark.
        info: Metadata of the benchmark.

    Returns:
        The runs by id, and one sentence for each run that cannot be read or is not the benchmark's.
    """
    sources, warnings = [], []
    for run in benchmark.finished_runs():
        try:
            run_info = run.checked_info(info)
            load = partial(read_predictions, run, info.label_set)
            sources.append(RunSource(run, run_info, Report.read(run.report_path), load))
        except FerscopeError as error:
            warnings.append(f"{run.run_id}: {error}")
    return sources, warnings


def check_matches_report(run: RunDir, predictions: Predictions, report: Report) -> None:
    """Checks that predictions and report belong together.

    Raises:
        ArtifactError: If the predictions have another number of test samples or another accuracy
            than the report.
    """
    test = predictions.split(TEST)
    count, expected = len(test), report.protocol.test_samples
    remedy = "Evaluate the run again with `python -m training evaluate`."
    if count != expected:
        raise ArtifactError(
            f"predictions.parquet of {run.run_id!r} has {count} test samples, but its report has "
            f"{expected}. {remedy}"
        )
    if not count:
        raise ArtifactError(_NO_LABELS)
    accuracy = float(test.right.mean())
    reported = report.test.accuracy.value
    if abs(accuracy - reported) > 0.5 / count:
        raise ArtifactError(
            f"predictions.parquet of {run.run_id!r} has an accuracy of {accuracy:.1%}, but its "
            f"report has {reported:.1%}. {remedy}"
        )
