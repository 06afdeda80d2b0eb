"""Everything that a leaderboard computes from the predictions of one run."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.evaluation import leaderboard_columns
from fer_core.evaluation.calibration import Reliability, reliability
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.leaderboard_columns import RunMetrics
from fer_core.evaluation.persons import persons_at
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.report import SplitMetrics
from fer_core.evaluation.scope import VALIDATION, Scope, ScopeSelection
from fer_core.evaluation.selective import RiskCoverage, risk_coverage
from fer_core.files import content_hash
from fer_core.result_cache import JsonForm, ResultCache

VERSION = 4
"""Raise it when a metric is added or changes; stored results of other versions are ignored."""

RISKS = (0.01, 0.02, 0.05, 0.1)
"""Selective risks (error rates) at which coverage is reported."""


@dataclass(frozen=True)
class Evaluation:
    """Results of one run's predictions on one scope.

    Attributes:
        metrics: Metrics and leaderboard values.
        reliability: Reliability of the top label.
        risk_coverage: Risk-coverage curve, thinned for plots.
        coverage_at_risk: Largest coverage at each risk of `RISKS`.
    """

    metrics: RunMetrics
    reliability: Reliability
    risk_coverage: RiskCoverage
    coverage_at_risk: Mapping[float, float]


def evaluate(
    predictions: SplitPredictions,
    validation: SplitPredictions | None,
    votes: Votes | None,
    persons: NDArray[np.object_] | None = None,
) -> Evaluation:
    """Evaluates the predictions of one run.

    Args:
        predictions: Predictions for at least one sample.
        validation: Validation predictions, to fit the temperature; None omits its columns.
        votes: Votes aligned with the predictions; None omits the columns on human agreement.
        persons: Person of each sample, for the intervals, as `split_metrics` takes them.
    """
    curve = risk_coverage(predictions.stored_confidence, predictions.right)
    return Evaluation(
        metrics=leaderboard_columns.prediction_metrics(
            predictions, validation, votes, curve, persons
        ),
        reliability=reliability(predictions.confidence, predictions.right),
        risk_coverage=curve.thinned(),
        coverage_at_risk={risk: (curve.coverage_at(risk) or (0.0, 1.0))[0] for risk in RISKS},
    )


class ScopeEvaluator:
    """Evaluates the runs of a benchmark on one scope; stored results are not computed again.

    What depends only on the samples, such as the annotators' majority, is computed once for all
    runs with the same samples.

    Args:
        samples: The benchmark's samples, indexed by id.
        scope: Samples to evaluate.
    """

    def __init__(self, samples: pd.DataFrame, scope: Scope) -> None:
        self._samples = samples
        self._scope = scope
        self._selection = ScopeSelection(samples, scope)
        self._validation = ScopeSelection(samples, Scope(VALIDATION, scope.classes))
        self._selected: list[SplitPredictions] = []
        self._votes: list[tuple[SplitPredictions, Votes | None]] = []
        self._sample_hash = ""
        self._lock = Lock()

    def prepare(
        self, run: RunDir, predictions: Predictions
    ) -> tuple[SplitPredictions, Callable[[], Evaluation]]:
        """Selects a run's predictions on the scope.

        Returns:
            The selected predictions, and a function that evaluates them, for any thread.

        Raises:
            ArtifactError: If the predictions lack a split, or no sample is left.
        """
        selected = self._selection.of(predictions)
        selected = next(
            (selected.with_ids_of(other) for other in self._selected if selected.same_ids(other)),
            selected,
        )
        self._selected.append(selected)
        if not self._sample_hash:
            self._sample_hash = content_hash(run.benchmark.samples_path)
        return selected, partial(self._evaluate, run, predictions, selected)

    def _evaluate(
        self, run: RunDir, predictions: Predictions, selected: SplitPredictions
    ) -> Evaluation:
        def compute() -> Evaluation:
            try:
                validation = self._validation.of(predictions)
            except ArtifactError:  # no validation sample has these classes
                validation = None
            persons = persons_at(self._samples, selected.ids)
            return evaluate(selected, validation, self._votes_of(selected), persons)

        files = [run.predictions_path]
        if run.origin is not None:  # a transferred run has the validation split of its origin
            files.append(run.origin.predictions_path)
        key: dict[str, object] = {
            "predictions": [content_hash(path) for path in files if path.is_file()],
            "samples": self._sample_hash,
            "labels": predictions.labels.names,
            "eval_set": self._scope.eval_set,
            "classes": sorted(self._scope.classes),
        }
        if self._scope.within is not None:
            key["within"] = self._scope.within.content_key
        cache = ResultCache.of(run.benchmark.root)
        return cache.get_or_compute(f"evaluation-{VERSION}", key, compute, _FORM)

    def _votes_of(self, selected: SplitPredictions) -> Votes | None:
        with self._lock:
            for other, votes in self._votes:
                if other.ids is selected.ids and other.labels == selected.labels:
                    return votes
            votes = Votes.of(self._samples, selected.ids, selected.labels)
            if votes is not None:
                votes.compute_shared()
            self._votes.append((selected, votes))
            return votes


def _write(evaluation: Evaluation) -> dict[str, Any]:
    metrics = evaluation.metrics
    return {
        "split": metrics.split.model_dump(mode="json", by_alias=True),
        "values": dict(metrics.values),
        "annotator_agreement": metrics.annotator_agreement,
        "reliability": _lists(evaluation.reliability),
        "risk_coverage": _lists(evaluation.risk_coverage),
        "coverage_at_risk": list(evaluation.coverage_at_risk.items()),
    }


def _read(content: Any) -> Evaluation:  # noqa: ANN401 (plain values)
    return Evaluation(
        RunMetrics(
            SplitMetrics.model_validate(content["split"]),
            content["values"],
            content["annotator_agreement"],
        ),
        Reliability(**_arrays(content["reliability"])),
        RiskCoverage(**_arrays(content["risk_coverage"])),
        dict(content["coverage_at_risk"]),
    )


def _lists(arrays: Reliability | RiskCoverage) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in asdict(arrays).items()}


def _arrays(lists: Mapping[str, list[float]]) -> dict[str, Any]:
    return {name: np.array(values) for name, values in lists.items()}


_FORM = JsonForm(_write, _read)
