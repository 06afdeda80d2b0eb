"""Finds, crops and stores the faces of a set's pictures, as `predict` does, in resumable parts."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.arrays import read_arrays, write_arrays
from fer_core.data.faces import (
    FaceDetector,
    detect_all,
    looks_cropped,
    no_face,
    ordered,
    picture_faces,
    whole_picture,
)
from fer_core.data.imaging import SampleFormat
from fer_core.data.progress import Progress, silent
from fer_core.data.sources.base import Skipped
from fer_core.data.transfer_source import PictureSet, SetPicture
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.records import Framing

BATCH = 32
"""Pictures per part: what an interruption loses."""

_DETECTED = 4  # pictures that a thread has in memory; a photograph takes up to 200 MB

_THREADS = 2
"""While one thread detects, the other one decodes, resizes and crops."""


@dataclass(frozen=True)
class StoredFaces:
    """The faces of one picture, in the benchmark's format.

    Attributes:
        images: uint8, shape (n, side, side) or (n, side, side, 3); the largest face first.
        sizes: Size of each face in the picture in pixels, shape (n,).
        cropped: Whether the picture was taken whole.
        problem: Why there is no face; empty if there is one.
        further: Number of further faces that are not used.
    """

    images: NDArray[np.uint8]
    sizes: NDArray[np.float32]
    cropped: bool
    problem: str = ""
    further: int = 0


@dataclass(frozen=True)
class FaceOptions:
    """Options of the face detection.

    Attributes:
        sample_format: Size and colour of stored faces.
        framing: Framing of the benchmark's images.
        cropped: Whether all pictures are cropped faces.
        all_faces: Whether every face of a picture is used, and not only the largest.
    """

    sample_format: SampleFormat
    framing: Framing | None
    cropped: bool = False
    all_faces: bool = False

    @property
    def key(self) -> str:
        """Hash of all that changes the stored faces."""
        framing = self.framing
        facts = (
            self.sample_format, None if framing is None else (framing.box, framing.drop),
            self.cropped, self.all_faces,
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass
class FoundFaces:
    """The faces of a set, in the order of its pictures.

    Attributes:
        keys: Name of each face: that of its picture, with `#2` for the second one.
        labels: Class by the set's own name; None without one.
        images: Stored images.
        digests: SHA-256 of each picture's content.
        sizes: Size of each face in its picture, in pixels.
        skipped: Pictures without a usable face, and files that cannot be read, with the reason.
        whole: Number of pictures that were taken whole.
        further: Number of faces beside the largest of their picture, if those are not used.
    """

    keys: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    whole: int = 0
    further: int = 0

    def add(self, picture: SetPicture, digest: str, faces: StoredFaces) -> None:
        """Adds the faces of a picture.

        A label belongs to the largest face: whoever labelled a picture meant that one.
        """
        if faces.problem:
            self.skipped[picture.key] = faces.problem
            return
        self.whole += faces.cropped
        self.further += faces.further
        for index in range(len(faces.images)):
            self.keys.append(picture.key if index == 0 else f"{picture.key}#{index + 1}")
            self.labels.append(picture.label if index == 0 else None)
            self.images.append(faces.images[index])
            self.digests.append(digest)
            self.sizes.append(float(faces.sizes[index]))


def find_set_faces(
    pictures: PictureSet,
    options: FaceOptions,
    detector: FaceDetector | None,
    cache: Path,
    progress: Progress = silent,
) -> FoundFaces:
    """Reads a set's pictures and finds their faces; continues where an earlier call was stopped.

    Args:
        pictures: The set.
        options: Options of the face detection.
        detector: Face detector; None if all pictures are cropped faces.
        cache: Folder of finished parts. Pictures are recognised by their content, so a renamed
            or added picture costs only itself.
        progress: Shows progress over the pictures.
    """
    store = _FaceCache(cache, options.key)
    result = FoundFaces()
    items = progress(pictures.items(), pictures.length, "finding faces")
    for batch in _batches(items, BATCH):
        read = [_content(item, result) for item in batch]
        known = [(item, digest, content) for item, digest, content in read if digest]
        new = [entry for entry in known if entry[1] not in store.faces]
        for (_, digest, _), faces in zip(new, _detected(new, options, detector), strict=True):
            store.add(digest, faces)
        store.save()
        for item, digest, _ in known:
            result.add(item, digest, store.faces[digest])
    return result


_Content = bytes | Image.Image | None


def _batches(
    items: Iterable[SetPicture | Skipped], size: int
) -> Iterator[list[SetPicture | Skipped]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _content(item: SetPicture | Skipped, result: FoundFaces) -> tuple[SetPicture, str, _Content]:
    """Reads a picture; one that cannot be read is listed, and its hash is empty."""
    if isinstance(item, Skipped):
        result.skipped[item.key] = item.reason
        return SetPicture(item.key, None, bytes), "", None
    try:
        content = item.read()
    except FerscopeError as error:
        result.skipped[item.key] = str(error)
        return item, "", None
    hasher = hashlib.sha256()
    if isinstance(content, bytes):
        hasher.update(content)
    else:
        hasher.update(f"{content.mode}{content.size}".encode())
        hasher.update(content.tobytes())
    if item.crop is not None:
        hasher.update(repr(item.box).encode())
    hasher.update(str(item.cropped).encode())
    return item, hasher.hexdigest()[:32], content


def _detected(
    pictures: Sequence[tuple[SetPicture, str, _Content]],
    options: FaceOptions,
    detector: FaceDetector | None,
) -> list[StoredFaces]:
    """Finds the faces of each picture, in their order."""
    parts = [pictures[start : start + _DETECTED] for start in range(0, len(pictures), _DETECTED)]
    with ThreadPoolExecutor(_THREADS) as threads:
        results = threads.map(lambda part: _faces_of(part, options, detector), parts)
        return [faces for part in results for faces in part]


def _faces_of(
    batch: Sequence[tuple[SetPicture, str, _Content]],
    options: FaceOptions,
    detector: FaceDetector | None,
) -> list[StoredFaces]:
    results: list[StoredFaces | None] = []
    waiting: list[tuple[int, Image.Image]] = []
    for index, (item, _, content) in enumerate(batch):
        results.append(None)
        try:
            picture = item.open(content if content is not None else b"")
        except FerscopeError as error:
            results[index] = _none(options, str(error))
            continue
        if item.cropped or options.cropped or detector is None:
            results[index] = _whole(picture, options)
        else:
            waiting.append((index, picture))
    if waiting and detector is not None:
        detected = detect_all([picture for _, picture in waiting], detector)
        for (index, picture), boxes in zip(waiting, detected, strict=True):
            if not boxes and looks_cropped(picture):
                results[index] = _whole(picture, options)
                continue
            readable = ordered([face for face in boxes if not face.too_small])
            if not readable:
                small = [face for face in boxes if face.too_small]
                results[index] = _none(options, no_face("the picture", small))
                continue
            used = readable if options.all_faces else readable[:1]
            faces = picture_faces(picture, detector, options.framing, used)
            images = [options.sample_format.convert(crop.crop) for crop in faces.crops]
            sizes = np.array([crop.face.size for crop in faces.crops], dtype=np.float32)
            results[index] = StoredFaces(
                np.stack(images), sizes, cropped=False, further=len(readable) - len(used)
            )
    return [result or _none(options, "It could not be read.") for result in results]


def _whole(picture: Image.Image, options: FaceOptions) -> StoredFaces:
    crop = whole_picture(picture)
    size = np.array([crop.frame.side], dtype=np.float32)
    return StoredFaces(options.sample_format.convert(crop.crop)[None], size, cropped=True)


def _none(options: FaceOptions, problem: str) -> StoredFaces:
    nothing = np.empty((0, *options.sample_format.shape), dtype=np.uint8)
    return StoredFaces(nothing, np.empty(0, dtype=np.float32), cropped=False, problem=problem)


class _FaceCache:
    """Faces by the content of their picture, in parts; a damaged part is made again."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder / f"faces-{key}"
        self._new: dict[str, StoredFaces] = {}
        self.faces: dict[str, StoredFaces] = {}
        self._parts = 0
        for path in sorted(self._folder.glob("part-*.npz")):
            self._parts = int(path.stem.partition("-")[2]) + 1
            try:
                self.faces |= _unpacked(read_arrays(path))
            except (ArtifactError, KeyError, ValueError):
                path.unlink(missing_ok=True)

    def add(self, digest: str, faces: StoredFaces) -> None:
        """Adds the faces of a picture; `save` writes them."""
        self.faces[digest] = self._new[digest] = faces

    def save(self) -> None:
        """Writes what was added since the last call."""
        if not self._new:
            return
        path = self._folder / f"part-{self._parts:06d}.npz"
        write_arrays(path, _packed(self._new))
        self._parts += 1
        self._new = {}


def _packed(faces: dict[str, StoredFaces]) -> dict[str, NDArray[np.generic]]:
    return {
        "digest": np.array(list(faces)),
        "count": np.array([len(item.images) for item in faces.values()]),
        "cropped": np.array([item.cropped for item in faces.values()]),
        "problem": np.array([item.problem for item in faces.values()]),
        "further": np.array([item.further for item in faces.values()]),
        "images": np.concatenate([item.images for item in faces.values()]),
        "sizes": np.concatenate([item.sizes for item in faces.values()]),
    }


def _unpacked(arrays: dict[str, NDArray[np.generic]]) -> dict[str, StoredFaces]:
    ends = np.cumsum(arrays["count"].astype(np.int64))
    images, sizes = arrays["images"].astype(np.uint8), arrays["sizes"].astype(np.float32)
    faces = {}
    for index, digest in enumerate(arrays["digest"].tolist()):
        rows = slice(int(ends[index] - arrays["count"].astype(np.int64)[index]), int(ends[index]))
        faces[str(digest)] = StoredFaces(
            images[rows],
            sizes[rows],
            bool(arrays["cropped"][index]),
            str(arrays["problem"][index]),
            int(arrays["further"].astype(np.int64)[index]),
        )
    return faces
