"""Files of transferred sets: runs of one benchmark, scored on the pictures of another set.

A transferred set is a benchmark at `artifacts/<benchmark>/transfers/<set>/`. All its images are in
`test`; they may lack a label. Metrics come from the labelled ones.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.errors import ArtifactError
from fer_core.evaluation.person_accuracy import PersonAccuracy, accuracy_by_person
from fer_core.evaluation.persons import persons_at
from fer_core.evaluation.prediction_file import UNLABELLED
from fer_core.evaluation.predictions import (
    Predictions,
    SplitPredictions,
)
from fer_core.evaluation.report import (
    Protocol,
    Report,
    SplitMetrics,
    scored_split,
    split_metrics,
)
from fer_core.labels import LabelSet
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace

TEST = "test"


@dataclass(frozen=True)
class TransferredSamples:
    """The pictures of a transferred set, in the order of its predictions.

    Attributes:
        table: `samples.parquet`: id, split (`test` everywhere), label (missing if there is none)
            and more.
        split_hash: Hash of ids, split and labels.
    """

    table: pd.DataFrame
    split_hash: str

    def truth(self, labels: LabelSet) -> NDArray[np.int64]:
        """Returns class indices, shape (N,); `UNLABELLED` without a label."""
        position = pd.Index(list(labels.names))
        return position.get_indexer(pd.Index(self.table["label"])).astype(np.int64)

    def counts(self, labels: LabelSet) -> dict[str, dict[str, int]]:
        """Returns labelled images by split and class; train and validation have none."""
        tally = self.table["label"].value_counts()
        none = dict.fromkeys(labels.names, 0)
        test = {name: int(tally.get(name, 0)) for name in labels.names}
        return {"train": dict(none), "validation": none, TEST: test}


def person_accuracy(benchmark: BenchmarkDir, run_id: str) -> PersonAccuracy | None:
    """Returns a run's accuracy on the labelled faces of each person of a transferred set.

    None if the set names fewer than two persons with labelled faces, or the run cannot be read.
    """
    try:
        labels = benchmark.info().label_set
        path = benchmark.run(run_id).predictions_path
        test = Predictions.read(path, labels, unlabelled=True).split(TEST)
    except ArtifactError:
        return None
    labelled = test.select(test.truth != UNLABELLED)
    persons = persons_at(benchmark.samples().set_index("id"), labelled.ids)
    return None if persons is None else accuracy_by_person(labelled.right, persons)


def write_transferred_run(
    run: RunDir,
    info: RunInfo,
    probabilities: NDArray[np.float64],
    samples: TransferredSamples,
) -> Report:
    """Writes predictions, report and `run.json` of a run on a transferred set.

    Args:
        run: The run of the set.
        info: The transferred run's metadata, or that of a run that was adapted to the set.
        probabilities: Probabilities in the order of the samples, shape (N, K); rows sum to 1.
        samples: The set's images.

    Raises:
        ArtifactError: If the files cannot be written.
    """
    labels = LabelSet(info.labels)
    ids = samples.table["id"].to_numpy(dtype=object)
    everything = SplitPredictions(labels, ids, samples.truth(labels), probabilities)
    report = _report(run, info, everything, samples)
    scored = info.model_copy(update={"split_hash": samples.split_hash, "test_ledger": ()})
    with atomic_replace(run) as new:
        Predictions({TEST: everything}).write(new.predictions_path)
        report.write(new.report_path)
        scored.write(new.info_path)
    return report


def _report(
    run: RunDir, info: RunInfo, everything: SplitPredictions, samples: TransferredSamples
) -> Report:
    """Scores the labelled images; the metrics of validation are those of the original benchmark."""
    labelled = everything.truth != UNLABELLED
    test, by_id = everything.select(labelled), samples.table.set_index("id")
    clean = ~samples.table["leak"].to_numpy(dtype=bool)[labelled]
    return Report(
        run_id=run.run_id,
        labels=everything.labels.names,
        protocol=Protocol(
            label_source="label",
            split_hash=samples.split_hash,
            test_samples=len(test),
            test_time_augmentation=info.test_time_augmentation,
            init=info.init,
            seed=info.seed,
            image_size=info.image_size,
            preprocessing_hash=info.preprocessing_hash,
            missing_classes=info.classes.missing,
        ),
        validation=_original_validation(run, everything.labels),
        test=scored_split(test, by_id),
        test_leak_free=scored_split(test.select(clean), by_id) if clean.any() else None,
    )


def _original_validation(run: RunDir, labels: LabelSet) -> SplitMetrics:
    for directory in (run.origin, run):
        try:
            if directory is not None:
                return Report.read(directory.report_path).validation
        except ArtifactError:
            continue
    return split_metrics(_nothing(labels))


def _nothing(labels: LabelSet) -> SplitPredictions:
    return SplitPredictions(
        labels,
        np.empty(0, dtype=object),
        np.empty(0, dtype=np.int64),
        np.empty((0, len(labels))),
    )


def rescore(run: RunDir, samples: TransferredSamples) -> Report | None:
    """Scores a run's stored predictions against other labels; None if it cannot be read."""
    try:
        info = run.info()
        stored = Predictions.read(run.predictions_path, LabelSet(info.labels), unlabelled=True)
        test = stored.split(TEST)
    except ArtifactError:
        return None
    order = pd.Index(test.ids).get_indexer(pd.Index(samples.table["id"]))
    if (order < 0).any():
        return None
    return write_transferred_run(run, info, test.probabilities[order], samples)
