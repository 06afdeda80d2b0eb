"""Small transferred sets: one written as `transfer` writes it, and one that it writes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fer_core.artifacts import BenchmarkDir
from fer_core.data.prepared import prepared_folder
from fer_core.data.splits import split_hash
from fer_core.evaluation.transfers import (
    TEST,
    TransferredSamples,
    rescore,
    write_transferred_run,
)
from fer_core.records import BenchmarkInfo, TransferOrigin
from fer_core.tables import write_table
from tests.support.builders import Toy
from training.jobs.transfer import TransferOptions, transfer
from training.jobs.transfer_progress import TransferProgressFile

COLOURS = {"happy": (220, 90, 40), "sad": (30, 60, 200), "fear": (60, 200, 60)}


def toy_transfer(
    toy: Toy, name: str = "mine", *, labelled: float = 1.0, classes: tuple[str, ...] = ()
) -> BenchmarkDir:
    """Writes a set of the toy's own test images under other names.

    Args:
        toy: The benchmark.
        name: Name of the set.
        labelled: Share of the images that have a label.
        classes: The labelled classes; all if empty.
    """
    benchmark = toy.benchmark.transfer(name)
    rows = toy.dataset.rows("test")
    labels = toy.dataset.samples["label"].to_numpy(dtype=object)[rows]
    kept = np.arange(len(rows)) < round(labelled * len(rows))
    kept &= np.isin(labels, classes) if classes else True
    table = toy.dataset.samples.iloc[rows].reset_index(drop=True)
    table = table.assign(
        id=[f"mine/{index:03d}.png" for index in range(len(rows))],
        label=pd.Series(np.where(kept, labels, None), dtype="str"),
        second_label=pd.Series([None] * len(rows), dtype="str"),
        leak=False,
    )
    samples = TransferredSamples(table, split_hash(table))
    info = toy.benchmark.info()
    origin = TransferOrigin(
        benchmark=info.name,
        title=info.title,
        split_hash=info.split_hash,
        train_counts=info.counts["train"],
    )
    info = info.model_copy(
        update={"name": benchmark.name, "title": "My faces", "transferred_from": origin}
    )
    info = with_labels(info, samples)
    folder = prepared_folder(toy.data, benchmark)
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.asarray(toy.dataset.images[rows]))
    for place in (folder, benchmark.root):
        write_table(place / "samples.parquet", table)
        info.write(place / "benchmark.json")
    for run in toy.benchmark.runs():
        predictions = toy_predictions(run.run_id, len(rows), len(info.labels))
        write_transferred_run(benchmark.run(run.run_id), run.info(), predictions, samples)
    return benchmark


def relabelled(benchmark: BenchmarkDir, labels: Mapping[str, str | None]) -> BenchmarkInfo:
    """Gives images of a transferred set other labels and scores its runs again."""
    table = benchmark.samples()
    new = pd.Series(labels, dtype=object).reindex(table["id"]).to_numpy(dtype=object)
    changed = table["id"].isin(set(labels)).to_numpy()
    table["label"] = pd.Series(
        np.where(changed, new, table["label"].to_numpy(dtype=object)), dtype="str"
    )
    samples = TransferredSamples(table, split_hash(table))
    info = with_labels(benchmark.info(), samples)
    write_table(benchmark.samples_path, table)
    info.write(benchmark.info_path)
    for run in benchmark.runs():
        rescore(run, samples)
    return info


def with_labels(info: BenchmarkInfo, samples: TransferredSamples) -> BenchmarkInfo:
    """Returns `benchmark.json` with the counts and the split hash of other labels."""
    counts = samples.counts(info.label_set)
    origin = info.transferred_from
    labelled = sum(counts[TEST].values())
    absent = tuple(name for name, count in counts[TEST].items() if not count) if labelled else ()
    if origin is not None:
        origin = origin.model_copy(update={"missing_classes": absent})
    return info.model_copy(
        update={
            "counts": counts,
            "split_hash": samples.split_hash,
            "unlabelled": len(samples.table) - labelled,
            "leaked_test": int(samples.table["leak"].sum()),
            "transferred_from": origin,
        }
    )


def toy_predictions(run_id: str, count: int, classes: int) -> np.ndarray:
    """Returns random probabilities that depend on the run."""
    random = np.random.default_rng(sum(map(ord, run_id)))
    return random.dirichlet(np.ones(classes), count)


def coloured_transfer(toy: Toy, folder: Path, run_id: str) -> BenchmarkDir:
    """Transfers a run to 60 pictures whose colour is their class, and 6 without a label.

    Args:
        toy: The benchmark.
        folder: Where the pictures are written; its name is the set's.
        run_id: The run.
    """
    random = np.random.default_rng(0)
    for index in range(66):
        name = list(COLOURS)[index % 3]
        noise = random.normal(0, 12, (50, 50, 3)) + COLOURS[name]
        path = folder / (name if index < 60 else "") / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(path)
    options = TransferOptions(name=folder.name, cropped=True, run_ids=(run_id,))
    return transfer(toy.benchmark, str(folder), options, toy.data, TransferProgressFile()).benchmark
