"""`transfer` on the command line with bad input: the exact messages."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_core.artifacts import ArtifactStore
from fer_core.errors import DataError
from fer_core.evaluation.estimate_trust import LABELS_ENOUGH
from fer_core.evaluation.shift import ShiftReport
from tests.support.builders import toy_benchmark
from training.__main__ import app
from training.jobs import transfer as job
from training.jobs import transfer_reference

NETWORK = "resnet34-cpu-s0"


@pytest.fixture(autouse=True)
def toy(tmp_path, monkeypatch):
    """A benchmark where the command looks for one; noise shows no face to measure."""
    toy = toy_benchmark(tmp_path)
    monkeypatch.setenv("FERSCOPE_DATA", str(toy.data))
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    monkeypatch.setattr(transfer_reference, "MEASURED_FACES", 1)
    return toy


def folder(root: Path, *names: str) -> Path:
    """Writes a picture of noise under each name."""
    random = np.random.default_rng(0)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (50, 50, 3), dtype=np.uint8)).save(path)
    return root


def run(*arguments: object) -> str:
    command = ["transfer", "toy", *map(str, arguments), "--run", NETWORK, "--device", "cpu"]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*arguments: object) -> str:
    with pytest.raises(DataError) as caught:
        run(*arguments)
    return str(caught.value)


def test_labels_that_contradict_are_refused(tmp_path):
    mine = folder(tmp_path / "mine", "a.png", "b.png")
    table = tmp_path / "labels.csv"
    table.write_text("id,label\na.png,happy\na.png,sad\nb.png,sad\n")
    assert refusal(mine, "--cropped", "--labels", table) == (
        "labels.csv lists 1 picture with different labels, such as a.png. Keep one row of each, "
        "or add a column `annotator`."
    )


def test_pictures_without_a_face_are_refused(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("door.png", "wall.png"):
        Image.new("RGB", (300, 200), (90, 90, 90)).save(mine / name)
    why = "No face was found in the picture. Use a picture in which a face can be seen."
    assert refusal(mine).split("\n") == [
        "None of the 2 pictures of mine can be used:",
        f"  door.png: {why}",
        f"  wall.png: {why}",
        "If they are cropped faces already, pass --cropped.",
    ]


def test_a_set_of_one_class_is_refused(tmp_path):
    mine = folder(tmp_path / "mine", "happy/a.png", "happy/b.png")
    assert refusal(mine, "--cropped") == (
        f"{mine} has too few classes (happy): at least two are needed. Give the folder in which "
        "the class folders or split folders stand, and look at --map-class if it is used."
    )
    folder(mine, "contempt/a.png")
    assert refusal(mine, "--cropped") == (
        "All labelled pictures of mine are happy. One class says nothing about the others: add "
        "pictures of other classes, or pass --unlabelled."
    )


def test_an_empty_class_is_refused_and_can_be_left_out(tmp_path):
    mine = folder(tmp_path / "mine", "happy/a.png", "fear/b.png")
    (mine / "sad").mkdir()
    message = refusal(mine, "--cropped")
    assert message.startswith(f"The class folder {mine}/sad has no image file (.apng, ")
    assert message.endswith(
        " ...; links that lead out of it do not count). Add images or remove the folder, or pass "
        "`--map-class sad=`."
    )
    assert "2 of 2 faces have a label." in run(mine, "--cropped", "--map-class", "sad=")


def test_annotators_empty_classes_and_a_changed_folder_are_told(tmp_path, toy, monkeypatch):
    mine = folder(tmp_path / "mine", "a.png", "b.png", "c.png", "d.png")
    table = tmp_path / "labels.csv"
    votes = {"a": ("happy", "happy"), "b": ("sad", "fear"), "c": ("sad", "sad")}
    rows = [f"{name}.png,{who},{label}" for name, labels in votes.items()
            for who, label in zip(("ann", "bob"), labels, strict=True)]  # fmt: skip
    table.write_text("\n".join(["id,annotator,label", *rows]))
    original = job.find_set_faces

    def changing(*arguments):
        found = original(*arguments)
        (mine / "d.png").unlink()
        return found

    monkeypatch.setattr(job, "find_set_faces", changing)
    output = run(mine, "--cropped", "--labels", table)
    for line in (
        "Labels of 2 of 4 pictures are read from labels.csv.",
        "Annotators disagree on 1 picture, such as b.png: the majority counts; 1 without a "
        "majority has no label.",
        "The folder changed while it was read: 1 file, such as d.png. Run the command again; only "
        "new pictures are computed.",
        "No labelled face is angry, disgust, fear, neutral, surprise. Predictions of classes that "
        "the set lacks count as wrong here; the page Your faces also shows accuracy without them.",
    ):
        assert line in output.splitlines()
    info = ArtifactStore(toy.artifacts).benchmark("toy").transfer("mine").info()
    assert (info.labelled, info.unlabelled) == (2, 2)


def test_persons_of_a_table_are_kept_and_printed(tmp_path, toy):
    mine = folder(tmp_path / "mine", *(f"{index}.png" for index in range(6)))
    table = tmp_path / "labels.csv"
    rows = [f"{index}.png,{('happy', 'sad')[index % 2]},p{index // 3}" for index in range(6)]
    table.write_text("\n".join(["image,label,who", *rows]))
    output = run(mine, "--cropped", "--labels", table, "--group", "who")
    assert "2 persons are read from the column who." in output
    assert f"{NETWORK} by person. 2 persons with 3 labelled pictures each." in output
    samples = ArtifactStore(toy.artifacts).benchmark("toy").transfer("mine").samples()
    assert list(samples["group"]) == ["p0"] * 3 + ["p1"] * 3


def test_the_table_has_the_intervals_of_the_comparison(tmp_path, toy):
    mine = folder(tmp_path / "mine", *(f"{name}/{index}.png" for index in range(3)
                                       for name in ("happy", "sad")))  # fmt: skip
    output = run(mine, "--cropped")
    (shift,) = ShiftReport.read(toy.benchmark.transfer("mine").shift_path).runs
    accuracy = shift.accuracy
    assert f"{accuracy.low:.1%} to {accuracy.high:.1%}" in output
    assert LABELS_ENOUGH in output


def test_runs_of_one_title_are_left_out_by_their_shown_titles(toy):
    for seed in (0, 1):
        run = toy.benchmark.run(f"efficientnet_lite0-cpu-s{seed}")
        run.info().model_copy(update={"title": "Lite"}).write(run.info_path)
        (run.root / "model.safetensors").unlink()
    _, left_out = job.select_runs(toy.benchmark, ())
    titles = {run_id: reason.partition(" has results")[0] for run_id, reason in left_out.items()}
    assert titles["efficientnet_lite0-cpu-s0"] == "Lite"
    assert titles["efficientnet_lite0-cpu-s1"] == "Lite, seed 1"
