"""Attaches pictures to a benchmark that was published without them, by their content.

`samples.parquet` has the hash, the perceptual hash and the statistics of each image, so neither
names nor folders matter. A picture with the hash of an image is that image, bit for bit. A copy
that was encoded again (JPEG) has nearly the same perceptual hash, brightness, contrast and
sharpness; it is taken only if no other image fits nearly as well.

`tests/data/test_real_fer2013.py` holds it to FER2013: of 2,000 images at JPEG quality 90, at least
99% are matched and none to another image.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_core.artifacts import BenchmarkDir
from fer_core.data import quality
from fer_core.data.atomic_dir import ATTACHED, atomic_dir
from fer_core.data.faces import whole_picture
from fer_core.data.imaging import SampleFormat
from fer_core.data.progress import Progress, silent
from fer_core.data.sources.files import decode, is_image
from fer_core.data.sources.pixels import PixelFile, find_pixel_tables, pixel_pictures
from fer_core.data.sources.tree import FileTree, file_tree, is_archive, open_tree
from fer_core.errors import ArtifactError, DataError, ImageError
from fer_core.records import BenchmarkInfo
from fer_core.tables import read_table, write_table

HASH_BITS = 8
"""Largest Hamming distance of perceptual hashes of a re-encoded copy."""

_TOLERANCES = {"brightness": 1.5, "contrast": 1.5, "sharpness": 1.0}
_SCALES = {"brightness": 0.1, "contrast": 0.1, "sharpness": 0.15}
_MOST, _MARGIN = 10.0, 2.0
"""Largest mismatch of a copy, and by how much the next best image must be worse."""

_NONE, _NEAR, _EXACT = 0, 1, 2
_COLUMNS = ("sha1", "phash", *_TOLERANCES)


@dataclass(frozen=True)
class AttachedPictures:
    """Pictures of a benchmark's samples.

    Attributes:
        images: uint8, shape (M, side, side) or (M, side, side, 3), in the benchmark's format.
        rows: Position in `images` by sample id; samples without a picture are missing.
        exact: Number of samples whose picture is equal bit for bit.
        near: Number of samples with a re-encoded copy.
        samples: Number of samples of the benchmark.
        read: Number of pictures that were read.
        unreadable: Number of pictures that could not be read.
    """

    images: NDArray[np.uint8]
    rows: Mapping[str, int]
    exact: int
    near: int
    samples: int
    read: int = 0
    unreadable: int = 0

    @property
    def summary(self) -> str:
        """One sentence on how many pictures were found."""
        text = f"{self.exact + self.near:,} of {self.samples:,} pictures are attached"
        if self.near:
            text += f": {self.exact:,} exact, {self.near:,} re-encoded copies"
        if self.unreadable:
            text += f"; {self.unreadable:,} files could not be read"
        return f"{text}."


def match_pictures(
    info: BenchmarkInfo,
    samples: pd.DataFrame,
    pictures: Iterable[Image.Image | NDArray[np.uint8] | None],
) -> AttachedPictures:
    """Finds out which sample each picture shows.

    Args:
        info: The benchmark.
        samples: The benchmark's samples.
        pictures: The pictures, in any order; None for one that cannot be read.

    Raises:
        DataError: If the benchmark's samples have no hashes.
    """
    matcher = _Matcher(info, samples)
    matcher.add_all(pictures)
    return matcher.result()


def attach(
    benchmark: BenchmarkDir, folder: Path, path: Path, progress: Progress = silent
) -> AttachedPictures:
    """Matches the pictures of a csv, an archive, a folder or a file, and stores the matched ones.

    Pictures that were attached before stay unless an exact one replaces a re-encoded copy. The
    benchmark does not change.

    Args:
        benchmark: The benchmark.
        folder: The data folder of the benchmark, such as `data/ferplus`.
        path: The csv, archive, folder or file.
        progress: Shows progress.

    Raises:
        DataError: If the path or the benchmark's samples cannot be read, or no picture matches.
        ArtifactError: If the folder cannot be written.
    """
    info, samples = benchmark.info(), benchmark.samples()
    tree = path_tree(path)
    with atomic_dir(folder / ATTACHED) as partial:
        count = len(_distinct(samples))
        shape = (count, *SampleFormat.of(info).shape)
        stored = np.lib.format.open_memmap(
            partial / "images.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        matcher = _Matcher(info, samples, stored)
        matcher.add_earlier(folder / ATTACHED)
        matcher.add_all(tree_pictures([tree], progress, len(samples)))
        attached = matcher.result()
        if not attached.rows:
            raise DataError(
                f"None of the {attached.read:,} pictures in {path.name} is one of "
                f"{benchmark.name}'s {len(samples):,}. Give the data that {info.title} was made "
                "from."
            )
        stored.flush()
        write_table(partial / "samples.parquet", matcher.table())
        info.write(partial / "benchmark.json")
    return attached


def read_attached(folder: Path, samples: pd.DataFrame) -> AttachedPictures:
    """Opens attached pictures; images stay on disk.

    Args:
        folder: The data folder of the benchmark.
        samples: The benchmark's samples; pictures of other content are left out.

    Raises:
        ArtifactError: If there are none, or they cannot be read.
    """
    table = read_table(folder / ATTACHED / "samples.parquet", ("sha1", "match"))
    try:
        images = np.load(folder / ATTACHED / "images.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"The attached pictures are damaged ({error}).") from error
    if len(images) != len(table) or images.dtype != np.uint8:
        raise ArtifactError("The attached pictures are damaged. Attach them again.")
    return _attached(images, dict(zip(table["sha1"], table["match"], strict=True)), samples)


def path_tree(path: Path) -> FileTree:
    """Returns a folder, archive or single file as a tree.

    Raises:
        DataError: If it does not exist or cannot be read.
    """
    if path.is_dir():
        return open_tree(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist. Give a csv, a zip, a folder or a picture.")
    return open_tree(path) if is_archive(path) else file_tree(path)


def path_below(root: Path, text: str) -> Path:
    """Returns a path that a visitor of the dashboard names, below a folder.

    Raises:
        DataError: If it does not exist or leads out of the folder, by `..`, by an absolute path or
            by a link; both have one message, so that a visitor learns nothing of other files.
    """
    real_root = os.path.realpath(root)
    try:
        real = Path(os.path.realpath(Path(real_root) / text.strip()))
        inside = real.is_relative_to(real_root) and real.exists()
    except (OSError, ValueError):  # a null character, a link to itself
        inside = False
    if not inside:
        raise DataError("There is no such file or folder below the folder of pictures.")
    return real


def tree_pictures(
    trees: Iterable[FileTree], progress: Progress = silent, expected: int = 0
) -> Iterator[Image.Image | NDArray[np.uint8] | None]:
    """Gives all pictures of some trees: of csv files of pixels, and of picture files.

    Args:
        trees: Folders, archives or files.
        progress: Shows progress.
        expected: About how many rows a csv has, for the progress.
    """
    for tree in trees:
        for name in find_pixel_tables(tree):
            yield from progress(pixel_pictures(PixelFile(tree, name)), expected, "reading pictures")
        files = [name for name in tree.files if is_image(name)]
        for name in progress(files, len(files), "reading pictures"):
            try:
                yield decode(tree, name)
            except ImageError:
                yield None


class _Matcher:
    """Matches pictures with the distinct images of a benchmark; one slot for each of these."""

    def __init__(
        self, info: BenchmarkInfo, samples: pd.DataFrame, images: NDArray[np.uint8] | None = None
    ) -> None:
        self._samples = samples
        self._format = SampleFormat.of(info)
        keys = _distinct(samples)
        self._digests = keys["sha1"].tolist()
        self._slots = {digest: slot for slot, digest in enumerate(self._digests)}
        self._order = np.argsort(keys["brightness"].to_numpy(dtype=np.float64), kind="stable")
        sorted_keys = keys.iloc[self._order]
        self._hashes = sorted_keys["phash"].to_numpy(dtype=np.uint64)
        self._statistics = _statistics(sorted_keys)
        shape = (len(keys), *self._format.shape)
        self._images = np.zeros(shape, dtype=np.uint8) if images is None else images
        self._match = np.full(len(keys), _NONE, dtype=np.int8)
        self._mismatch = np.full(len(keys), np.inf)
        self._read = self._unreadable = 0

    def add_all(self, pictures: Iterable[Image.Image | NDArray[np.uint8] | None]) -> None:
        """Stores the pictures that show an image; None counts as unreadable."""
        for picture in pictures:
            self._read += 1
            if picture is None:
                self._unreadable += 1
            else:
                self._add(picture)

    def _add(self, picture: Image.Image | NDArray[np.uint8]) -> None:
        """Stores a picture in the slot of the image that it shows, if it shows one."""
        image = self._stored_form(picture)
        slot = self._slots.get(quality.digest(image))
        if slot is not None:
            if self._match[slot] != _EXACT:
                self._images[slot] = image
                self._match[slot] = _EXACT
            return
        slot, mismatch = self._nearest(image)
        if slot is not None and self._match[slot] != _EXACT and mismatch < self._mismatch[slot]:
            self._images[slot] = image
            self._match[slot], self._mismatch[slot] = _NEAR, mismatch

    def add_earlier(self, folder: Path) -> None:
        """Takes over pictures that were attached before."""
        if not (folder / "samples.parquet").is_file():
            return
        table = read_table(folder / "samples.parquet", ("sha1", "match"))
        earlier = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        if earlier.shape[1:] != self._images.shape[1:]:
            return
        for row, (digest, match) in enumerate(zip(table["sha1"], table["match"], strict=True)):
            slot = self._slots.get(digest)
            if slot is not None and match != _NONE:
                self._images[slot], self._match[slot] = earlier[row], match
                self._mismatch[slot] = 0  # another copy is no better

    def table(self) -> pd.DataFrame:
        """Returns the slots: `sha1` of the benchmark's image, and 0, 1 (near) or 2 (exact)."""
        return pd.DataFrame({"sha1": self._digests, "match": self._match})

    def result(self) -> AttachedPictures:
        """Returns what was matched so far."""
        matches = dict(zip(self._digests, self._match.tolist(), strict=True))
        attached = _attached(self._images, matches, self._samples)
        return replace(attached, read=self._read, unreadable=self._unreadable)

    def _stored_form(self, picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns a picture as `prepare` stores it."""
        if isinstance(picture, Image.Image):
            opened = picture if self._format.colour else picture.convert("L")
        else:
            opened = Image.fromarray(picture)
        return self._format.convert(whole_picture(opened).crop)

    def _nearest(self, image: NDArray[np.uint8]) -> tuple[int | None, float]:
        """Returns the slot of the image that a re-encoded copy shows, and their mismatch."""
        thumbnail = quality.thumbnail(image)
        if thumbnail.std() < quality.FLAT_DEVIATION:
            return None, np.inf
        statistics = _statistics(pd.DataFrame([quality.statistics(image)]))[:, 0]
        low, high = np.searchsorted(
            self._statistics[0],
            [statistics[0] - _TOLERANCES["brightness"], statistics[0] + _TOLERANCES["brightness"]],
        )
        distances = np.abs(self._statistics[:, low:high] - statistics[:, None])
        bits = np.bitwise_count(
            self._hashes[low:high] ^ quality.perceptual_hashes(thumbnail[None])[0]
        )
        fits = (bits <= HASH_BITS) & (distances <= _column(_TOLERANCES)).all(axis=0)
        if not fits.any():
            return None, np.inf
        positions = np.flatnonzero(fits)
        mismatches = bits[fits] / 2 + (distances[:, fits] / _column(_SCALES)).sum(axis=0)
        best = int(mismatches.argmin())
        others = np.delete(mismatches, best)
        if mismatches[best] > _MOST or (others < mismatches[best] + _MARGIN).any():
            return None, np.inf
        return int(self._order[low + positions[best]]), float(mismatches[best])


def _column(values: Mapping[str, float]) -> NDArray[np.float64]:
    return np.array(list(values.values()))[:, None]


def _statistics(table: pd.DataFrame) -> NDArray[np.float64]:
    """Returns brightness, contrast and the logarithm of sharpness, shape (3, N)."""
    values: NDArray[np.float64] = table[list(_TOLERANCES)].to_numpy(dtype=np.float64).T.copy()
    values[2] = np.log1p(values[2])
    return values


def _distinct(samples: pd.DataFrame) -> pd.DataFrame:
    """Returns one sample for each distinct image."""
    if missing := [name for name in _COLUMNS if name not in samples.columns]:
        raise DataError(
            f"The benchmark's samples have no {', '.join(missing)}, so pictures cannot be matched. "
            "Prepare the data again."
        )
    return samples.drop_duplicates("sha1")


def _attached(
    images: NDArray[np.uint8], matches: Mapping[str, int], samples: pd.DataFrame
) -> AttachedPictures:
    slots = {digest: slot for slot, digest in enumerate(matches)}
    hashes = [(str(name), str(digest)) for name, digest in zip(samples["id"], samples["sha1"],
             strict=True) if matches.get(digest, _NONE) != _NONE]  # fmt: skip
    exact = sum(matches[digest] == _EXACT for _, digest in hashes)
    rows = {name: slots[digest] for name, digest in hashes}
    return AttachedPictures(images, rows, exact, len(hashes) - exact, len(samples))
