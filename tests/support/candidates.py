"""Candidates of a verdict with constructed predictions, and measured costs of runs."""

from collections.abc import Sequence

import numpy as np

from fer_core.artifacts import RunDir
from fer_core.evaluation.candidates import Candidate
from fer_core.evaluation.efficiency import Efficiency, Latency
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import split_metrics
from fer_core.labels import LabelSet

LABELS = LabelSet.of(["angry", "happy", "sad"])


def predicted(truth: Sequence[int], answers: Sequence[int], sure: float = 0.8) -> SplitPredictions:
    """Returns predictions of the given classes, each with the same confidence."""
    probabilities = np.full((len(truth), len(LABELS)), (1 - sure) / (len(LABELS) - 1))
    probabilities[np.arange(len(truth)), list(answers)] = sure
    ids = np.array([f"s/{index:04d}" for index in range(len(truth))], dtype=object)
    return SplitPredictions(LABELS, ids, np.array(truth, dtype=np.int64), probabilities)


def candidate(
    name: str,
    truth: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int] | None = None,
    **known,
) -> Candidate:
    """Returns a candidate with the given answers; validation and test have the same truth."""
    splits = [predicted(truth, validation), predicted(truth, validation if test is None else test)]
    return Candidate(
        name,
        name.capitalize(),
        known.pop("is_ensemble", False),
        *splits,
        *map(split_metrics, splits),
        **{"milliseconds": 10.0, "megabytes": 10.0, **known},
    )


def write_efficiency(run: RunDir, milliseconds: float, megabytes: float = 7.0) -> None:
    """Writes a run's efficiency file with one latency, at batch size 1 on the CPU."""
    Efficiency(
        run_id=run.run_id,
        parameters=10,
        flops=20,
        weight_bytes=round(megabytes * 1e6),
        latency=(Latency(batch_size=1, milliseconds=milliseconds, repeats=3),),
        peak_memory_bytes=None,
        device="cpu",
        threads=2,
    ).write(run.efficiency_path)


def with_errors(truth: Sequence[int], wrong: Sequence[int]) -> list[int]:
    """Returns the true classes, but the next class at the given positions."""
    return [(label + 1) % 3 if index in set(wrong) else label for index, label in enumerate(truth)]
