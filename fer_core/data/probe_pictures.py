"""The pictures of a probe in a benchmark's format, drawn once and cached."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.data.image_changes import IMAGE_CHANGES
from fer_core.data.imaging import SampleFormat
from fer_core.data.progress import Progress
from fer_core.files import atomic_path
from fer_core.synthetic.attributes import ATTRIBUTES, BASE
from fer_core.synthetic.probe_design import (
    IDENTITIES,
    ProbeFace,
    ProbeView,
    attribute_faces,
    curve_faces,
    design_hash,
    draw_probe_face,
)

_CURVES = {
    f"curves_{first}": (first, min(first + 10, IDENTITIES)) for first in range(0, IDENTITIES, 10)
}
"""Persons of each block of pictures of the response curves, by the block's name."""

_PROCESSES = 2


@dataclass(frozen=True)
class ProbePictures:
    """Reads and draws the pictures of a probe, block by block.

    Attributes:
        stored: Format of the benchmark's images.
        view: Size and framing of the faces.
        cache: Folder of drawn blocks; those of another design are not read.
    """

    stored: SampleFormat
    view: ProbeView
    cache: Path

    @property
    def design(self) -> str:
        """Hash of the pictures."""
        return f"{design_hash(self.view)}{'c' if self.stored.colour else 'g'}{self.stored.side}"

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks: the response curves, then each attribute."""
        return *_CURVES, *ATTRIBUTES

    def faces(self, block: str) -> tuple[ProbeFace, ...]:
        """Returns the faces of a block."""
        if block in _CURVES:
            return curve_faces(*_CURVES[block])
        return attribute_faces(block)

    def draw_missing(self, progress: Progress) -> None:
        """Draws the blocks that are not cached; an interrupted drawing continues."""
        drawn = [name for name in self.blocks if not _image_change(name)]
        missing = [name for name in drawn if self._read(name) is None]
        if not missing:
            return
        with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
            for name in progress(missing, len(missing), "drawing faces"):
                faces = self.faces(name)
                chunks = [faces[start : start + 50] for start in range(0, len(faces), 50)]
                draw = partial(draw_faces, view=self.view, stored=self.stored)
                self._write(name, np.concatenate(list(pool.map(draw, chunks))))

    def images(self, block: str) -> NDArray[np.uint8]:
        """Returns the pictures of a block, which `draw_missing` must have drawn.

        Returns:
            uint8, shape (N, side, side) or (N, side, side, 3).
        """
        change = _image_change(block)
        images = self._read(BASE if change else block)
        if images is None:
            images = draw_faces(self.faces(BASE if change else block), self.view, self.stored)
        return change_images(images, change) if change else images

    def _path(self, block: str) -> Path:
        return self.cache / f"probe-{self.design}" / f"{block}.npy"

    def _read(self, block: str) -> NDArray[np.uint8] | None:
        try:
            images = np.load(self._path(block), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # missing or damaged: it is drawn again
            return None
        expected = (len(self.faces(block)), *self.stored.shape)
        return images if images.shape == expected and images.dtype == np.uint8 else None

    def _write(self, block: str, images: NDArray[np.uint8]) -> None:
        with atomic_path(self._path(block)) as temporary, temporary.open("wb") as file:
            np.save(file, images)


def draw_faces(
    faces: Sequence[ProbeFace], view: ProbeView, stored: SampleFormat
) -> NDArray[np.uint8]:
    """Draws faces in a benchmark's format; image changes of attributes are not made."""
    return np.stack([stored.convert(draw_probe_face(face, view)) for face in faces])


def draw_attribute(
    faces: Sequence[ProbeFace], view: ProbeView, stored: SampleFormat
) -> NDArray[np.uint8]:
    """Draws faces of the design with their attributes, image changes included.

    The random numbers of an image change depend on the face's index in its block, so each face is
    looked up there.
    """
    images = draw_faces(faces, view, stored)
    for index, face in enumerate(faces):
        if change := ATTRIBUTES[face.name].image_change:
            key = attribute_faces(face.name).index(face)
            images[index] = IMAGE_CHANGES[change](images[index : index + 1], [key])[0]
    return images


def change_images(images: NDArray[np.uint8], change: str) -> NDArray[np.uint8]:
    """Makes an image change; its random numbers depend on the index of each image."""
    return IMAGE_CHANGES[change](images, range(len(images)))


def _image_change(block: str) -> str:
    return ATTRIBUTES[block].image_change if block in ATTRIBUTES else ""
