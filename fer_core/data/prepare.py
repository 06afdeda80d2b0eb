"""Preparation: turns sources into a PreparedDataset and the benchmark's published metadata."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import CARD, CARD_TEXT, COPIES, PICTURES, BenchmarkDir
from fer_core.data import embedding, quality, splits
from fer_core.data.aggregates import axis_faces, batch_faces, mean_faces
from fer_core.data.assignment import (
    EXCLUDED,
    Duplicates,
    SplitAssignment,
    balance_training,
    draw_splits,
    without_outliers,
)
from fer_core.data.atomic_dir import atomic_dir
from fer_core.data.card import DatasetCard, Preparation, build_card, card_text
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.copy_search import FoundCopies, find_copies
from fer_core.data.framing import measure_framing
from fer_core.data.imaging import SampleFormat
from fer_core.data.plan import PrepareOptions, PreparePlan, SplitPlan
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.data.reading import Reading, read
from fer_core.data.reading_parts import open_parts
from fer_core.data.relabel import (
    correction_record,
    read_relabels,
    refuse_scored_changes,
    relabel,
    scored_changes,
)
from fer_core.data.selection import SelectedSource, open_sources
from fer_core.data.sources.base import SPLITS, Source
from fer_core.data.transformed_copies.summary import copies_card
from fer_core.errors import ArtifactError, DataError, DetectorError
from fer_core.files import atomic_path, write_text
from fer_core.labels import LabelSet
from fer_core.records import BenchmarkInfo, Corrections, Framing, SourceInfo
from fer_core.tables import read_table, write_table

FEW_IMAGES = 20
"""Minimum number of images of a class in a split; with fewer the interval of its recall is wider
than 16 points."""

PROTOCOL = (
    "Validation chooses; readings of test are counted. Train drops images with an exact or near "
    "duplicate in validation or test, validation those with one in test; test is never shortened."
)


def prepare(
    source: Source,
    folder: Path,
    *,
    name: str,
    side: int,
    seed: int = 0,
    progress: Progress = silent,
) -> PreparedDataset:
    """Prepares one source as it is; see `prepare_sources`.

    Args:
        source: The dataset reader.
        folder: Folder of the prepared dataset; an earlier one there is replaced.
        name: The benchmark's name.
        side: Side of the stored square images in pixels, at least 16.
        seed: Seed of the split, if the source has none.
        progress: Shows progress.
    """
    if side < quality.THUMBNAIL_SIDE:
        raise DataError(
            f"Images of {side} x {side} pixels are too small to find duplicates among. "
            f"Give a side of at least {quality.THUMBNAIL_SIDE}."
        )
    options = PrepareOptions(side=side, split=SplitPlan(seed=seed))
    return prepare_sources([SelectedSource(source)], options, folder, name=name, progress=progress)


def prepare_plan(
    plan: PreparePlan,
    folder: Path,
    *,
    name: str,
    benchmark: BenchmarkDir | None = None,
    progress: Progress = silent,
) -> PreparedDataset:
    """Opens the sources of a plan and prepares them; see `prepare_sources`."""
    return prepare_sources(
        open_sources(plan), plan, folder, name=name, benchmark=benchmark, progress=progress
    )


def prepare_sources(
    sources: Sequence[SelectedSource],
    options: PrepareOptions,
    folder: Path,
    *,
    name: str,
    benchmark: BenchmarkDir | None = None,
    progress: Progress = silent,
) -> PreparedDataset:
    """Reads, cleans, splits and balances sources, and writes the prepared dataset.

    The dataset is written to a temporary folder and moved at the end, so a killed or failed
    preparation leaves an earlier dataset unchanged. What was read is kept: the preparation of the
    same plan continues there. Equal input gives equal bytes.

    Args:
        sources: The sources and which of their samples are used.
        options: Options of the preparation; the dataset card records them.
        folder: Folder of the prepared dataset; an earlier one there is replaced.
        name: The benchmark's name.
        benchmark: The benchmark's folder; if it has runs on another split or on other images,
            nothing is replaced.
        progress: Shows progress.

    Raises:
        DataError: If a class or split is empty, a source is faulty, a relabel list does not fit, or
            the folder contains other files or is being prepared.
        ArtifactError: If the folder cannot be written, the disk is full, or the benchmark has
            runs on another split or on other images.
    """
    relabels = check_before_reading(options, benchmark)
    parts = open_parts(sources, options, folder)
    with atomic_dir(folder) as partial:
        reading = read(sources, options, parts, partial, progress)
        images = parts.images()
        copies = find_copies(reading, images, sources, options.split, progress)
        described = _described(reading, sources, options, relabels, copies)
        samples = described.samples
        pairs = copies.pairs.table(samples["id"].tolist()) if copies.pairs is not None else None
        framing = _framing(images, samples, progress)
        read_format = parts.sample_format
        info = _info(name, options.title, sources, read_format, replace(reading, samples=samples))
        info = info.model_copy(update={"framing": framing, "corrections": described.corrections})
        preparation = Preparation(
            left_out=reading.left_out,
            relabelled=described.relabelled,
            explained=described.explained,
            notes=_notes(sources, described.notes, info),
            plan=_portable(options.model_dump(mode="json", exclude_defaults=True)),
            transformed=None
            if pairs is None
            else copies_card(pairs, samples, removed=copies.removed),
            pairs=pairs,
        )
        card = build_card(info, samples, preparation)
        write_table(partial / "samples.parquet", samples)
        if pairs is not None:
            write_table(partial / COPIES, pairs)
        card.write(partial / CARD)
        write_text(partial / CARD_TEXT, card_text(card))
        info.write(partial / "benchmark.json")
        if benchmark is not None:
            _require_no_other_runs(benchmark, info, samples)
        parts.move_images(partial)
    return PreparedDataset.open(folder)


def check_before_reading(
    options: PrepareOptions, benchmark: BenchmarkDir | None
) -> "pd.Series[str] | None":
    """Checks what can be known before hours of reading, and returns the relabel list.

    Raises:
        DataError: If the relabel list cannot be read.
        ArtifactError: If the benchmark exists with other labels.
    """
    relabels = read_relabels(options.relabel) if options.relabel else None
    if benchmark is not None and options.new_benchmark:
        _require_new_name(benchmark)
    return relabels


@dataclass(frozen=True)
class _Described:
    """The samples with duplicates, splits and map positions.

    Attributes:
        samples: One row per image.
        notes: Sentences for the user on what was drawn or changed.
        explained: Explained variance of the map axes, as shares.
        relabelled: Samples that the relabel list changed.
        corrections: Changes that the list makes to validation and test images.
    """

    samples: pd.DataFrame
    notes: tuple[str, ...]
    explained: NDArray[np.float64]
    relabelled: int = 0
    corrections: Corrections | None = None


def _described(
    reading: Reading,
    sources: Sequence[SelectedSource],
    options: PrepareOptions,
    relabels: "pd.Series[str] | None",
    copies: FoundCopies,
) -> _Described:
    placed = embedding.project(reading.thumbnails)
    x, y = placed.map.T
    samples = reading.samples.assign(x=x, y=y, outlier=placed.distance)
    duplicates = copies.duplicates
    drawn = draw_splits(samples, duplicates, sources, options.split)
    before = _assigned(samples, duplicates, drawn, sources, options)
    if relabels is None:
        return _Described(before, drawn.notes, placed.explained)
    corrected = samples.copy()
    relabelled = relabel(corrected, relabels)
    # splits are drawn before labels are corrected, so that corrections move no image between them;
    # which training images are used may change, because balancing counts the corrected labels
    kept = corrected.assign(source_split=drawn.original)
    split = options.split.model_copy(update={"by": "source"})
    again = draw_splits(kept, duplicates, sources, split)
    after = _assigned(corrected, duplicates, again, sources, options)
    changes = scored_changes(before, after)
    if not options.new_benchmark:
        refuse_scored_changes(changes)
    return _Described(
        after,
        tuple(dict.fromkeys((*drawn.notes, *again.notes))),
        placed.explained,
        relabelled,
        correction_record(changes, relabels, splits.split_hash(before)),
    )


def _assigned(
    samples: pd.DataFrame,
    duplicates: Duplicates,
    drawn: SplitAssignment,
    sources: Sequence[SelectedSource],
    options: PrepareOptions,
) -> pd.DataFrame:
    """Returns the samples with their splits, once training is cleaned and balanced."""
    cleaned = without_outliers(samples, drawn, options.clean.outliers)
    assignment = balance_training(samples, cleaned, sources, options.balance, options.split.seed)
    positions = ["x", "y", "outlier"]  # last in the table, as in earlier versions
    described = samples.drop(columns=positions).assign(
        **duplicates.columns(), **assignment.columns(), **samples[positions]
    )
    return described.astype(dict.fromkeys(("excluded", "split", "original_split"), "str"))


def _notes(
    sources: Sequence[SelectedSource], drawn: Sequence[str], info: BenchmarkInfo
) -> tuple[str, ...]:
    """Returns assumptions, drawn splits and too small classes, as sentences."""
    several = len(sources) > 1
    read = [f"{s.title}: {note}" if several else note for s in sources for note in s.notes]
    return (*read, *drawn, *_correction_notes(info), *small_class_notes(info.counts))


def _correction_notes(info: BenchmarkInfo) -> list[str]:
    if info.corrections is None:
        return []
    number = " and ".join(
        f"{count:,} {split}" for split, count in sorted(info.corrections.counts.items())
    )
    return [
        f"A relabel list changed {number} images: this is not the benchmark "
        f"with the split hash {info.corrections.base_split_hash}."
    ]


def small_class_notes(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Returns notes on classes whose confidence intervals will be too wide.

    The minimum width is that of Wilson's 95% interval if all or none of the images are right: z^2 /
    (n + z^2).
    """
    notes = []
    for split, what in (("test", "its recall"), ("validation", "what validation chooses")):
        small = {name: count for name, count in counts[split].items() if 0 < count < FEW_IMAGES}
        if small:
            shown = ", ".join(
                f"{name} {count} (at least {_least_width(count):.0%} wide)"
                for name, count in sorted(small.items())
            )
            notes.append(
                f"Few {split} images, so the 95% interval of {what} says little: {shown}. "
                f"--min-class leaves rare classes out."
            )
    return notes


def _least_width(count: int) -> float:
    return 3.8415 / (count + 3.8415)


def publish_facts(dataset: PreparedDataset, benchmark: BenchmarkDir) -> None:
    """Writes a dataset's metadata, samples table, card and mean faces to its benchmark.

    Images are published only if the dataset was prepared with `ship_pictures`.

    Raises:
        ArtifactError: If the benchmark has runs on another split or on other images.
    """
    _require_no_other_runs(benchmark, dataset.info, dataset.samples)
    write_table(benchmark.samples_path, dataset.samples)
    if (dataset.folder / COPIES).is_file():
        write_table(benchmark.copies_path, read_table(dataset.folder / COPIES, ("id", "other")))
    else:
        benchmark.copies_path.unlink(missing_ok=True)
    faces: dict[str, NDArray[Any]] = {
        **mean_faces(dataset), **batch_faces(dataset), **axis_faces(dataset)
    }  # fmt: skip
    benchmark.write_mean_faces(faces)
    if (dataset.folder / PICTURES).is_file():
        with atomic_path(benchmark.pictures_path) as temporary:
            shutil.copyfile(dataset.folder / PICTURES, temporary)
    else:  # the pictures of an earlier preparation are not those of this table
        benchmark.pictures_path.unlink(missing_ok=True)
    card = DatasetCard.read(dataset.folder / CARD)
    card.write(benchmark.card_path)
    write_text(benchmark.card_text_path, card_text(card))
    dataset.info.write(benchmark.info_path)


def _require_no_other_runs(
    benchmark: BenchmarkDir, info: BenchmarkInfo, samples: pd.DataFrame
) -> None:
    """Refuses to replace the split or the images of runs."""
    if not benchmark.info_path.is_file() or not benchmark.runs():
        return
    earlier = benchmark.info()
    if earlier.split_hash != info.split_hash:
        other = f"another split (hash {earlier.split_hash}, this set {info.split_hash})"
    elif (earlier.side, earlier.colour) != (info.side, info.colour):
        other = f"other images ({_format_text(earlier)}, this set {_format_text(info)})"
    elif count := _other_pixels(benchmark, samples):
        other = f"other images ({count:,} of {len(samples):,} differ in their pixels)"
    else:
        return
    raise ArtifactError(
        f"The benchmark {benchmark.name!r} has runs on {other}. Prepare this set under another "
        "--name."
    )


def _format_text(info: BenchmarkInfo) -> str:
    return f"{info.side} px, {'in colour' if info.colour else 'grey'}"


def _other_pixels(benchmark: BenchmarkDir, samples: pd.DataFrame) -> int:
    """Returns how many images differ from those of a benchmark with the same split."""
    if not benchmark.samples_path.is_file():
        return 0
    earlier = benchmark.samples()
    if "sha1" not in earlier.columns or "sha1" not in samples.columns:
        return 0
    before, now = (table.set_index("id")["sha1"] for table in (earlier, samples))
    return int((before.reindex(now.index) != now).sum())


def _require_new_name(benchmark: BenchmarkDir) -> None:
    """Refuses to turn an existing benchmark into one with other labels."""
    if benchmark.info_path.is_file() and benchmark.info().corrections is None:
        raise ArtifactError(
            f"The benchmark {benchmark.name!r} exists with the labels of its sources. Corrected "
            "validation and test labels make another benchmark: give it another --name."
        )


def _framing(
    images: NDArray[np.uint8], samples: pd.DataFrame, progress: Progress
) -> Framing | None:
    """Returns the framing of the training images; None without a detector."""
    try:
        detector = CenterFaceDetector()
    except DetectorError:
        return None
    rows = np.flatnonzero(samples["split"] == "train")
    return measure_framing(images, rows, detector, progress=progress)


def _info(
    name: str,
    title: str,
    sources: Sequence[SelectedSource],
    sample_format: SampleFormat,
    reading: Reading,
) -> BenchmarkInfo:
    samples = reading.samples
    labels = LabelSet.of(samples.loc[samples["split"] != EXCLUDED, "label"])
    excluded = Counter(samples.loc[samples["split"] == EXCLUDED, "excluded"])
    origins = [source.reader.origin for source in sources]
    return BenchmarkInfo(
        name=name,
        title=title or " + ".join(origin.title for origin in origins),
        labels=labels.names,
        sources=tuple(
            SourceInfo(**{**vars(origin), "name": source.title})
            for source, origin in zip(sources, origins, strict=True)
        ),
        side=sample_format.side,
        colour=sample_format.colour,
        split_hash=splits.split_hash(samples),
        counts=_counts(samples, labels),
        excluded=dict(sorted(excluded.items())),
        leaked_test=int(((samples["split"] == "test") & samples["leak"]).sum()),
        skipped=reading.skipped,
        protocol=PROTOCOL,
    )


def _counts(samples: pd.DataFrame, labels: LabelSet) -> dict[str, dict[str, int]]:
    tally = Counter(zip(samples["split"], samples["label"], strict=True))
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        counts[split] = {name: tally[split, name] for name in labels.names}
        if not any(counts[split].values()):
            raise DataError(
                f"There is no usable image in the {split} split. Add images to it, or pass "
                "--split random so that FERscope splits the set."
            )
        for name, count in counts[split].items():
            if count == 0:
                total = sum(tally[other, name] for other in SPLITS)
                raise DataError(
                    f"The class {name!r} has no usable image in the {split} split; it has {total} "
                    "in all, without copies of held-out images. Add images of it, draw new splits "
                    f"with --split random, or leave it out: --map-class {name}=, or "
                    f"--min-class {max(3, total + 1)}."
                )
    return counts


def _portable(requested: dict[str, Any]) -> dict[str, Any]:
    """Returns a plan without local folders."""
    sources = [
        {
            key: Path(value).name if key in ("path", "votes") else value
            for key, value in source.items()
        }
        for source in requested.get("sources", ())
    ]
    relabels = {"relabel": Path(requested["relabel"]).name} if requested.get("relabel") else {}
    return {**requested, "sources": sources, **relabels}
