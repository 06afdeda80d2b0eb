"""From a source to a PreparedDataset and the benchmark's shipped facts."""

import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir, BenchmarkInfo, SourceInfo, write_table
from fer_core.data import quality, splits
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import VOTE_PREFIX, PreparedDataset
from fer_core.data.sources.base import SPLITS, Sample, Skipped, Source
from fer_core.errors import ArtifactError, DataError
from fer_core.files import atomic_path
from fer_core.labels import LabelSet

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps an iterable of known length to show how far it is; gets (iterable, length, title)."""

VALIDATION_SHARE = 0.1
"""Share of the training side given to validation where a source brings none."""

TEST_SHARE = 0.2

MIN_AVERAGED = 10
"""Fewest images in a published mean face: the mean of one image would be that picture."""

EXCLUDED = "excluded"

PROTOCOL = (
    "Validation chooses; test is read once. Train gives up images whose exact or near duplicate "
    "stands in validation or test, validation those in test; test is never shortened."
)


def silent(items: Iterable[Any], length: int, title: str) -> Iterable[Any]:
    """Shows nothing."""
    return items


def prepare(
    source: Source,
    folder: Path,
    *,
    name: str,
    side: int,
    seed: int = 0,
    progress: Progress = silent,
) -> PreparedDataset:
    """Reads a source, finds duplicates, splits, and writes the set to a folder.

    The set is written beside the folder and moved there at the end, so that a run that is
    killed or fails leaves an earlier set as it was.

    Args:
        source: The dataset reader.
        folder: Where the set will stand; an earlier set there is replaced.
        name: The benchmark's name.
        side: Side of the stored square images in pixels.
        seed: Seed of the split, where the source has none.
        progress: Shows progress.

    Raises:
        DataError: If a class or split is empty, the source is faulty, the images would be too
            small to compare, or the folder holds something else than a prepared set.
        ArtifactError: If the folder cannot be written or the disk is full.
    """
    if side < quality.THUMBNAIL_SIDE:
        raise DataError(
            f"Images of {side} x {side} pixels are too small to find duplicates among. "
            f"Give a side of at least {quality.THUMBNAIL_SIDE}."
        )
    _recover(folder)
    _refuse_foreign(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be made ({error.strerror}). Give a folder that may be written."
        ) from error
    try:
        info = _write_set(source, partial, name, SampleFormat(side, source.colour), seed, progress)
        info.write(partial / "benchmark.json")
        _replace_folder(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return PreparedDataset.open(folder)


def publish_facts(dataset: PreparedDataset, benchmark: BenchmarkDir) -> None:
    """Writes a set's facts, samples table and mean faces (no pictures) to its benchmark.

    Raises:
        ArtifactError: If the benchmark exists with another split and has runs on it.
    """
    if benchmark.info_path.is_file() and benchmark.runs():
        earlier = benchmark.info().split_hash
        if earlier != dataset.info.split_hash:
            raise ArtifactError(
                f"The benchmark {benchmark.name!r} has runs on another split (hash {earlier}, this "
                f"set {dataset.info.split_hash}). Prepare this set under another --name."
            )
    write_table(benchmark.samples_path, dataset.samples)
    benchmark.write_mean_faces(mean_faces(dataset))
    dataset.info.write(benchmark.info_path)


def mean_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.float32]]:
    """Returns mean and deviation of the images by split and class.

    Returns:
        Keys `<split>/<label>/mean` and `.../std`; values float32 in 0 to 255, one image's shape.
        A class with fewer than `MIN_AVERAGED` images in a split has none there.
    """
    faces: dict[str, NDArray[np.float32]] = {}
    for split in SPLITS:
        rows = dataset.rows(split)
        targets = dataset.targets(rows)
        for index, label in enumerate(dataset.labels.names):
            chosen = rows[targets == index]
            if len(chosen) >= MIN_AVERAGED:
                images = np.asarray(dataset.images[chosen], dtype=np.float32)
                faces[f"{split}/{label}/mean"] = images.mean(axis=0)
                faces[f"{split}/{label}/std"] = images.std(axis=0)
    return faces


def _write_set(
    source: Source,
    folder: Path,
    name: str,
    sample_format: SampleFormat,
    seed: int,
    progress: Progress,
) -> BenchmarkInfo:
    rows: list[dict[str, Any]] = []
    thumbnails: list[NDArray[np.float32]] = []
    skipped: dict[str, str] = {}
    images = _new_array(folder / "images.npy", (len(source), *sample_format.shape))
    for item in progress(source, len(source), "reading"):
        if isinstance(item, Skipped):
            skipped[item.key] = item.reason
            continue
        image = sample_format.convert(item.image)
        images[len(rows)] = image
        thumbnails.append(quality.thumbnail(image))
        rows.append(_row(source, item, image))
    images.flush()
    if not rows:
        raise DataError(
            f"{source.origin.title} gave no readable image ({len(skipped)} were skipped). "
            "Check the path."
        )
    if len(rows) < len(source):
        _shorten(folder / "images.npy", images, len(rows))
    samples = pd.DataFrame(rows)
    _add_vote_defaults(samples)
    samples = _assign_splits(samples, np.stack(thumbnails), seed)
    labels = LabelSet.of(samples.loc[samples["split"] != EXCLUDED, "label"])
    counts = _counts(samples, labels)
    write_table(folder / "samples.parquet", samples)
    excluded = Counter(samples.loc[samples["split"] == EXCLUDED, "excluded"])
    return BenchmarkInfo(
        name=name,
        title=source.origin.title,
        labels=labels.names,
        sources=(SourceInfo(**vars(source.origin)),),
        side=sample_format.side,
        colour=sample_format.colour,
        split_hash=splits.split_hash(samples),
        counts=counts,
        excluded=dict(sorted(excluded.items())),
        leaked_test=int(((samples["split"] == "test") & samples["leak"]).sum()),
        skipped=skipped,
        protocol=PROTOCOL,
    )


def _row(source: Source, sample: Sample, image: NDArray[np.uint8]) -> dict[str, Any]:
    return {
        "id": f"{source.origin.name}/{sample.key}",
        "source": source.origin.name,
        "source_split": sample.split,
        "label": sample.label,
        "second_label": sample.second_label,
        "excluded": sample.excluded,
        **{f"{VOTE_PREFIX}{name}": count for name, count in sample.votes.items()},
        **quality.statistics(image),
        "sha1": quality.digest(image),
    }


def _add_vote_defaults(samples: pd.DataFrame) -> None:
    columns = [name for name in samples.columns if name.startswith(VOTE_PREFIX)]
    samples[columns] = samples[columns].fillna(0).astype(np.int16)


def _assign_splits(
    samples: pd.DataFrame, thumbnails: NDArray[np.float32], seed: int
) -> pd.DataFrame:
    exact = quality.linked_pairs(samples["sha1"].tolist())
    near = quality.near_pairs(thumbnails)
    groups = quality.group_pairs(np.concatenate([exact, near]), len(samples))
    samples["exact_group"] = quality.group_pairs(exact, len(samples))
    samples["duplicate_group"] = groups

    split = samples["source_split"].to_numpy(dtype=object).copy()
    usable = (samples["excluded"] == "").to_numpy() & samples["label"].notna().to_numpy()
    labels = samples["label"].to_numpy(dtype=object)
    without = np.array([value is None or value != value for value in split])
    if without.all():
        split[:] = "train"
        chosen = np.flatnonzero(usable)
        drawn = splits.stratified_split(labels[chosen], groups[chosen], TEST_SHARE, seed)
        split[chosen[drawn]] = "test"
        _pull_groups_together(split, groups)
    elif without.any():
        row = samples["id"].iloc[int(np.argmax(without))]
        raise DataError(
            f"{row} stands in no split while other images do. Move it into a split folder, "
            "or remove the split folders."
        )
    if not (split == "validation").any():
        chosen = np.flatnonzero(usable & (split == "train"))
        if len(chosen):
            drawn = splits.stratified_split(labels[chosen], groups[chosen], VALIDATION_SHARE, seed)
            split[chosen[drawn]] = "validation"
            _pull_groups_together(split, groups, among=("train", "validation"))

    samples["leak"] = splits.leaks(groups, split)
    given_up = np.where(usable, splits.leaked_training(groups, split), "")
    samples["original_split"] = split
    excluded = samples["excluded"].to_numpy(dtype=object)
    samples["excluded"] = np.where(excluded == "", given_up, excluded)
    samples["split"] = np.where(usable & (given_up == ""), split, EXCLUDED)
    return samples


def _pull_groups_together(
    split: NDArray[np.object_],
    groups: NDArray[np.int64],
    among: tuple[str, ...] = SPLITS,
) -> None:
    """Moves unusable members of a duplicate group to where its drawn members are."""
    for held_out in ("test", "validation"):
        if held_out in among:
            members = (groups >= 0) & np.isin(groups, np.unique(groups[split == held_out]))
            split[members & np.isin(split, among)] = held_out


def _counts(samples: pd.DataFrame, labels: LabelSet) -> dict[str, dict[str, int]]:
    tally = Counter(zip(samples["split"], samples["label"], strict=True))
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        counts[split] = {name: tally[split, name] for name in labels.names}
        if not any(counts[split].values()):
            raise DataError(
                f"There is no usable image in the {split} split. Add images to it, or remove the "
                "split folders so that FERscope splits the set."
            )
        for name, count in counts[split].items():
            if count == 0:
                raise DataError(
                    f"The class {name!r} has no usable image in the {split} split. "
                    "Add images of it, or leave the class out."
                )
    return counts


def _new_array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Makes a uint8 array on disk and takes all of its space at once.

    A mapped file grows where it is written to; on a full disk that ends the process with a bus
    error. Taking the space beforehand gives an error that can be shown.

    Raises:
        ArtifactError: If the space cannot be had.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise ArtifactError(
            f"There is no room for the prepared images in {path.parent.parent} "
            f"({error.strerror}). They need {math.prod(shape) / 1e6:.0f} MB; free some space, or "
            "give a smaller side."
        ) from error
    return array


def _shorten(path: Path, images: NDArray[np.uint8], count: int) -> None:
    """Rewrites the array without the places of skipped files, in blocks."""
    with atomic_path(path) as temporary:
        short = _new_array(temporary, (count, *images.shape[1:]))
        for start in range(0, count, 4096):
            short[start : start + 4096] = images[start : min(start + 4096, count)]
        short.flush()


def _replace_folder(new: Path, folder: Path) -> None:
    old = _set_aside(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError as error:
        _recover(folder)
        raise ArtifactError(
            f"The prepared set could not be moved to {folder} ({error.strerror}). "
            "Check that its parent folder may be written."
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _recover(folder: Path) -> None:
    """Puts an earlier set back that was set aside by a run killed before its own set stood."""
    old = _set_aside(folder)
    if old.is_dir() and not folder.exists():
        old.rename(folder)


def _refuse_foreign(folder: Path) -> None:
    """Refuses a folder that holds other files: replacing it would delete them."""
    if not folder.exists() or (folder.is_dir() and (folder / "benchmark.json").is_file()):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise DataError(
            f"{folder} holds something else than a prepared set, and preparing would delete it. "
            "Give another folder or name."
        )
