"""Inputs from the field, where the folder of cases exists; the same kinds are in test_layouts."""

import os
from pathlib import Path

import pytest

from fer_core.data.plan import parse_plan
from fer_core.data.prepare import prepare_plan
from fer_core.data.preview import NO_SPLIT, SourcePreview, preview_plan
from fer_core.data.selection import open_sources
from fer_core.errors import DataError
from tests.support.layouts import FER2013_ORDER

CASES = Path(
    os.environ.get("FERSCOPE_CASES") or Path(__file__).parents[2].parent / "shared" / "cases"
)
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason=f"there is no folder {CASES}; FERSCOPE_CASES names another"
)


def look(case: str, **options) -> SourcePreview:
    if not (CASES / case).exists():
        pytest.skip(f"the case {case} is missing")
    plan = parse_plan({"sources": [{"path": str(CASES / case), **options}]}, "of a test")
    return preview_plan(plan, open_sources(plan))[0]


def test_affectnet_kaggle_labels_csv() -> None:
    shown = look("affectnet_kaggle_labels_csv/set")
    assert shown.counts == {label: {NO_SPLIT: 16} for label in ("fear", "happy", "sad")}
    assert "For 12 of 48 pictures the table names another class" in " ".join(shown.notes)
    by_folder = look("affectnet_kaggle_labels_csv/set", format="affectnet", annotation="folder")
    assert by_folder.examples["happy"][0] == "happy/image0000000.png"
    assert shown.examples["happy"][0] == "fear/image0000008.png"


@pytest.mark.parametrize(
    ("file", "classes", "splits", "message"),
    [
        ("no_disgust", 6, ["train", "validation", "test"], ""),
        ("contempt7", 7, ["train", "validation", "test"], "Contempt is left out"),
        ("two_usages", 7, ["train", "validation"], "becomes the test split"),
        ("trailing", 7, ["train", "validation", "test"], "remains of an archive"),
    ],
)
def test_fer2013_csv_variants(file: str, classes: int, splits: list[str], message: str) -> None:
    shown = look(f"fer2013_csv_variants/{file}.csv.gz")
    assert len(shown.counts) == classes
    assert shown.splits == splits
    assert all(set(row.values()) == {2} for row in shown.counts.values())
    assert message in " ".join(shown.notes)


def test_fer2013_numbered_folders() -> None:
    with pytest.raises(DataError, match=r"(?s)--format fer2013.*0 angry \(6\).*--format affectnet"):
        look("fer2013_numbered_folders/set")
    shown = look("fer2013_numbered_folders/set", format="fer2013")
    for code, label in enumerate(FER2013_ORDER):
        assert shown.examples[label][0] == f"test/{code}/{code}test.png"
    mapped = look(
        "fer2013_numbered_folders/set", mapping={str(c): n for c, n in enumerate(FER2013_ORDER)}
    )
    assert mapped.counts == shown.counts


def test_icml_face_data_columns() -> None:
    shown = look("icml_face_data_columns/icml_face_data.csv.gz")
    assert shown.form == "fer2013"
    assert sum(sum(row.values()) for row in shown.counts.values()) == 42


def test_kaggle_archive_zip() -> None:
    shown = look("kaggle_archive_zip/archive.zip")
    assert (shown.form, len(shown.counts)) == ("fer2013", 7)
    folders = look("kaggle_archive_zip/folders.zip")
    assert folders.counts == {"happy": {"train": 10}, "sad": {"train": 10}}


def test_parquet_public_and_private_test() -> None:
    shown = look("parquet_public_and_private_test/set")
    assert shown.counts == {
        label: {"train": 12, "validation": 4, "test": 4} for label in ("happy", "sad")
    }


@pytest.mark.parametrize(
    "case", ["kaggle_archive_zip/folders.zip", "fer2013_csv_variants/trailing.csv.gz"]
)
def test_a_case_prepares(tmp_path: Path, case: str) -> None:
    if not (CASES / case).exists():
        pytest.skip(f"the case {case} is missing")
    plan = parse_plan({"sources": [{"path": str(CASES / case)}], "side": 16}, "of a test")
    dataset = prepare_plan(plan, tmp_path / "set", name="case")
    assert set(dataset.samples["split"]) >= {"train", "validation", "test"}
