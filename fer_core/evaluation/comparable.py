"""Runs that can be compared: one protocol, and predictions of the same samples and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Report

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


def comparable_runs(reports: Mapping[str, Report], split_hash: str) -> list[str]:
    """Returns the ids of the runs that are ranked: those measured on the benchmark's split.

    A run that lacks a class of the benchmark is ranked only if all do. If no run was measured on
    the split, it returns the runs of the most common protocol.
    """
    protocols = {run_id: report.protocol.comparable for run_id, report in reports.items()}
    if not protocols:
        return []
    candidates = list(protocols.values())
    same_split = [key for key in candidates if key[1] == split_hash] or candidates
    all_classes = [key for key in same_split if not key[-1]] or same_split
    most_common = max(all_classes, key=candidates.count)
    return [run_id for run_id, key in protocols.items() if key == most_common]


def why_unranked(report: Report, ranked: Report) -> str:
    """Returns in what the protocol of an unranked run differs from that of a ranked one.

    The text continues a sentence that starts with "It is not ranked:".
    """
    own, theirs = report.protocol, ranked.protocol
    if own.missing_classes != theirs.missing_classes:
        if not own.missing_classes:
            return f"it can predict {', '.join(theirs.missing_classes)}, the ranked runs cannot"
        return (
            f"it cannot predict {', '.join(own.missing_classes)}, so all images of "
            f"{'this class' if len(own.missing_classes) == 1 else 'these classes'} are errors"
        )
    if own.test_time_augmentation != theirs.test_time_augmentation:
        how = "with" if own.test_time_augmentation else "without"
        return f"it predicts {how} test-time augmentation"
    if own.split_hash != theirs.split_hash:
        return "it was measured on another split"
    return "it was measured on other test images or labels"


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
