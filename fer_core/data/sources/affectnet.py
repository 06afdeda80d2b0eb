"""AffectNet in its three published forms: annotation csv, annotation arrays, class folders.

AffectNet has no public test set: publications report on its validation set. So where there is no
test part, its validation part becomes the test split, and validation is drawn from train.

Contempt, and the codes that mean no expression, no certainty or no face, are left out unread.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.files import SUFFIXES, Box, ImageFile, ImageFiles, need_folder, visible
from fer_core.data.sources.folder import SPLIT_NAMES, FolderSource
from fer_core.errors import DataError
from fer_core.labels import AFFECTNET_CODES, SEVEN_EMOTIONS

COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
"""Header of `training.csv` and `validation.csv`; some copies leave it out."""

_NEEDED = ("subDirectory_filePath", "expression")
_LISTS: Mapping[str, Split] = {"training.csv": "train", "validation.csv": "test"}
_ARRAY_SPLITS: Mapping[str, Split] = {"train_set": "train", "val_set": "test", "test_set": "test"}

ORIGIN = Origin(
    name="affectnet",
    title="AffectNet, seven emotions",
    licence="Images: non-commercial research, on request from the authors.",
    reference="arXiv:1708.03985",
)


class AffectNetCsvSource(ImageFiles):
    """The first release: `training.csv` and `validation.csv` beside a folder of pictures.

    The face is cut out by the box of the csv where it has one. Valence and arousal (-1 to 1) are
    kept where they are given; -2 stands for none in the files.

    Args:
        path: One of the csv files, or the folder that they stand in. The pictures are looked for
            there, and in `Manually_Annotated_Images` there or one above.

    Raises:
        DataError: If a csv is malformed or has an unknown code (names the row), or the pictures
            are not found.
    """

    origin = ORIGIN

    def __init__(self, path: Path) -> None:
        self.left_out: Counter[str] = Counter()
        folder = path.parent if path.is_file() else path
        lists = [folder / name for name in _LISTS if (folder / name).is_file()]
        if not lists:
            raise DataError(
                f"{path} holds no {' and no '.join(_LISTS)}. Give the folder "
                "Manually_Annotated_file_lists of AffectNet, or the folder above it."
            )
        tables = {csv: _read_csv(csv) for csv in lists}
        root = _pictures(folder, next(iter(tables.values())))
        items: list[ImageFile | Skipped] = []
        for csv, table in tables.items():
            items.extend(self._rows(csv, table, root))
        super().__init__(folder, items)

    def _rows(self, csv: Path, table: pd.DataFrame, root: Path) -> Iterator[ImageFile | Skipped]:
        columns = list(table.columns)
        for number, values in enumerate(table.itertuples(index=False, name=None)):
            row = dict(zip(columns, values, strict=True))
            label = _label(row["expression"], f"{csv.name}, row {number}")
            if label not in SEVEN_EMOTIONS.names:
                self.left_out[f"annotators say {label.replace('_', ' ')}"] += 1
                continue
            key = str(row["subDirectory_filePath"])
            picture = root / key
            if Path(key).is_absolute() or ".." in Path(key).parts:
                yield Skipped(key, "The csv's path leads out of the folder of pictures.")
                continue
            if not picture.is_file():
                yield Skipped(key, f"{picture.name} is missing in {root.name}.")
                continue
            extras = _affect(row.get("valence"), row.get("arousal"))
            yield ImageFile(picture, key, label, _LISTS[csv.name], extras=extras, box=_box(row))


class AffectNetArraysSource(ImageFiles):
    """The later release: `train_set/images/<n>.jpg` with `train_set/annotations/<n>_exp.npy`.

    Valence and arousal are read from `<n>_val.npy` and `<n>_aro.npy` where they exist.

    Args:
        path: The folder that holds `train_set` and `val_set`.

    Raises:
        DataError: If a part or an annotation is missing or malformed. Names the file.
    """

    origin = ORIGIN

    def __init__(self, path: Path) -> None:
        self.left_out: Counter[str] = Counter()
        need_folder(path, "Give the folder of AffectNet that holds train_set and val_set")
        parts = [name for name in _ARRAY_SPLITS if (path / name / "annotations").is_dir()]
        if "train_set" not in parts or len(parts) < 2:
            raise DataError(
                f"{path} lacks train_set/annotations, or val_set/annotations. "
                "Give the folder of AffectNet that holds both."
            )
        items: list[ImageFile] = []
        for part in parts:
            split = _ARRAY_SPLITS[part]
            if part == "val_set" and "test_set" in parts:
                split = "validation"
            items.extend(self._part(path / part, split))
        super().__init__(path, items)

    def _part(self, folder: Path, split: Split) -> Iterator[ImageFile]:
        notes = folder / "annotations"
        need_folder(folder / "images", "AffectNet's pictures stand beside their annotations")
        for picture in visible(folder / "images"):
            if picture.suffix.lower() not in SUFFIXES:
                continue
            code = notes / f"{picture.stem}_exp.npy"
            label = _label(_number(code), f"{folder.name}/annotations/{code.name}")
            if label not in SEVEN_EMOTIONS.names:
                self.left_out[f"annotators say {label.replace('_', ' ')}"] += 1
                continue
            values = [notes / f"{picture.stem}_{kind}.npy" for kind in ("val", "aro")]
            extras = _affect(*(_number(path) if path.is_file() else None for path in values))
            yield ImageFile(picture, f"{folder.name}/{picture.stem}", label, split, extras=extras)


class AffectNetFolderSource(FolderSource):
    """Class folders, named 0 to 7 by AffectNet's codes or by name, below `train` and `val`.

    Args and errors are those of `FolderSource`.
    """

    origin = ORIGIN

    def _native_name(self, folder: str) -> str:
        if folder.isdecimal():
            return _label(int(folder), f"The folder {folder!r} in {self._root}")
        return super()._native_name(folder)

    def _is_foreign(self, label: str) -> bool:
        return label not in SEVEN_EMOTIONS.names

    def _split_of(self, folder: Path, folders: list[Path]) -> Split | None:
        split = super()._split_of(folder, folders)
        has_test = any(SPLIT_NAMES.get(other.name.lower()) == "test" for other in folders)
        return "test" if split == "validation" and not has_test else split


def is_affectnet_csv(path: Path) -> bool:
    """Whether a csv file is one of AffectNet's, by its name and first line."""
    if path.name not in _LISTS:
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().count(",") >= len(COLUMNS) - 1


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, usecols=lambda name: name != "facial_landmarks")
        if not set(_NEEDED) & set(table.columns) and len(table.columns) == len(COLUMNS):
            table = pd.read_csv(path, names=list(COLUMNS))
    except Exception as error:  # pandas raises several kinds
        raise DataError(f"{path.name} cannot be read as csv: {error}.") from error
    if missing := [name for name in _NEEDED if name not in table.columns]:
        raise DataError(
            f"{path.name} lacks the columns {', '.join(missing)}; AffectNet's header is "
            f"{','.join(COLUMNS)}."
        )
    if table["subDirectory_filePath"].duplicated().any():
        twice = table.loc[table["subDirectory_filePath"].duplicated(), "subDirectory_filePath"]
        raise DataError(f"{path.name} lists {twice.iloc[0]} twice. Remove one of the rows.")
    return table


def _pictures(folder: Path, table: pd.DataFrame) -> Path:
    names = table["subDirectory_filePath"].astype(str).head(1000)
    for root in (
        folder / "Manually_Annotated_Images",
        folder.parent / "Manually_Annotated_Images",
        folder.parent / "Manually_Annotated" / "Manually_Annotated_Images",
        folder,
    ):
        if any((root / name).is_file() for name in names):
            return root
    raise DataError(
        f"None of AffectNet's pictures was found, {names.iloc[0]} for one. Put the folder "
        f"Manually_Annotated_Images into {folder} or beside it."
    )


def _label(code: object, where: str) -> str:
    try:
        return AFFECTNET_CODES[int(float(str(code)))]
    except (KeyError, ValueError):
        raise DataError(
            f"{where}: expression {code!r} is unknown. AffectNet's codes are 0 to 10."
        ) from None


def _number(path: Path) -> float:
    """Reads an array of one number, which some copies store as text."""
    try:
        return float(np.load(path, allow_pickle=False).item())
    except FileNotFoundError:
        raise DataError(
            f"{path.parent.parent.name}/annotations/{path.name} is missing. "
            "Unpack the annotations completely."
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path.name} holds no number ({error}). Get the file again.") from error


def _affect(valence: float | None, arousal: float | None) -> dict[str, float]:
    """Returns valence and arousal where they are in -1 to 1."""
    values = {"valence": valence, "arousal": arousal}
    return {name: float(v) for name, v in values.items() if v is not None and -1 <= float(v) <= 1}


def _box(row: Mapping[str, object]) -> Box | None:
    """Returns the face's box of a csv row, or None where it gives none."""
    try:
        left, top, width, height = (
            int(float(str(row[name]))) for name in ("face_x", "face_y", "face_width", "face_height")
        )
    except (KeyError, ValueError):
        return None
    if width <= 0 or height <= 0:
        return None
    side = max(width, height)  # a square, so that the face is neither stretched nor cut
    left, top = left - (side - width) // 2, top - (side - height) // 2
    return (left, top, left + side, top + side)
