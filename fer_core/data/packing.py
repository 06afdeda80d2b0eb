"""Packs a prepared dataset into a few small files for copying to other machines.

Images are stored as lossless WebP strips of many images each, which reduces FER2013 to two thirds.
Other files are copied. Unpacking checks the hash of every file.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.atomic_dir import FILES, atomic_dir
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.data.storage import ImageWriter
from fer_core.errors import ArtifactError, DataError
from fer_core.files import atomic_path, content_hash, read_json, write_json

FACTS = "pack.json"
_IMAGES = "images.npy"
_STRIP_PIXELS = 16000
"""Maximum height of a strip; WebP allows 16,383."""

_STRIP = re.compile(r"\d{9}\.webp")
"""Names of strips: the number of the first image."""


def pack(dataset: PreparedDataset, folder: Path, progress: Progress = silent) -> Path:
    """Packs a dataset into a folder of small files.

    Args:
        dataset: The prepared dataset.
        folder: Target folder, new, empty or of an earlier pack, whose files are replaced.
        progress: Shows progress.

    Returns:
        The folder.

    Raises:
        ArtifactError: If the folder cannot be written.
        DataError: If an image is too wide for WebP, or the folder contains files and no pack.
    """
    side, count = dataset.info.side, len(dataset.images)
    if side > _STRIP_PIXELS:
        raise DataError(f"Images of {side} px cannot be packed; WebP allows {_STRIP_PIXELS}.")
    rows = max(1, _STRIP_PIXELS // side)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        # without hashes it is no pack to unpack, but a stopped one can be written again
        write_json(folder / FACTS, {"name": dataset.info.name})
        starts = range(0, count, rows)
        for start in progress(starts, len(starts), f"packing {dataset.info.name}"):
            _write_strip(folder / f"{start:09d}.webp", dataset.images[start : start + rows])
        hashes = {_IMAGES: content_hash(dataset.folder / _IMAGES)}
        for name in sorted(FILES - {_IMAGES}):
            if (dataset.folder / name).is_file():
                shutil.copyfile(dataset.folder / name, folder / name)
                hashes[name] = content_hash(folder / name)
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be written ({error.strerror}). Pass a writable folder."
        ) from error
    facts = {"name": dataset.info.name, "count": count, "rows": rows, "hashes": hashes}
    facts |= {"side": side, "colour": dataset.info.colour}
    write_json(folder / FACTS, facts)
    return folder


def _clear(folder: Path) -> None:
    """Removes the files of an earlier pack, and no others.

    Raises:
        DataError: If the folder contains files, but no pack.
    """
    names = sorted(path.name for path in folder.iterdir())
    if FACTS not in names:
        # file managers create hidden files
        if other := [name for name in names if not name.startswith(".")]:
            raise DataError(
                f"{folder} contains files, such as {other[0]}, and no packed set. "
                "Pass a new or empty folder."
            )
        return
    for name in names:
        if _STRIP.fullmatch(name) or name in FILES - {_IMAGES}:
            (folder / name).unlink()


def packed_name(folder: Path) -> str:
    """Returns the name of a packed dataset.

    Raises:
        DataError: If the folder is not one.
    """
    return str(_facts(folder)["name"])


def unpack(folder: Path, target: Path, progress: Progress = silent) -> PreparedDataset:
    """Restores a packed dataset, bit for bit.

    Args:
        folder: Folder written by `pack`.
        target: Folder of the prepared dataset; an earlier one there is replaced.
        progress: Shows progress.

    Raises:
        DataError: If a file is missing or damaged, or the result differs from the packed dataset.
    """
    facts = _facts(folder)
    stored = SampleFormat(int(facts["side"]), bool(facts["colour"]))
    count, rows = int(facts["count"]), int(facts["rows"])
    with atomic_dir(target) as partial:
        with ImageWriter(partial / _IMAGES, count, stored) as writer:
            starts = range(0, count, rows)
            for start in progress(starts, len(starts), f"unpacking {facts['name']}"):
                for image in _read_strip(folder / f"{start:09d}.webp", stored):
                    writer.append(image)
        for name, expected in facts["hashes"].items():
            if name not in FILES:
                raise DataError(
                    f"{folder / FACTS} lists the file {name!r}, which is not part of a dataset. "
                    "Pack the set again with: python -m training pack"
                )
            if name != _IMAGES:
                _copy(folder / name, partial / name)
            if content_hash(partial / name) != expected:
                raise DataError(f"{name} differs from the packed file. Copy {folder} again.")
    return PreparedDataset.open(target)


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = read_json(folder / FACTS)
        if not {"name", "count", "rows", "side", "colour", "hashes"} <= facts.keys():
            raise ArtifactError(f"{FACTS} lacks a key.")
    except ArtifactError as error:
        raise DataError(
            f"{folder} is not a packed set. {error} Make one with: python -m training pack"
        ) from error
    return facts


def _write_strip(path: Path, images: NDArray[np.uint8]) -> None:
    block = np.ascontiguousarray(images).reshape(-1, images.shape[2], *images.shape[3:])
    with atomic_path(path) as temporary:
        Image.fromarray(block).convert("RGB").save(
            temporary, format="WEBP", lossless=True, quality=75, method=4
        )


def _read_strip(path: Path, stored: SampleFormat) -> NDArray[np.uint8]:
    try:
        with Image.open(path, formats=("WEBP",)) as picture:
            block = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read ({error}). Copy {path.parent} again."
        ) from error
    if block.shape[1] != stored.side or block.shape[0] % stored.side:
        raise DataError(f"{path.name} has another size than its set. Copy {path.parent} again.")
    return (block if stored.colour else block[..., 0]).reshape(-1, *stored.shape)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise DataError(f"{source} cannot be read ({error.strerror}). Copy it again.") from error
