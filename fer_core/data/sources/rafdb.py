"""RAF-DB: `list_patition_label.txt` with `aligned/` pictures, or folders named 1 to 7."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.files import ImageFile, ImageFiles, need_folder
from fer_core.data.sources.folder import FolderSource
from fer_core.errors import DataError
from fer_core.labels import RAFDB_CODES

LIST_NAME = "list_patition_label.txt"
"""The misspelling is the dataset's."""

_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}

ORIGIN = Origin(
    name="rafdb",
    title="RAF-DB, basic emotions",
    licence="Images: non-commercial research, on request from the authors.",
    reference="Li, Deng & Du 2017, CVPR, doi:10.1109/CVPR.2017.277",
)


class RafDbSource(ImageFiles):
    """The published layout: `EmoLabel/list_patition_label.txt` and `Image/aligned/`.

    A line of the list is `train_00001.jpg 5`; its picture is `train_00001_aligned.jpg`. Pictures
    that are listed but missing are listed as skipped.

    Args:
        path: The folder `basic`, one above it, or one in which the list stands beside `aligned`.

    Raises:
        DataError: If list or pictures are not found, or a line is malformed or has an unknown
            code. Names the line.
    """

    origin = ORIGIN

    def __init__(self, path: Path) -> None:
        need_folder(path, f"Give the folder of RAF-DB that holds EmoLabel/{LIST_NAME}")
        labels = find_list(path)
        if labels is None:
            raise DataError(
                f"{path} holds no {LIST_NAME}. Give RAF-DB's folder `basic`, with EmoLabel and "
                "Image in it, or prepare the folder form with train and test."
            )
        pictures = _pictures(labels)
        super().__init__(path, _listed(labels, pictures))


class RafDbFolderSource(FolderSource):
    """RAF-DB as folders: `train/1/train_00001_aligned.jpg`, `test/7/...`; codes as in the list.

    Args and errors are those of `FolderSource`.
    """

    origin = ORIGIN

    def _native_name(self, folder: str) -> str:
        code = int(folder) if folder.isdecimal() else None
        if code is None:
            return super()._native_name(folder)
        if code not in RAFDB_CODES:
            raise DataError(
                f"The folder {folder!r} in {self._root} is no class of RAF-DB, whose codes are 1 "
                "to 7. Rename or remove it."
            )
        return RAFDB_CODES[code]

    def _describe(self, files: list[ImageFile]) -> Iterable[ImageFile]:
        # The same picture has the same key in both layouts.
        for file in files:
            stem = _stem(file.path.name)
            yield replace(file, key=stem) if stem.startswith(("train_", "test_")) else file


def find_list(path: Path) -> Path | None:
    """Returns RAF-DB's list of labels in or below a folder, or None."""
    for folder in ("", "EmoLabel", "basic/EmoLabel"):
        if (path / folder / LIST_NAME).is_file():
            return path / folder / LIST_NAME
    return None


def _pictures(labels: Path) -> Path:
    above = labels.parent.parent
    for folder in (above / "Image" / "aligned", labels.parent / "aligned", above / "aligned"):
        if folder.is_dir():
            return folder
    raise DataError(
        f"No folder `aligned` was found for {labels}. Unpack RAF-DB's aligned.zip into "
        f"{above / 'Image'}."
    )


def _listed(labels: Path, pictures: Path) -> Iterator[ImageFile | Skipped]:
    seen: set[str] = set()
    for number, line in enumerate(labels.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        name, _, code = line.strip().rpartition(" ")
        stem = _stem(name)
        split = _SPLITS.get(stem.partition("_")[0])
        if not code.isdecimal() or int(code) not in RAFDB_CODES or split is None:
            raise DataError(
                f"{labels.name}, line {number}: {line.strip()[:80]!r} is not of the form "
                "`train_00001.jpg 5` with a code of 1 to 7. Get the file again."
            )
        if stem in seen:
            raise DataError(f"{labels.name}, line {number}: {name} is listed twice.")
        seen.add(stem)
        picture = pictures / f"{stem}_aligned.jpg"
        if picture.is_file():
            yield ImageFile(picture, stem, RAFDB_CODES[int(code)], split)
        else:
            yield Skipped(stem, f"{picture.name} is missing in {pictures.name}.")


def _stem(name: str) -> str:
    """Returns `train_00001` for `train_00001.jpg` and `train_00001_aligned.jpg` alike."""
    return Path(name).stem.removesuffix("_aligned")
