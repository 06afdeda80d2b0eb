"""Datasets in the layouts that people have them in, written by code; pictures are noise.

Each function writes one layout below a folder and returns the path that `prepare` is given.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fer_core.data.sources.base import Sample
from fer_core.labels import FERPLUS_COLUMNS

SEVEN = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
FER2013_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
RAFDB_ORDER = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
AFFECTNET_ORDER = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
USAGES = ("Training", "PublicTest", "PrivateTest")
SIDE = 20


class Pictures:
    """Gives pictures that differ from each other, one after the other."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)

    def array(self, side: int = SIDE) -> np.ndarray:
        return self._random.integers(0, 256, (side, side), dtype=np.uint8)

    def png(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.array()).save(buffer, "PNG")
        return buffer.getvalue()

    def save(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.array()).save(path)
        return path


def class_folders(
    root: Path,
    classes: Sequence[str],
    *,
    splits: Sequence[str] = ("",),
    count: int = 2,
    name: str = "{split}{number}.png",
) -> Path:
    """Writes `<split>/<class>/<name>`; the name may use split, label and number."""
    pictures = Pictures()
    number = 0
    for split in splits:
        for label in classes:
            for _ in range(count):
                file = name.format(split=split, label=label, number=number)
                pictures.save(root / split / label / file)
                number += 1
    return root


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def fer2013_csv(
    path: Path,
    *,
    codes: Iterable[object] = range(7),
    usages: Sequence[str] | None = USAGES,
    columns: Sequence[str] = ("emotion", "pixels", "Usage"),
    names: Mapping[str, str] | None = None,
    repeat: int = 2,
    side: int = 48,
    before: str = "",
    after: str = "",
    separator: str = ",",
    newline: str = "\n",
    header: bool = True,
) -> Path:
    """Writes a csv of pixels; `names` are the columns' names in the file."""
    pictures = Pictures()
    rows = [
        {
            "index": "",
            "emotion": code,
            "pixels": " ".join(map(str, pictures.array(side).ravel())),
            "Usage": usage,
            "person": f"p{number}",
            "age": 20 + 5 * number,
        }
        for usage in usages or ("",)
        for number in range(repeat)
        for code in codes
    ]
    lines = [separator.join((names or {}).get(column, column) for column in columns)] * header
    for number, row in enumerate(rows):
        row["index"] = number
        lines.append(separator.join(str(row[column]) for column in columns))
    text = before + newline.join(lines) + newline + after
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def rafdb_list(root: Path) -> Path:
    pictures = Pictures()
    lines = []
    for code in range(1, 8):
        for split in ("train", "test"):
            for copy in range(3):
                stem = f"{split}_{code:04d}{copy}"
                lines.append(f"{stem}.jpg {code}")
                pictures.save(root / "basic/Image/aligned" / f"{stem}_aligned.jpg")
    (root / "basic/EmoLabel").mkdir(parents=True)
    (root / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return root


def rafdb_kaggle(root: Path, *, wrong: int = 0) -> Path:
    """Kaggle's `DATASET/train/1/train_00001_aligned.jpg` beside csv files of image and label."""
    pictures = Pictures()
    for split in ("train", "test"):
        rows = []
        for code in range(1, 8):
            for copy in range(2):
                name = f"{split}_{code:04d}{copy}_aligned.jpg"
                pictures.save(root / "DATASET" / split / str(code) / name)
                rows.append((name, code % 7 + 1 if len(rows) < wrong else code))
        pd.DataFrame(rows, columns=["image", "label"]).to_csv(
            root / f"{split}_labels.csv", index=False
        )
    return root


def affectnet_csv(root: Path) -> Path:
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks"
    pictures = Pictures()
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    for name in ("training", "validation"):
        lines = [f"{head},expression,valence,arousal"]
        for code in range(9):
            for copy in range(2):
                key = f"{name[0]}{code}/{copy}.png"
                lines.append(f"{key},0,0,20,20,1;2,{code},0.1,-0.2")
                pictures.save(root / "Manually_Annotated_Images" / key)
        (lists / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return root


def affectnet_arrays(root: Path) -> Path:
    pictures = Pictures()
    for part in ("train_set", "val_set"):
        for code in range(8):
            for copy in range(2):
                stem = f"{code}{copy}"
                pictures.save(root / part / "images" / f"{stem}.jpg")
                notes = root / part / "annotations"
                notes.mkdir(parents=True, exist_ok=True)
                np.save(notes / f"{stem}_exp.npy", np.array(str(code)))
                np.save(notes / f"{stem}_val.npy", np.array("0.5"))
    return root


def affectnet_kaggle(root: Path, *, moved: int = 3) -> Path:
    """`labels.csv` with `,pth,label,relFCs`; some labels are not the folder's."""
    classes = ("anger", "contempt", "happy", "sad")
    class_folders(root, classes, count=4, name="image{number:07d}.png")
    rows = []
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        label = path.parent.name if number >= moved else "sad"
        rows.append((f"{path.parent.name}/{path.name}", label, 0.8))
    pd.DataFrame(rows, columns=["pth", "label", "relFCs"]).to_csv(root / "labels.csv")
    return root


def yolo(root: Path, *, names: Sequence[str] | None = None, described: bool = True) -> Path:
    """`train/images/<n>.png`, `train/labels/<n>.txt` and `data.yaml`."""
    names = names or (
        "Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"
    )  # fmt: skip
    pictures = Pictures()
    number = 0
    for split in ("train", "valid", "test"):
        for code in range(len(names)):
            for _ in range(2):
                pictures.save(root / split / "images" / f"{number}.png")
                label = root / split / "labels" / f"{number}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text(f"{code} 0.5 0.5 1.0 1.0\n")
                number += 1
    if described:
        (root / "data.yaml").write_text(f"nc: {len(names)}\nnames: {list(names)}\n")
    return root


def ferplus_folders(root: Path, *, lists: bool = True) -> Path:
    """What FER+'s `generate_training_data.py` writes."""
    pictures = Pictures()
    number = 0
    for folder in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        lines = []
        for column in range(8):
            for _ in range(2):
                name = f"fer{number:07d}.png"
                pictures.save(root / folder / name)
                votes = [9 if place == column else 0 for place in range(len(FERPLUS_COLUMNS))]
                lines.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}')
                number += 1
        if lists:
            (root / folder / "label.csv").write_text("\n".join(lines) + "\n")
    return root


def expw(root: Path) -> Path:
    pictures = Pictures()
    lines = []
    for number in range(21):
        name = f"happy_face_{number}.png"
        pictures.save(root / "image/origin" / name)
        lines.append(f"{name} 0 2 1 18 19 88.5 {number % 7}")
    lines.append("happy_face_0.png 1 0 0 19 19 40.0 3")
    (root / "label").mkdir()
    (root / "label/label.lst").write_text("\n".join(lines) + "\n")
    return root


def kdef(root: Path) -> Path:
    """`KDEF/AF01/AF01ANS.JPG`: the folders are persons."""
    pictures = Pictures()
    for session in "AB":
        for person in ("F01", "F02", "M01", "M02"):
            for code in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
                for angle in ("S", "HL"):
                    folder = f"{session}{person}"
                    pictures.save(root / "KDEF" / folder / f"{folder}{code}{angle}.JPG")
    return root


def jaffe(root: Path) -> Path:
    """All pictures in one folder, `KA.AN1.39.tiff`."""
    pictures = Pictures()
    number = 1
    for person in ("KA", "KL", "KM", "KR", "MK"):
        for code in ("AN", "DI", "FE", "HA", "NE", "SA", "SU"):
            for copy in (1, 2):
                pictures.save(root / "jaffe" / f"{person}.{code}{copy}.{number}.tiff")
                number += 1
    (root / "jaffe" / "README").write_text("The Japanese Female Facial Expression database\n")
    return root


def ck48(root: Path) -> Path:
    """`CK+48/anger/S010_004_00000017.png`; contempt is a class."""
    pictures = Pictures()
    for take, label in enumerate(
        ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"), 1
    ):
        for person in (10, 11, 14, 22, 26):
            for frame in (15, 16, 17):
                name = f"S{person:03d}_{take:03d}_{frame:08d}.png"
                pictures.save(root / "CK+48" / label / name)
    return root


def ckplus(root: Path) -> Path:
    """The published form: sequences, of which some have a label for their last frame."""
    pictures = Pictures()
    for person in ("S005", "S010", "S011"):
        for take in range(1, 8):
            stem = f"{person}_{take:03d}"
            for frame in (1, 2, 3):
                folder = root / "cohn-kanade-images" / person / f"{take:03d}"
                pictures.save(folder / f"{stem}_{frame:08d}.png")
            label = root / "Emotion" / person / f"{take:03d}" / f"{stem}_00000003_emotion.txt"
            label.parent.mkdir(parents=True)
            if person != "S011" or take < 3:  # not every sequence has a label
                label.write_text(f"   {take}.0000000e+00\n")
    return root


def listed(
    root: Path,
    rows: Iterable[Sequence[object]],
    *,
    file: str = "labels.txt",
    header: Sequence[str] | None = None,
    separator: str = " ",
    label_first: bool = False,
    names_without_ending: bool = False,
) -> Path:
    """Writes a list, and the picture of each row; the first cell names it."""
    pictures = Pictures()
    lines = [separator.join(header)] if header else []
    for row in rows:
        cells = [str(cell) for cell in row]
        if names_without_ending:
            cells[0] = Path(cells[0]).stem
        lines.append(separator.join(cells[::-1] if label_first else cells))
        path = (root / file).parent / str(row[0])
        if not path.exists():
            pictures.save(path)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("\n".join(lines) + "\n")
    return root


def picture_rows(labels: Sequence[object], count: int = 3, folder: str = "imgs") -> list[list]:
    return [
        [f"{folder}/{place}_{copy}.png", label]
        for copy in range(count)
        for place, label in enumerate(labels)
    ]


def parquet(
    path: Path,
    labels: Sequence[object],
    *,
    names: Sequence[str] | None = None,
    columns: Mapping[str, Sequence[object]] | None = None,
    image: str = "image",
    label: str = "label",
    seed: int = 0,
) -> Path:
    """Writes image and label columns as the `datasets` package does, features in the schema."""
    pictures = Pictures()
    for _ in range(seed):
        pictures.array()
    cells = [{"bytes": pictures.png(), "path": f"{n}.png"} for n in range(len(labels))]
    table = pa.table({image: cells, label: list(labels), **(columns or {})})
    if names:
        features = {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
        head = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": head})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def zipped(folder: Path, archive: Path, top: str = "") -> Path:
    """Packs a folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{top}{path.relative_to(folder).as_posix()}")
    return archive


def tarred(folder: Path, archive: Path, top: str = "") -> Path:
    """Packs a folder; the ending decides the compression."""
    kind = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(archive.suffix, "")
    with tarfile.open(archive, f"w:{kind}") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.add(path, f"{top}{path.relative_to(folder).as_posix()}")
    return archive


def splits_of(source: Iterable[object]) -> dict[str, str | None]:
    """Returns the split of each picture that is read, by its key."""
    return {item.key: item.split for item in source if isinstance(item, Sample)}
