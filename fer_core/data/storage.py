"""Image storage: one npy file, written in order and read in blocks.

Mapped pages count as memory of the process, so data sets of many gigabytes are written and read as
ordinary files.
"""

import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.imaging import SampleFormat
from fer_core.errors import ArtifactError

BLOCK_BYTES = 8 * 2**20
"""Bytes of images per block; sums over a block take sixteen times as much."""

WEBP_QUALITY = 95
"""WebP quality of published images: a quarter of the lossless size."""


class ImageWriter:
    """Writes `images.npy` image by image.

    The disk space is reserved first, so a full disk is reported before hours of reading.

    Args:
        path: Path of the file; its folder must exist.
        count: Largest number of images.
        sample_format: Size and colour of the images.
        kept: Number of images of an earlier writer that are kept; the others are removed.

    Raises:
        ArtifactError: If the disk space cannot be reserved.
    """

    def __init__(self, path: Path, count: int, sample_format: SampleFormat, kept: int = 0) -> None:
        self._shape = sample_format.shape
        self._header = _header(count, self._shape)
        self.count = kept
        size = len(self._header) + count * math.prod(self._shape)
        end = len(self._header) + kept * math.prod(self._shape)
        try:
            self._file = path.open("r+b" if kept else "wb")
            self._file.truncate(end)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
        except OSError as error:
            raise ArtifactError(
                f"There is not enough space for the prepared images in {path.parent.parent} "
                f"({error.strerror}). They need {size / 1e6:.0f} MB; free some space, or "
                "pass a smaller --side."
            ) from error
        self._file.write(self._header)
        self._file.seek(end)

    def flush(self) -> None:
        """Makes sure that the images are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def append(self, image: NDArray[np.uint8]) -> None:
        """Writes the next image, which must have the writer's format."""
        self._file.write(np.ascontiguousarray(image).tobytes())
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Writes the actual number of images into the header and closes the file."""
        with self._file:
            header = _header(self.count, self._shape)
            if kind is None and len(header) == len(self._header):
                self._file.seek(0)
                self._file.write(header)
                self._file.truncate(len(header) + self.count * math.prod(self._shape))


def written_images(
    path: Path, count: int, sample_format: SampleFormat, rows: range
) -> NDArray[np.uint8]:
    """Reads images of a file that `ImageWriter` has not finished; fewer if it is too short.

    Args:
        path: Path of the file.
        count: Largest number of images of the writer.
        sample_format: Size and colour of the images.
        rows: Positions of the images, consecutive.
    """
    width = math.prod(sample_format.shape)
    start = len(_header(count, sample_format.shape)) + rows.start * width
    flat = np.fromfile(path, np.uint8, len(rows) * width, offset=start)
    return flat[: len(flat) // width * width].reshape(-1, *sample_format.shape)


def image_blocks(images: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yields (first row, images of the block) in order; reads a mapped file without mapping it.

    Args:
        images: uint8, shape (N, ...): an array, or a memory map of an entire npy file.
    """
    width = math.prod(images.shape[1:])
    rows = max(1, BLOCK_BYTES // max(1, width))
    for start in range(0, len(images), rows):
        count = min(rows, len(images) - start)
        if isinstance(images, np.memmap) and images.filename is not None:
            flat = np.fromfile(
                images.filename, np.uint8, count * width, offset=images.offset + start * width
            )
            yield start, flat.reshape(count, *images.shape[1:])
        else:
            yield start, np.asarray(images[start : start + count])


class PictureWriter:
    """Writes `pictures.parquet`: publishable images as WebP, by sample id."""

    _SCHEMA = pa.schema([("id", pa.string()), ("webp", pa.binary())])
    _ROWS = 512

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, self._SCHEMA, compression="none")
        self._rows: list[tuple[str, bytes]] = []

    def append(self, sample_id: str, data: bytes) -> None:
        """Writes an image that `encode` encoded."""
        self._rows.append((sample_id, data))
        if len(self._rows) == self._ROWS:
            self._flush()

    def close(self) -> None:
        """Writes the remaining images and closes the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [(), ()]
        self._writer.write_table(
            pa.table(dict(zip(("id", "webp"), columns, strict=True)), self._SCHEMA)
        )
        self._rows.clear()


def encode(image: NDArray[np.uint8]) -> bytes:
    """Encodes a grey or RGB image as WebP."""
    buffer = io.BytesIO()
    Image.fromarray(image).convert("RGB").save(buffer, "WEBP", quality=WEBP_QUALITY, method=6)
    return buffer.getvalue()


def decode(data: bytes, colour: bool) -> NDArray[np.uint8]:
    """Decodes an image that `encode` wrote."""
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
        return np.asarray(picture.convert("RGB" if colour else "L"))


def _header(count: int, shape: tuple[int, ...]) -> bytes:
    """Returns the header of an npy file; numpy pads it, so its length hardly varies."""
    buffer = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(buffer, facts)
    return buffer.getvalue()
