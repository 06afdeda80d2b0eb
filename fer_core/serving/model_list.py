"""The models of the service's benchmark."""

from collections.abc import Sequence

from fer_core.artifacts import BenchmarkDir
from fer_core.data.imaging import printable_name
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Report
from fer_core.predictor import Predictor
from fer_core.records import RunInfo
from fer_core.serving.errors import RefusedError
from fer_core.serving.schemas import Model
from fer_core.serving.settings import RUNS


class ModelList:
    """The runs that can predict and that clients can use.

    Args:
        benchmark: Directory of the benchmark.
        predictor: Predictor of the benchmark.
        only: Ids of the runs that clients can use; empty for all.

    Raises:
        ArtifactError: If one of these runs does not exist or cannot predict.
    """

    def __init__(
        self, benchmark: BenchmarkDir, predictor: Predictor, only: Sequence[str] = ()
    ) -> None:
        self._benchmark, self._predictor, self._only = benchmark, predictor, frozenset(only)
        known = [info.run_id for info in predictor.runs()]
        if unknown := [name for name in dict.fromkeys(only) if name not in known]:
            raise ArtifactError(
                f"{benchmark.name} has no run that can predict with the id "
                f"{', '.join(map(repr, unknown))}. Known: {', '.join(known) or 'none'}. Set "
                f"{RUNS} or --run to ids of these."
            )

    def runs(self) -> list[RunInfo]:
        """Returns the runs that clients can use, by id."""
        runs = self._predictor.runs()
        return [info for info in runs if not self._only or info.run_id in self._only]

    def models(self) -> list[Model]:
        """Returns these runs with their test accuracy and its protocol."""
        return [self._model(info) for info in self.runs()]

    def select(self, names: Sequence[str]) -> list[RunInfo]:
        """Returns the named runs in order without duplicates; all runs if no name is given.

        Names are only compared with known runs and never become part of a path.

        Raises:
            RefusedError: If a run is unknown.
        """
        known = {info.run_id: info for info in self.runs()}
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
        """Returns the ensemble with the best validation accuracy among the runs, if any."""
        ensembles = [info.run_id for info in runs if info.kind == "ensemble"]
        if len(ensembles) < 2:
            return ensembles[0] if ensembles else None
        return max(ensembles, key=self._validation)

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
