"""Writes a transferred set: its images, its table of samples, and its benchmark.json."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.artifacts import BenchmarkDir
from fer_core.data import embedding, quality
from fer_core.data.aggregates import axis_faces, mean_faces
from fer_core.data.assignment import find_duplicates
from fer_core.data.atomic_dir import atomic_dir
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset, prepared_folder
from fer_core.data.progress import Progress, silent
from fer_core.data.splits import split_hash
from fer_core.data.storage import ImageWriter
from fer_core.data.transfer_faces import FoundFaces
from fer_core.data.transfer_source import PictureSet
from fer_core.errors import ArtifactError, DataError
from fer_core.records import BenchmarkInfo, SourceInfo, TransferOrigin
from fer_core.tables import write_table

PROTOCOL = (
    "Transferred from {origin}: its finished runs predict these pictures, and nothing is trained "
    "or chosen on them. Temperatures and thresholds are those of {origin}'s validation split. "
    "Metrics come from labelled pictures only."
)
UNLABELLED_NAMES = frozenset({"unlabelled", "unlabeled", "unsorted", "no_label", "no label"})
"""Class folders whose pictures have no label."""


@dataclass(frozen=True)
class SetFacts:
    """Metadata of a set.

    Attributes:
        pictures: The set.
        classes: The benchmark's class of each class of the set; empty if it lacks it.
        title: Title of the set.
    """

    pictures: PictureSet
    classes: Mapping[str, str]
    title: str


def write_set(
    benchmark: BenchmarkDir,
    data: Path,
    faces: FoundFaces,
    facts: SetFacts,
    progress: Progress = silent,
) -> PreparedDataset:
    """Writes the prepared images of a transferred set and the files of its benchmark.

    Args:
        benchmark: The transferred set.
        data: Folder of prepared data sets.
        faces: Faces of the set.
        facts: Source, classes and title of the set.
        progress: Shows progress.

    Raises:
        DataError: If no picture has a face.
        ArtifactError: If a folder cannot be written.
    """
    origin = benchmark.origin
    if origin is None:
        raise ArtifactError(f"{benchmark.name} is no transferred set.")
    known = origin.info()
    sample_format = SampleFormat.of(known)
    kept, left_out = _kept(faces, facts)
    if not kept:
        raise DataError(_no_faces(faces, facts, left_out))
    samples = _samples(faces, kept, facts, progress)
    samples["leak"] = samples["sha1"].isin(_seen_in_training(origin))
    info = _info(benchmark, known, samples, facts).model_copy(
        update={"excluded": left_out, "skipped": faces.skipped}
    )
    folder = prepared_folder(data, benchmark)
    with atomic_dir(folder) as partial:
        with ImageWriter(partial / "images.npy", len(kept), sample_format) as writer:
            for row in kept:
                writer.append(faces.images[row])
        write_table(partial / "samples.parquet", samples)
        info.write(partial / "benchmark.json")
    dataset = PreparedDataset.open(folder)
    write_table(benchmark.samples_path, samples)
    benchmark.write_mean_faces({**mean_faces(dataset), **axis_faces(dataset)})
    info.write(benchmark.info_path)
    return dataset


def _kept(faces: FoundFaces, facts: SetFacts) -> tuple[list[int], dict[str, int]]:
    """Returns the rows of the set, and how many are left out because of their class."""
    left_out: Counter[str] = Counter(dict(facts.pictures.left_out))
    kept = []
    for row, label in enumerate(faces.labels):
        if label is None or is_unlabelled_class(label) or facts.classes.get(label):
            kept.append(row)
        else:
            left_out[f"the benchmark has no class {label}"] += 1
    return kept, dict(sorted(left_out.items()))


def is_unlabelled_class(name: str) -> bool:
    """Whether a class folder holds pictures without a label."""
    return name.strip().lower() in UNLABELLED_NAMES


def _no_faces(faces: FoundFaces, facts: SetFacts, left_out: Mapping[str, int]) -> str:
    title, count = facts.pictures.origin.title, len(faces.skipped)
    if faces.keys:
        reasons = ", ".join(f"{reason} ({number:,})" for reason, number in left_out.items())
        return f"No picture of {title} is left: {reasons}. Map classes with --map-class."
    shown = "\n".join(f"  {key}: {why}" for key, why in list(faces.skipped.items())[:5])
    more = f"\n  and {count - 5:,} more" if count > 5 else ""
    pictures = "The only picture" if count == 1 else f"None of the {count:,} pictures"
    return (
        f"{pictures} of {title} {'cannot' if count == 1 else 'can'} be used:\n{shown}{more}\n"
        "If they are cropped faces already, pass --cropped."
    )


def _samples(
    faces: FoundFaces, kept: list[int], facts: SetFacts, progress: Progress
) -> pd.DataFrame:
    name = facts.pictures.origin.name
    labels = [
        None if (label := faces.labels[row]) is None else facts.classes.get(label) or None
        for row in kept
    ]
    images = [faces.images[row] for row in kept]
    thumbnails = np.stack([quality.thumbnail(image) for image in images])
    table = pd.DataFrame([quality.statistics(image) for image in images])
    table.insert(0, "id", [f"{name}/{faces.keys[row]}" for row in kept])
    table.insert(1, "source", name)
    table.insert(2, "source_split", pd.Series([None] * len(kept), dtype="str"))
    table.insert(3, "label", pd.Series(labels, dtype="str"))
    table.insert(4, "second_label", pd.Series([None] * len(kept), dtype="str"))
    table.insert(5, "excluded", "")
    if groups := facts.pictures.groups:
        table["group"] = pd.Series([groups.get(faces.keys[row]) for row in kept], dtype="str")
    table["sha1"] = [quality.digest(image) for image in images]
    sizes = np.array([faces.sizes[row] for row in kept])
    table["width"] = table["height"] = sizes.round().astype(np.int32)
    table = table.assign(**find_duplicates(table, thumbnails, progress).columns())
    placed = embedding.project(thumbnails)
    x, y = placed.map.T
    return table.assign(
        leak=False, original_split="test", split="test", x=x, y=y, outlier=placed.distance
    )


def _seen_in_training(origin: BenchmarkDir) -> set[str]:
    """Returns the hashes of the images that the benchmark's runs have seen."""
    samples = origin.samples()
    if not {"sha1", "original_split"} <= set(samples.columns):
        return set()
    return set(samples.loc[samples["original_split"] != "test", "sha1"])


def _info(
    benchmark: BenchmarkDir, known: BenchmarkInfo, samples: pd.DataFrame, facts: SetFacts
) -> BenchmarkInfo:
    labels, origin = known.label_set, facts.pictures.origin
    counts = Counter(samples["label"].dropna())
    none = dict.fromkeys(labels.names, 0)
    absent = tuple(name for name in labels.names if not counts[name]) if counts else ()
    return BenchmarkInfo(
        name=benchmark.name,
        title=facts.title,
        labels=labels.names,
        sources=(SourceInfo(**vars(origin)),),
        side=known.side,
        colour=known.colour,
        split_hash=split_hash(samples),
        counts={
            "train": none,
            "validation": none,
            "test": {name: counts[name] for name in labels.names},
        },
        excluded={},
        leaked_test=int(samples["leak"].sum()),
        skipped={},
        protocol=PROTOCOL.format(origin=known.name),
        framing=known.framing,
        transferred_from=TransferOrigin(
            benchmark=known.name,
            title=known.title,
            split_hash=known.split_hash,
            train_counts=known.counts["train"],
            classes=dict(facts.classes),
            missing_classes=absent,
        ),
        unlabelled=len(samples) - sum(counts.values()),
    )
