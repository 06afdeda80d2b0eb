"""`prepare` on the command line: the dry run, and the options of readers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_core.data import reading, reading_parts
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import DataError, MissingExtraError
from tests.support.layouts import class_folders, fer2013_csv, listed, numbers, picture_rows
from training.__main__ import app


def prepare(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERSCOPE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(tmp_path / "artifacts"))


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", ["happy", "01_sad"], splits=("train", "val"))
    (folder / "train/happy/link.png").symlink_to("/nowhere")
    output = prepare(folder, "--dry-run")
    assert "read as folder, because there are folders of images" in output
    assert "Read 01_sad as sad" in output
    assert "its validation split becomes the test split" in output
    assert "happy: train/happy/train0.png, train/happy/train1.png" in output
    assert "skipped train/happy/link.png" in output
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "artifacts").exists()


def test_a_folder_at_a_url_is_read_like_a_local_one(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", ["happy", "sad"], splits=("train", "val"))
    expected = prepare(folder, "--dry-run")
    assert prepare(f"file://{folder}", "--dry-run").endswith(expected)
    (tmp_path / "plan.yaml").write_text(f"sources: [{{path: 'file://{folder}'}}]")
    assert prepare("--plan", tmp_path / "plan.yaml", "--dry-run") == expected  # no second copy


def test_options_reach_the_reader(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", numbers(0, 2), count=2)
    with pytest.raises(DataError, match="--format fer2013"):
        prepare(folder, "--dry-run")
    assert re.search(r"angry +│ 2 ", prepare(folder, "--dry-run", "--format", "fer2013"))
    assert re.search(r"neutral +│ 2 ", prepare(folder, "--dry-run", "--codes", "affectnet"))
    output = prepare(folder, "--dry-run", "--map-class", "0=sad", "--map-class", "1=happy",
                   "--map-class", "2=")  # fmt: skip
    assert "2 left out: the class 2 is left out" in output


def test_a_dataset_is_prepared_with_its_columns(tmp_path: Path) -> None:
    rows = [[*row, f"p{n % 6}", "mf"[n % 2]] for n, row in enumerate(picture_rows("01", 12))]
    head = ["path", "mood", "who", "gender"]
    listed(tmp_path / "set", rows, file="list.csv", header=head, separator=",")
    output = prepare(
        tmp_path / "set/list.csv", "--name", "mine", "--side", 16, "--label", "mood", "--group",
        "who", "--codes", "affectnet", "--min-class", 3,
    )  # fmt: skip
    assert "Class numbers are those of affectnet: 0 neutral, 1 happy." in output
    table = PreparedDataset.open(tmp_path / "data/mine").samples
    assert set(table["label"]) == {"happy", "neutral"}
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert set(table["gender"]) == {"m", "f"}
    card = (tmp_path / "artifacts/mine/CARD.md").read_text()
    assert "6 groups named by the sources" in card


def test_options_beside_a_plan_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("sources: [{path: synthetic}]\n")
    output = prepare("--plan", tmp_path / "plan.yaml", "--dry-run", "--codes", "rafdb")
    assert "write --codes into the plan" in output.replace("\n", " ").replace("│", "")
    assert "read as synthetic" in prepare("--plan", tmp_path / "plan.yaml", "--dry-run")


def test_a_stopped_command_says_that_it_continues_and_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_parts, "PART_ITEMS", 5)
    folder = class_folders(tmp_path / "set", ["happy", "sad"], count=12)
    command = (folder, "--name", "mine", "--side", 16, "--transformed-copies", "off")
    read_range = reading.RangeReader.read

    def stop_at_the_third(self, items, start):
        if start == 10:
            raise KeyboardInterrupt
        return read_range(self, items, start)

    with monkeypatch.context() as patch:
        patch.setattr(reading.RangeReader, "read", stop_at_the_third)
        output = prepare(*command)
    assert "10 of 24 images are read. Run the same command again: it continues where" in output
    assert "were read before" not in output
    output = prepare(*command)
    assert "10 of 24 images were read before; reading continues." in output
    assert len(PreparedDataset.open(tmp_path / "data/mine").samples) == 24
    assert "were read before" not in prepare(*command)


def test_a_cluster_is_allowed_beside_a_plan_and_needs_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plan.yaml").write_text("sources: [{path: synthetic, count: 40, side: 48}]\n")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="--engine ray needs Ray"):
        prepare("--plan", tmp_path / "plan.yaml", "--name", "drawn", "--engine", "ray",
                "--workers", 2)  # fmt: skip
    assert list((tmp_path / "data").iterdir()) == []


def test_a_dry_run_does_not_import_torch(tmp_path: Path) -> None:
    """So it is over in a second or two, whatever the set."""
    path = fer2013_csv(tmp_path / "fer2013.csv")
    code = (
        "import sys; from training.__main__ import app\n"
        f"app(['prepare', {str(path)!r}, '--dry-run'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'sklearn', 'timm', 'dlib') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip().endswith("[]"), ended.stderr[-2000:]
