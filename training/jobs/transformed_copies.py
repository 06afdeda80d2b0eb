"""Searching a prepared set for transformed copies, without changing its splits."""

from collections.abc import Sequence

import pandas as pd

from fer_core.artifacts import COPIES, BenchmarkDir, RunDir
from fer_core.data import splits
from fer_core.data.card import DatasetCard, card_text
from fer_core.data.copy_search import one_of_each
from fer_core.data.leaks import leaking_groups, leaks_by_kind
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.data.transformed_copies.search import find_transformed_copies
from fer_core.data.transformed_copies.summary import copies_card
from fer_core.data.transformed_copies.table import COPY
from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.report import Report, build_report
from fer_core.files import write_text
from fer_core.labels import LabelSet
from fer_core.tables import write_table


def add_transformed_copies(
    dataset: PreparedDataset, benchmark: BenchmarkDir, progress: Progress
) -> pd.DataFrame:
    """Finds transformed copies and writes them, the leak flags, the card and the reports.

    The splits and earlier leak flags stay as they are; reports are computed again from the stored
    predictions.

    Args:
        dataset: The prepared dataset of the benchmark.
        benchmark: The benchmark.
        progress: Shows progress.

    Returns:
        The table of pairs.

    Raises:
        ArtifactError: If the benchmark has another split than the dataset, or no card, or its
            copies were removed when it was prepared.
    """
    info = benchmark.info()
    if info.split_hash != dataset.info.split_hash:
        raise ArtifactError(
            f"The prepared dataset in {dataset.folder} has another split than the benchmark "
            f"{benchmark.name!r}. Prepare it again."
        )
    card = DatasetCard.read(benchmark.card_path)
    if card.transformed is not None and card.transformed.removed:
        raise ArtifactError(
            f"The transformed copies of {benchmark.name!r} were found when it was prepared, and "
            f"copies of held-out images were removed: {COPIES} lists them. To list them without "
            "removing any, prepare it under another --name with --transformed-copies report."
        )
    samples = dataset.samples
    rows = one_of_each(samples["duplicate_group"].to_numpy())
    copies = find_transformed_copies(dataset.images, rows, progress=progress)
    pairs = copies.table(samples["id"].tolist())
    groups = leaking_groups(samples, copies.of_kind(COPY))
    leak = splits.leaks(groups, samples["original_split"].to_numpy(dtype=object))
    # sources may tell of copies that no search finds
    known = benchmark.samples().set_index("id")["leak"].reindex(samples["id"]).to_numpy(dtype=bool)
    samples = samples.assign(leak=leak | known)
    kinds = leaks_by_kind(samples, pairs)
    facts = {
        "leaked_test": sum(kinds.values()),
        "leaks": kinds,
        "transformed": copies_card(pairs, samples, removed=False),
    }
    # into the prepared set, too, because it is packed and published again
    _write(BenchmarkDir(dataset.folder), samples, pairs, card.model_copy(update=facts))
    _write(benchmark, samples, pairs, card.model_copy(update=facts))
    return pairs


def _write(
    target: BenchmarkDir, flagged: pd.DataFrame, pairs: pd.DataFrame, card: DatasetCard
) -> None:
    """Writes the results to a benchmark, or to its prepared set, which has equal file names.

    Args:
        target: The folder.
        flagged: Samples whose column `leak` is written.
        pairs: Transformed copies.
        card: The card.
    """
    samples = target.samples()
    leak = flagged.set_index("id")["leak"].reindex(samples["id"]).to_numpy(dtype=bool)
    write_table(target.copies_path, pairs)
    write_table(target.samples_path, samples.assign(leak=leak))
    card.write(target.card_path)
    write_text(target.card_text_path, card_text(card))
    info = target.info().model_copy(update={"leaked_test": card.leaked_test})
    info.write(target.info_path)


def refresh_reports(runs: Sequence[RunDir], samples: pd.DataFrame) -> list[str]:
    """Computes the leak-free part of reports again, from stored predictions.

    Args:
        runs: Finished runs.
        samples: The benchmark's samples.

    Returns:
        Ids of the runs whose reports were written.
    """
    second_labels = samples.set_index("id")["second_label"]
    refreshed = []
    for run in runs:
        predictions = Predictions.read(run.predictions_path, LabelSet(run.info().labels))
        for path in (run.report_path, run.second_report_path):
            if not path.is_file():
                continue
            report = Report.read(path)
            scored = predictions
            if report.protocol.label_source == "second_label":
                scored = Predictions(
                    {
                        name: part.relabelled(second_labels)
                        for name, part in predictions.splits.items()
                    }
                )
            again = build_report(run.run_id, scored, samples, report.protocol)
            # All else depends on nothing that changed; stored probabilities are rounded.
            report.model_copy(update={"test_leak_free": again.test_leak_free}).write(path)
        refreshed.append(run.run_id)
    return refreshed
