"""Runs that can be compared: their predictions are for the same samples with the same labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions

_LISTED = 3


@dataclass(frozen=True)
class ComparableRuns:
    """The largest set of runs that can be compared.

    Attributes:
        run_ids: The runs, in the order given.
        problems: Why each other run cannot be compared with them, by run id.
    """

    run_ids: tuple[str, ...]
    problems: Mapping[str, str]


def largest_comparable_set(
    predictions: Mapping[str, SplitPredictions], truth: pd.Series | None = None
) -> ComparableRuns:
    """Finds the largest set of runs that agree on samples and labels.

    Args:
        predictions: Predictions by run id.
        truth: The benchmark's own label by sample id; decides between sets of equal size.
    """
    sets: list[list[str]] = []
    for run_id, split in predictions.items():
        for runs in sets:
            if agree(split, predictions[runs[0]]):
                runs.append(run_id)
                break
        else:
            sets.append([run_id])
    if not sets:
        return ComparableRuns((), {})
    most = max(len(runs) for runs in sets)
    largest, *tied = [runs for runs in sets if len(runs) == most]
    if tied:
        largest = max((largest, *tied), key=lambda runs: _share_true(predictions[runs[0]], truth))
    reference = predictions[largest[0]]
    return ComparableRuns(
        tuple(largest),
        {
            run_id: _difference(split, reference)
            for run_id, split in predictions.items()
            if run_id not in largest
        },
    )


def agree(split: SplitPredictions, reference: SplitPredictions) -> bool:
    """Whether two runs have predictions of the same samples with the same labels."""
    try:
        split.aligned_with(reference)
    except ArtifactError:
        return False
    return True


def _share_true(split: SplitPredictions, truth: pd.Series | None) -> float:
    """Returns the share of samples whose label is the benchmark's own."""
    if truth is None or not len(split):
        return 0.0
    names = np.array(split.labels.names, dtype=object)[split.truth]
    return float((truth.reindex(split.ids).to_numpy(dtype=object) == names).mean())


def _difference(split: SplitPredictions, reference: SplitPredictions) -> str:
    """Returns what distinguishes a run's samples from those of the others, and the remedy."""
    if split.labels != reference.labels:
        return (
            f"its classes are {', '.join(split.labels.names)}, those of the other runs are "
            f"{', '.join(reference.labels.names)}. Import or train it with the same classes."
        )
    labels, others = (pd.Series(item.truth, index=item.ids) for item in (split, reference))
    lacking, extra = (
        first.index.difference(second.index, sort=False)
        for first, second in ((others, labels), (labels, others))
    )
    shared = labels.index.intersection(others.index, sort=False)
    relabelled = shared[(labels[shared] != others[shared]).to_numpy()]
    differences = [
        f"{text} ({_examples(list(ids))})"
        for text, ids in (
            (f"lack {len(lacking):,} of {len(others):,} samples", lacking),
            (f"have {_samples(len(extra))} that the other runs do not have", extra),
            (f"have another label for {_samples(len(relabelled))}", relabelled),
        )
        if len(ids)
    ]
    return (
        f"its predictions {' and '.join(differences)}. Evaluate or import it again on this "
        "benchmark."
    )


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count:,} samples"


def _examples(ids: Sequence[object]) -> str:
    shown = ", ".join(str(sample_id)[:60] for sample_id in ids[:_LISTED])
    return shown + (", ..." if len(ids) > _LISTED else "")
