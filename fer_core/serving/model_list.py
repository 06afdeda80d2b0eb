"""What the service's benchmark holds."""

from collections.abc import Sequence

from fer_core.artifacts import BenchmarkDir
from fer_core.data.imaging import printable_name
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Report
from fer_core.predictor import Predictor
from fer_core.records import RunInfo
from fer_core.serving.errors import RefusedError
from fer_core.serving.schemas import Model


class ModelList:
    """The runs that can be asked.

    Args:
        benchmark: Where they are.
        predictor: Who asks them.
    """

    def __init__(self, benchmark: BenchmarkDir, predictor: Predictor) -> None:
        self._benchmark, self._predictor = benchmark, predictor

    def models(self) -> list[Model]:
        """Returns every run with its test accuracy and what that stands on."""
        return [self._model(info) for info in self._predictor.runs()]

    def select(self, names: Sequence[str]) -> list[RunInfo]:
        """Returns the named runs, each once, in the order asked; all runs for no name.

        A name is compared with those that are there and becomes no part of a path.

        Raises:
            RefusedError: If there is no run of a name.
        """
        known = {info.run_id: info for info in self._predictor.runs()}
        for name in names:
            if name not in known:
                raise RefusedError(
                    422,
                    "unknown_run",
                    f"There is no run {printable_name(name)!r}. "
                    f"Known: {', '.join(known) or 'none'}.",
                )
        return [known[name] for name in dict.fromkeys(names or known)]

    def ensemble(self, runs: Sequence[RunInfo]) -> str | None:
        """Returns the ensemble that was best on validation, if there is one among the runs."""
        found = [info.run_id for info in runs if info.kind == "ensemble"]
        if len(found) < 2:
            return found[0] if found else None
        return max(found, key=self._validation)

    def _validation(self, run_id: str) -> float:
        report = self._report(run_id)
        return 0.0 if report is None else report.validation.accuracy.value

    def _report(self, run_id: str) -> Report | None:
        try:
            return Report.read(self._benchmark.run(run_id).report_path)
        except ArtifactError:
            return None

    def _model(self, info: RunInfo) -> Model:
        report = self._report(info.run_id)
        return Model(
            id=info.run_id,
            title=info.title,
            family=info.family,
            kind=info.kind,
            labels=list(info.labels),
            image_size=info.image_size,
            test_accuracy=report.test.accuracy if report else None,
            protocol=report.protocol if report else None,
            temperature=self._predictor.temperature(info.run_id),
        )
