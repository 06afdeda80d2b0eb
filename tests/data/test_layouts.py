"""Layouts that people have: each is read right, or refused with a way out."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from fer_core.csv_text import csv_text
from fer_core.data.plan import parse_plan
from fer_core.data.preview import NO_SPLIT, SourcePreview, preview_plan
from fer_core.data.selection import open_sources
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from fer_core.evaluation.few_labels.annotations import export
from fer_core.reviews import PoolLabel
from tests.support.helpers import noise
from tests.support.layouts import (
    FER2013_ORDER,
    RAFDB_ORDER,
    SEVEN,
    affectnet_arrays,
    affectnet_csv,
    affectnet_kaggle,
    ck48,
    ckplus,
    class_folders,
    expw,
    fer2013_csv,
    ferplus_folders,
    jaffe,
    kdef,
    listed,
    numbers,
    parquet,
    picture_rows,
    rafdb_kaggle,
    rafdb_list,
    tarred,
    yolo,
    zipped,
)

TVT = ("train", "validation", "test")


def look(path: Path | str, *, by: str = "source", **options: Any) -> SourcePreview:
    """Returns what the dry run would show."""
    content = {"sources": [{"path": str(path), **options}], "split": {"by": by}}
    plan = parse_plan(content, "of a test")
    return preview_plan(plan, open_sources(plan))[0]


def even(labels, splits=TVT, count: int = 2) -> dict[str, dict[str, int]]:
    """Returns the counts of a set with as many images of each class in each split."""
    return {label: dict.fromkeys(splits, count) for label in sorted(labels)}


@dataclass(frozen=True)
class Read:
    """A layout that is read."""

    name: str
    write: Callable[[Path], Path]
    form: str
    counts: Mapping[str, Mapping[str, int]]
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    groups: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0


def write_pair(root: Path, names: tuple[str, ...], label_names=("happy", "sad")) -> Path:
    """Parquet files by split; classes in turn."""
    for number, name in enumerate(names):
        parquet(root / "data" / name, [0, 1] * 4, names=list(label_names), seed=20 * number)
    return root


def in_zip(write: Callable[[Path], Path], top: str = "") -> Callable[[Path], Path]:
    return lambda root: zipped(write(root / "x"), root / "set.zip", top)


def csv_in_tar(root: Path) -> Path:
    """As the competition published it: csv, README and bib, packed in a tar."""
    fer2013_csv(root / "x/fer2013/fer2013.csv")
    (root / "x/fer2013/README").write_text("Cite us.\n")
    (root / "x/fer2013/fer2013.bib").write_text("@article{}\n")
    return tarred(root / "x", root / "fer2013.tar.gz")


def tar_called_csv(root: Path) -> Path:
    """A tar.gz that was renamed."""
    return csv_in_tar(root).rename(root / "fer2013.csv.gz")


def kaggle_zip(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    fer2013_csv(root / "x/fer2013/fer2013.csv")
    (root / "x/fer2013/README").write_text("Cite us.\n")
    return zipped(root / "x", root / "archive.zip")


def msambare(root: Path) -> Path:
    class_folders(root, FER2013_ORDER, splits=["train"], name="Training_{number}.jpg")
    class_folders(root, FER2013_ORDER, splits=["test"], name="PublicTest_{number}.jpg")
    return class_folders(root, FER2013_ORDER, splits=["test"], name="PrivateTest_{number}.jpg")


def numbered_fer2013(root: Path) -> Path:
    class_folders(root, numbers(0, 6), splits=["train"], name="Training_{number}.jpg")
    return class_folders(root, numbers(0, 6), splits=["test"], name="PrivateTest_{number}.jpg")


def metadata_csv(root: Path) -> Path:
    """The hub's `imagefolder` with a `metadata.csv` in each split."""
    for split in ("train", "test"):
        listed(
            root,
            [
                [*row, age]
                for row, age in zip(picture_rows(SEVEN, 3, "."), range(20, 41), strict=True)
            ],
            file=f"{split}/metadata.csv",
            header=["file_name", "label", "age"],
            separator=",",
        )
    return root


def with_persons(root: Path) -> Path:
    rows = [[*row, f"p{n % 5}"] for n, row in enumerate(picture_rows(SEVEN, 5))]
    return listed(
        root, rows, file="annotations.csv", header=["image", "emotion", "subject"], separator=","
    )


def unlabelled(root: Path) -> Path:
    rows = [*picture_rows(["happy", "sad"], 3), ["imgs/a.png", ""], ["imgs/b.png", "-1"]]
    return listed(root, rows, file="labels.csv", header=["path", "label"], separator=",")


def beside_folders(*, moved: int) -> Callable[[Path], Path]:
    """A table of an unknown dataset beside class folders."""

    def write(root: Path) -> Path:
        class_folders(root, ["happy", "sad"], count=4)
        rows = [
            [path.relative_to(root).as_posix(), "sad" if n < moved else path.parent.name]
            for n, path in enumerate(sorted(root.rglob("*.png")))
        ]
        return listed(root, rows, file="ann.csv", header=["file", "emotion"], separator=",")

    return write


def numbered_inside(root: Path) -> Path:
    """Folders of numbers inside the classes of train and test: persons, or clips."""
    classes = [f"{label}/{number}" for label in ("happy", "sad") for number in (1, 2)]
    return class_folders(root, classes, splits=("train", "test"))


def other_table(root: Path) -> Path:
    """Its names stand in both splits, so that it names no single picture."""
    class_folders(root, ["happy", "sad"], splits=("train", "test"), count=1, name="{label}.png")
    (root / "labels.csv").write_text("path,label\nhappy/happy.png,happy\nsad/sad.png,sad\n")
    return root


def persons_by_name(root: Path) -> Path:
    return class_folders(root, [f"{p}/{e}" for p in ("anna", "bert") for e in ("angry", "sad")])


def pixels_parquet(root: Path) -> Path:
    """FER2013's csv as a parquet file."""
    table = pd.read_csv(fer2013_csv(root / "a.csv", usages=None, columns=("emotion", "pixels")))
    table.to_parquet(root / "a.parquet")
    return root / "a.parquet"


def two_lists(root: Path) -> Path:
    listed(root, picture_rows(SEVEN, 1), file="a.txt")
    return listed(root, picture_rows([*SEVEN[1:], SEVEN[0]], 1), file="b.txt")


def two_configurations(root: Path) -> Path:
    for name in ("fer2013", "ferplus"):
        for split in ("train", "test"):
            parquet(root / name / split / "0000.parquet", ["happy", "sad"])
    return root


RAF_LIST = "basic/EmoLabel/list_patition_label.txt"
FER = even(SEVEN)
READ = [
    Read("fer2013 csv", lambda r: fer2013_csv(r / "fer2013.csv"), "fer2013", FER),
    Read(
        "icml csv", lambda r: fer2013_csv(
            r / "icml.csv", columns=("emotion", "Usage", "pixels"),
            names={"Usage": " Usage", "pixels": " pixels"},
        ), "fer2013", FER,
    ),
    Read("csv with a byte order mark and CRLF", lambda r: fer2013_csv(
        r / "a.csv", before="\ufeff", newline="\r\n"), "fer2013", FER),
    Read("csv with an index and capitals", lambda r: fer2013_csv(
        r / "a.csv", columns=("index", "Usage", "emotion", "pixels"),
        names={"index": "", "emotion": "Emotion", "Usage": "usage"}), "fer2013", FER),
    Read("csv with semicolons", lambda r: fer2013_csv(r / "a.csv", separator=";"), "fer2013", FER),
    Read("csv without a header", lambda r: fer2013_csv(r / "a.csv", header=False), "fer2013", FER,
         notes=("no header",)),
    Read("csv with class names", lambda r: fer2013_csv(r / "a.csv", codes=FER2013_ORDER),
         "fer2013", FER),
    Read("csv without usages", lambda r: fer2013_csv(
        r / "train.csv", usages=None, columns=("emotion", "pixels"), repeat=6), "fer2013",
        even(SEVEN, (NO_SPLIT,), 6), notes=("it has no splits",)),
    Read("csv with two usages", lambda r: fer2013_csv(r / "a.csv", usages=USAGES_TWO), "fer2013",
         even(SEVEN, ("train", "validation")), notes=("validation split becomes the test split",)),
    Read("csv without disgust", lambda r: fer2013_csv(r / "a.csv", codes=[0, 2, 3, 4, 5, 6]),
         "fer2013", even(set(SEVEN) - {"disgust"})),
    Read("csv of CK+ with code 7", lambda r: fer2013_csv(r / "ck.csv", codes=range(8)), "fer2013",
         FER, left_out={"the class contempt is left out": 6}, notes=("Contempt is left out",)),
    Read("csv of CK+ that keeps contempt", lambda r: fer2013_csv(r / "ck.csv", codes=range(8)),
         "fer2013", even([*SEVEN, "contempt"]), {"mapping": {"7": "contempt"}}),
    Read("csv with remains of a tar", lambda r: fer2013_csv(
        r / "a.csv", after="fer2013/README,0000644,0,0,x,ustar\n\0\0\0\n"), "fer2013", FER,
        notes=("remains of an archive",)),
    Read("csv with rows without a label", lambda r: fer2013_csv(
        r / "a.csv", codes=[*range(7), "", "-1"]), "fer2013", FER, skipped=12),
    Read("csv of larger pictures", lambda r: fer2013_csv(r / "a.csv", side=64), "fer2013", FER,
         {"codes": "fer2013"}),
    Read("RAF-DB's list as a file", lambda r: rafdb_list(r) / RAF_LIST, "rafdb",
         even(SEVEN, ("train", "test"), 3)),
    Read("a list whose names have no ending", lambda r: listed(
        r, picture_rows(SEVEN), names_without_ending=True), "list", even(SEVEN, (NO_SPLIT,), 3)),
    Read("a list with the label first", lambda r: listed(
        r, picture_rows(SEVEN), label_first=True), "list", even(SEVEN, (NO_SPLIT,), 3)),
    Read("parquet of pixels", pixels_parquet, "huggingface", even(SEVEN, (NO_SPLIT,), 2),
         {"codes": "fer2013"}),
    Read("csv with persons", lambda r: fer2013_csv(
        r / "a.csv", columns=("emotion", "pixels", "Usage", "person", "age")), "fer2013", FER,
        groups=2),
    Read("csv in a zip beside a README", kaggle_zip, "fer2013", FER),
    Read("csv in a tar.gz", csv_in_tar, "fer2013", FER),
    Read("a tar.gz called csv.gz", tar_called_csv, "fer2013", FER),
    Read("csv in a folder", lambda r: fer2013_csv(r / "fer2013" / "fer2013.csv").parent, "fer2013",
         FER),
    Read("FER2013 by file names", msambare, "fer2013", FER),
    Read("FER2013 numbered, by file names", numbered_fer2013, "fer2013",
         even(SEVEN, ("train", "test")), notes=("Class numbers are those of fer2013",)),
    Read("numbered folders with --format fer2013",
         lambda r: class_folders(r, numbers(0, 6), splits=TVT), "fer2013", FER,
         {"format": "fer2013"}),
    Read("numbered folders with --format affectnet",
         lambda r: class_folders(r, numbers(0, 7), splits=("train", "val")), "affectnet",
         even(SEVEN, ("train", "validation")), {"format": "affectnet"},
         left_out={"the class contempt is left out": 4}),
    Read("numbered folders with --map-class",
         lambda r: class_folders(r, ["0", "1"]), "folder", even(["happy", "sad"], (NO_SPLIT,)),
         {"mapping": {"0": "sad", "1": "happy"}}),
    Read("numbered folders in the order of ImageFolder",
         lambda r: class_folders(r, numbers(0, 6)), "folder", even(SEVEN, (NO_SPLIT,)),
         {"codes": "alphabetical"}),
    Read("FER+ as its scripts write it", ferplus_folders, "ferplus", FER,
         left_out={"annotators say contempt": 6}),
    Read("RAF-DB by its list", rafdb_list, "rafdb", even(SEVEN, ("train", "test"), 3)),
    Read("RAF-DB on Kaggle", rafdb_kaggle, "rafdb", even(SEVEN, ("train", "test")),
         notes=("agrees with the class folders",)),
    Read("AffectNet by its csv", affectnet_csv, "affectnet", even(SEVEN, ("train", "validation")),
         left_out={"annotators say contempt": 4, "annotators say none": 4}),
    Read("AffectNet by its arrays", affectnet_arrays, "affectnet",
         even(SEVEN, ("train", "validation")), left_out={"annotators say contempt": 4}),
    Read("AffectNet on Kaggle", affectnet_kaggle, "affectnet",
         {"angry": {NO_SPLIT: 1}, "happy": {NO_SPLIT: 4}, "sad": {NO_SPLIT: 7}},
         notes=("For 3 of 12 pictures", "--annotation folder"),
         left_out={"the class contempt is left out": 4}),
    Read("AffectNet on Kaggle by its folders", affectnet_kaggle, "affectnet",
         even(["angry", "happy", "sad"], (NO_SPLIT,), 4),
         {"format": "affectnet", "annotation": "folder"},
         left_out={"the class contempt is left out": 4}),
    Read("AffectNet in YOLO's form", yolo, "yolo", FER,
         left_out={"the class contempt is left out": 6}, notes=("data.yaml says",)),
    Read("ExpW", expw, "expw", {**even(SEVEN, (NO_SPLIT,), 3), "happy": {NO_SPLIT: 4}}, groups=21),
    Read("KDEF", kdef, "kdef", even(SEVEN, (NO_SPLIT,), 16), groups=4, notes=("4 persons",)),
    Read("JAFFE", jaffe, "jaffe", even(SEVEN, (NO_SPLIT,), 10), groups=5),
    Read("CK+48", ck48, "folder",
         even({"contempt", *SEVEN} - {"neutral"}, (NO_SPLIT,), 15), groups=5,
         notes=("5 persons, each in one split",)),
    Read("CK+ as published", ckplus, "ckplus",
         {label: {NO_SPLIT: 2 + (label in ("angry", "contempt"))}
          for label in {"contempt", *SEVEN} - {"neutral"}}, groups=3,
         notes=("last frame of each labelled sequence", "1 angry, 2 contempt")),
    Read("class folders with numbers and words",
         lambda r: class_folders(r, ["0_angry", "01-happy", "Sad faces", "SURPRISED"]), "folder",
         even(["angry", "happy", "sad", "surprise"], (NO_SPLIT,)), notes=("0_angry as angry",)),
    Read("folders deep in an archive", in_zip(
        lambda r: class_folders(r, ["happy", "sad"], splits=("train", "test")),
        "archive/Emotions Dataset/Emotions Dataset/"), "folder",
        even(["happy", "sad"], ("train", "test")), notes=("found in archive/Emotions Dataset",)),
    Read("train and validation only",
         lambda r: class_folders(r, ["happy", "sad"], splits=("train", "dev")), "folder",
         even(["happy", "sad"], ("train", "validation")), notes=("becomes the test split",)),
    Read("one split folder of another name", lambda r: class_folders(
        r, ["happy", "sad"], splits=("Train_set", "public_test", "private-test")), "folder",
        even(["happy", "sad"])),
    Read("persons inside the classes", lambda r: class_folders(
        r, ["happy/p01", "happy/p02", "sad/p01", "sad/p03"]), "folder",
        even(["happy", "sad"], (NO_SPLIT,), 4), groups=3, notes=("are read as persons",)),
    Read("numbered persons inside the classes of splits", numbered_inside, "folder",
         even(["happy", "sad"], ("train", "test"), 4), {"pattern": "(?P<person>[^/]+)/[^/]+$"},
         groups=2, notes=("2 persons by --pattern",)),
    Read("numbered clips inside the classes of splits", numbered_inside, "folder",
         even(["happy", "sad"], ("train", "test"), 4), {"pattern": "^(?P<person>.+)/[^/]+$"},
         groups=8),
    Read("takes inside the classes of persons", lambda r: class_folders(
        r / "subjects", ["001/happy/take0", "001/sad/take0", "002/happy/take0", "002/sad/take0"]),
        "folder", even(["happy", "sad"], (NO_SPLIT,), 4), groups=2),
    Read("clips inside the classes", lambda r: class_folders(
        r, ["happy/clip1", "sad/clip1"], splits=("train", "test")), "folder",
        even(["happy", "sad"], ("train", "test")), groups=4),
    Read("persons below folders of conditions", lambda r: class_folders(
        r, [f"{c}/{p}/{e}" for c in ("NI/Dark", "VL/Weak") for p in ("P001", "P002", "P003")
            for e in ("Anger", "Fear")]), "folder", even(["angry", "fear"], (NO_SPLIT,), 12),
        groups=3),
    Read("persons above folders of views", lambda r: class_folders(
        r, [f"{p}/front/{e}" for p in ("M003", "W011") for e in ("angry", "sad")]), "folder",
        even(["angry", "sad"], (NO_SPLIT,), 4), groups=2),
    Read("persons below splits", lambda r: class_folders(
        r, [f"{p}/{e}" for p in ("train/p1", "train/p2", "test/p3") for e in ("angry", "sad")]),
        "folder", {"angry": {"train": 4, "test": 2}, "sad": {"train": 4, "test": 2}}, groups=3),
    Read("splits with further words", lambda r: class_folders(
        r, ["angry", "sad"], splits=("Train_AFEW", "Val_Aligned_Faces_new")), "folder",
        even(["angry", "sad"], ("train", "validation"))),
    Read("persons by name above the classes", persons_by_name, "named",
         even(["angry", "sad"], (NO_SPLIT,), 4),
         {"pattern": "(?P<person>[^/]+)/(?P<label>[^/]+)/[^/]+$"}, groups=2),
    Read("splits inside the classes", lambda r: class_folders(
        r / "Dataset", ["train", "val", "test"], splits=["angry", "sad"]), "folder",
        even(["angry", "sad"])),
    Read("a list with names", lambda r: listed(r, picture_rows(SEVEN)), "list",
         even(SEVEN, (NO_SPLIT,), 3)),
    Read("a list with codes and --codes", lambda r: listed(r, picture_rows(range(7))), "list",
         even(SEVEN, (NO_SPLIT,), 3), {"codes": "affectnet"}),
    Read("lists by split", lambda r: listed(
        listed(r, picture_rows(SEVEN, 2, "a"), file="train.txt"), picture_rows(SEVEN, 2, "b"),
        file="test.txt"), "list", even(SEVEN, ("train", "test"))),
    Read("a table with names and their numbers", lambda r: listed(
        r, [[*row, n % 7] for n, row in enumerate(picture_rows(SEVEN))],
        file="t.csv", header=["file", "emotion", "label"], separator=","), "list",
        even(SEVEN, (NO_SPLIT,), 3)),
    Read("a table with persons", with_persons, "list", even(SEVEN, (NO_SPLIT,), 5), groups=5),
    Read("imagefolder with metadata.csv", metadata_csv, "list", even(SEVEN, ("train", "test"), 3)),
    Read("a table with rows without a label", unlabelled, "list",
         even(["happy", "sad"], (NO_SPLIT,), 3), skipped=2),
    Read("a table that agrees with the folders", beside_folders(moved=0), "list",
         even(["happy", "sad"], (NO_SPLIT,), 4), notes=("class folders agree",)),
    Read("a table that counts", beside_folders(moved=2), "list",
         {"happy": {NO_SPLIT: 2}, "sad": {NO_SPLIT: 6}}, {"annotation": "table"}),
    Read("parquet with public and private test", lambda r: write_pair(r, tuple(
        f"{name}-00000-of-00001.parquet" for name in ("train", "public_test", "private_test"))),
        "huggingface", even(["happy", "sad"], count=4)),
    Read("parquet with null, -1 and a person", lambda r: parquet(
        r / "a.parquet", [0, 1, None, -1, 0, 1], names=["happy", "sad"],
        columns={"person": list("aabbcc")}), "huggingface", even(["happy", "sad"], (NO_SPLIT,)),
        groups=2, skipped=2),
    Read("parquet with a column of usages", lambda r: parquet(
        r / "a.parquet", ["happy", "sad"] * 3, columns={"Usage": [u for u in USAGES_ALL
        for _ in range(2)]}), "huggingface", even(["happy", "sad"], count=1)),
    Read("parquet with other columns named", lambda r: parquet(
        r / "a.parquet", ["happy", "sad"], image="photo", label="mood"), "huggingface",
        even(["happy", "sad"], (NO_SPLIT,), 1), {"image": "photo", "label": "mood"}),
    Read("parquet in a zip", in_zip(lambda r: write_pair(r, ("train.parquet", "test.parquet"))),
         "huggingface", even(["happy", "sad"], ("train", "test"), 4)),
]  # fmt: skip
USAGES_TWO = ("Training", "PublicTest")
USAGES_ALL = ("Training", "PublicTest", "PrivateTest")


@pytest.mark.parametrize("layout", READ, ids=lambda layout: layout.name)
def test_each_dataset_layout_is_recognised(tmp_path: Path, layout: Read) -> None:
    path = layout.write(tmp_path)
    start = time.process_time()
    shown = look(path, **layout.options)
    assert time.process_time() - start < 2
    assert (shown.form, shown.counts) == (layout.form, layout.counts)
    assert shown.groups == layout.groups
    assert shown.left_out == layout.left_out
    assert len(shown.skipped) == layout.skipped
    said = " ".join(shown.notes)
    assert [note for note in layout.notes if note not in said] == []
    assert shown.reason


@dataclass(frozen=True)
class Refused:
    """A layout that is refused, and what the message must say."""

    name: str
    write: Callable[[Path], Path]
    says: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def twice(root: Path) -> Path:
    """As a popular archive has it: the same images in `images` and `images/images`."""
    class_folders(root / "images", ["happy", "sad"], splits=("train", "validation"))
    class_folders(root / "images/images", ["happy", "sad"], splits=("train", "validation"))
    return root


def competition(root: Path) -> Path:
    """The competition's zip: several csv files."""
    fer2013_csv(root / "x/icml_face_data.csv", columns=("emotion", "Usage", "pixels"))
    fer2013_csv(root / "x/train.csv", usages=None, columns=("emotion", "pixels"))
    return zipped(root / "x", root / "challenge.zip")


REFUSED = [
    Refused("numbered folders inside the classes of splits", numbered_inside,
            ("test/happy/1/", "'^(?P<person>.+)/[^/]+$'", "'(?P<person>[^/]+)/[^/]+$'")),
    Refused("pictures without a class", lambda r: class_folders(r, [""], name="happy_{number}.png"),
            ("2 images without a class", "--pattern")),
    Refused("a table of other pictures beside class folders", other_table,
            ("gives no picture with a label", "--annotation folder")),
    Refused("persons by name above the classes", persons_by_name,
            ("2 datasets", "'(?P<person>[^/]+)/(?P<label>[^/]+)/[^/]+$'")),
    Refused("folders 0 to 6", lambda r: class_folders(r, numbers(0, 6), splits=TVT),
            ("--format fer2013", "--format affectnet", "--codes alphabetical", "--map-class 0=",
             "0 angry (6)", "0 neutral (6)")),
    Refused("folders 0 to 7", lambda r: class_folders(r, numbers(0, 7)),
            ("--format affectnet", "--codes ferplus", "7 contempt (2)")),
    Refused("folders 1 to 7", lambda r: class_folders(r, numbers(1, 7)),
            ("--format rafdb", "1 surprise (2)")),
    Refused("persons by number", lambda r: class_folders(r, numbers(1, 20)),
            ("20 classes that are numbers", "persons", "--any-classes")),
    Refused("persons by name", lambda r: class_folders(r, ["anna", "bert", "carl"]),
            ("None of the classes", "anna 2, bert 2, carl 2", "--map-class anna=",
             "--any-classes")),
    Refused("FER+ without its lists", lambda r: ferplus_folders(r, lists=False),
            ("48 images without a class",)),
    Refused("an unknown split of parquet", lambda r: write_pair(
        r, ("train-0.parquet", "extra-0.parquet")), ("extra", "not known", "--split random")),
    Refused("an unknown usage", lambda r: fer2013_csv(r / "a.csv", usages=("Training", "Holdout")),
            ("Holdout", "not known")),
    Refused("parquet with numbers", lambda r: parquet(r / "a.parquet", [0, 1, 2]),
            ("--codes fer2013", "--codes affectnet", "--map-class 0=")),
    Refused("parquet without labels", lambda r: parquet(r / "a.parquet", ["x"], label="mood"),
            ("no label column", "mood", "--label")),
    Refused("a list with codes", lambda r: listed(r, picture_rows(range(7))),
            ("--codes fer2013", "--codes ferplus", "0 neutral (3)")),
    Refused("a table against the folders", beside_folders(moved=2),
            ("--annotation table", "--annotation folder", "happy 4, sad 4", "2 of 8")),
    Refused("RAF-DB whose tables contradict", lambda r: rafdb_kaggle(r, wrong=2),
            ("--annotation table", "4 of 28")),
    Refused("YOLO without names", lambda r: yolo(r, described=False),
            ("--codes affectnet", "--map-class 0=")),
    Refused("two sets in one folder", twice, ("2 datasets", "images/images", "--plan")),
    Refused("several csv files in a zip", competition,
            ("challenge.zip/icml_face_data.csv", "challenge.zip/train.csv")),
    Refused("a csv without labels",
            lambda r: fer2013_csv(r / "test.csv", columns=("pixels", "Usage")),
            ("no column of labels", "pixels, Usage", "--label")),
    Refused("a csv with an unknown code", lambda r: fer2013_csv(r / "a.csv", codes=[0, 1, 9]),
            ("the class 9", "--map-class 9=", "--codes")),
    Refused("an option of another reader", lambda r: class_folders(r, ["happy", "sad"]),
            ("--votes is an option of fer2013", "read as folder"), {"votes": "x.csv"}),
    Refused("a mapping of no class", lambda r: class_folders(r, ["happy", "sad"]),
            ("'hapy'", "happy, sad"), {"mapping": {"hapy": "happy"}}),
    Refused("a csv of codes 1 to 7", lambda r: fer2013_csv(r / "a.csv", codes=range(1, 8)),
            ("--codes fer2013", "--codes rafdb", "1 surprise (6)", "1 disgust (6)")),
    Refused("a csv of labels with numbers", lambda r: fer2013_csv(
        r / "a.csv", names={"emotion": "label"}), ("--codes fer2013", "--codes alphabetical")),
    Refused("an unknown split folder", lambda r: class_folders(
        r, ["happy", "sad"], splits=("train", "val", "extra")), ("extra is not known",)),
    Refused("two columns of labels", lambda r: listed(
        r, [[*row, SEVEN[n % 5]] for n, row in enumerate(picture_rows(SEVEN))],
        file="t.csv", header=["file", "emotion", "label"], separator=","),
        ("--label emotion: angry 3", "--label label: angry 5")),
    Refused("two lists of the same pictures", two_lists,
            ("a.txt and b.txt", "differ for 7", "Give the path")),
    Refused("a table with a label column of another name", lambda r: listed(
        r, picture_rows([1, 2]), file="t.csv", header=["file", "mood"], separator=","),
        ("t.csv", "its columns are file, mood", "--label")),
    Refused("parquet files of two configurations", two_configurations,
            ("2 datasets", "fer2013", "ferplus")),
    Refused("a folder that holds an archive", lambda r: kaggle_zip(r / "y").parent,
            ("archive.zip",)),
    Refused("splits of some images", lambda r: listed(
        r, [["a.png", "sad", "train"], ["b.png", "happy", "test"], ["c.png", "sad", ""]],
        file="t.csv", header=["file", "label", "split"], separator=","),
        ("Images without a split: 1, ", "/c.png", "--split random")),
    Refused("a path that does not exist", lambda r: r / "nothing",
            ("does not exist", "--format huggingface")),
]  # fmt: skip


@pytest.mark.parametrize("layout", REFUSED, ids=lambda layout: layout.name)
def test_an_ambiguous_layout_asks_for_the_format(tmp_path: Path, layout: Refused) -> None:
    with pytest.raises(DataError) as caught:
        look(layout.write(tmp_path), **layout.options)
    message = str(caught.value)
    assert [part for part in layout.says if part not in message] == []
    assert len(message) < 2000


@pytest.mark.parametrize(
    "write",
    [
        lambda r: write_pair(r, ("train-0.parquet", "extra-0.parquet")),
        lambda r: fer2013_csv(r / "a.csv", usages=("Training", "Holdout")),
        lambda r: listed(r, [["a.png", "sad", "fold 1"], ["b.png", "happy", "fold 2"]],
                         file="t.csv", header=["file", "label", "split"], separator=","),
        lambda r: with_contradicting_lists(r),
    ],
    ids=["parquet files", "usages", "a column", "lists"],
)  # fmt: skip
def test_unknown_splits_do_not_matter_if_new_ones_are_drawn(tmp_path: Path, write) -> None:
    path = write(tmp_path)
    with pytest.raises(DataError, match="draw new splits with --split random"):
        look(path)
    assert look(path, by="random").counts


def with_contradicting_lists(root: Path) -> Path:
    class_folders(root, ["happy", "sad"])
    for name in ("train", "test"):
        (root / f"{name}.txt").write_text("happy/0.png\n")
    return root


def test_tables_of_pixels_by_split_are_one_dataset(tmp_path: Path) -> None:
    columns = ("emotion", "pixels")
    for name, codes in (("train", range(7)), ("test", (3, 4))):
        fer2013_csv(tmp_path / f"{name}.csv", codes=codes, usages=None, columns=columns, repeat=1)
    shown = look(tmp_path)
    assert shown.form == "fer2013"
    assert shown.counts == {
        label: {"train": 1, "test": 1} if label in ("happy", "sad") else {"train": 1}
        for label in SEVEN
    }
    pixels = [
        row.split(",")[1]
        for name in ("test", "train")
        for row in (tmp_path / f"{name}.csv").read_text().splitlines()[1:]
    ]
    read = list(open_dataset(str(tmp_path)).reader)
    assert [" ".join(map(str, item.image.ravel())) for item in read] == pixels
    fer2013_csv(tmp_path / "val.csv", usages=None, columns=columns, side=40)
    with pytest.raises(DataError, match=r"images of 48 pixels and val\.csv of 40"):
        look(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a/clip.mp4", "videos (a/clip.mp4), which are not read. Save their frames"),
        ("CK.h5", "np.savez('faces.npz', images=images, labels=labels)"),
        ("data.mat", "MATLAB files"),
        ("faces.pkl", "could run any program"),
        ("train.tfrecord-00000-of-00002", "TFRecord files"),
        ("data.mdb", "LMDB files"),
        ("labels.xlsx", "Save them as csv"),
        ("Image.7z", "archives (Image.7z), which are not read. Unpack them"),
    ],
)
def test_files_that_are_not_read_are_named_with_a_remedy(tmp_path: Path, name, says) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x" * 50)
    with pytest.raises(DataError, match=re.escape(says)):
        look(tmp_path)
    if not name.endswith(".7z"):  # which is refused elsewhere
        with pytest.raises(DataError, match=f"{re.escape(Path(name).name)} is not read"):
            look(tmp_path / name)
    class_folders(tmp_path, ["all"])
    with pytest.raises(DataError, match=re.escape(says)):
        look(tmp_path)


def test_one_of_several_datasets_is_read_by_its_path(tmp_path: Path) -> None:
    archive = competition(tmp_path)
    assert look(archive / "icml_face_data.csv").counts == even(SEVEN)
    assert look(archive / "train.csv").counts == even(SEVEN, (NO_SPLIT,))
    twice(tmp_path / "y")
    assert look(tmp_path / "y/images/images").counts == even(
        ["happy", "sad"], ("train", "validation")
    )


@pytest.mark.parametrize("pack", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_gives_the_same_as_its_folder(tmp_path: Path, pack: str) -> None:
    folder = class_folders(tmp_path / "x", ["happy", "sad"], splits=("train", "test"))
    archive = tmp_path / f"x.{pack}"
    (zipped if pack == "zip" else tarred)(folder, archive)
    shown, expected = look(archive), look(folder)
    assert (shown.counts, shown.examples) == (expected.counts, expected.examples)


def test_the_preview_shows_five_images_per_class(tmp_path: Path) -> None:
    shown = look(class_folders(tmp_path, ["happy", "sad"], count=9))
    assert {label: len(keys) for label, keys in shown.examples.items()} == {"happy": 5, "sad": 5}
    assert shown.examples["happy"][0] == "happy/0.png"


def test_rafdb_codes_and_fer2013_codes_are_not_mixed_up(tmp_path: Path) -> None:
    """The first number of each: RAF-DB's 1 is surprise, FER2013's 0 angry."""
    assert (RAFDB_ORDER[0], FER2013_ORDER[0]) == ("surprise", "angry")
    shown = look(rafdb_kaggle(tmp_path))
    assert shown.examples["surprise"][0] == "test_00010"


def test_labels_of_the_labelling_view_beside_pictures(tmp_path):
    """The csv of the page Label a few faces gives their labels; unclear faces have none."""
    folder = tmp_path / "mine"
    for number, image in enumerate(noise(4)):
        path = folder / "day one" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    labels = [
        PoolLabel("p", f"folder/day one/{number}.png", "ann", label, number, 0.25)
        for number, label in enumerate(("happy", "sad", "", "fear"))
    ]
    (folder / "labels.csv").write_text(csv_text(export(labels, ("fear", "happy", "sad"))))
    counts = look(folder).counts
    assert {name: sum(by_split.values()) for name, by_split in counts.items()} == {
        "fear": 1,
        "happy": 1,
        "sad": 1,
    }
