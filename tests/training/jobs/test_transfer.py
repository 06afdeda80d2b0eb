"""Transfers of finished runs: equal to `predict`, resumable, honest about bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.data.transfer_source import SetOptions, open_set
from fer_core.errors import ArtifactError, DataError, WeightsError
from fer_core.evaluation.ensemble import average_probabilities
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.report import Report
from fer_core.evaluation.shift import ShiftReport
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.predictor import Predictor
from tests.support.builders import toy_benchmark
from training.jobs import transfer as job
from training.jobs import transfer_reference
from training.jobs.adapt import groups_of
from training.jobs.predict import find_files, predict_part
from training.jobs.prediction_cache import PredictionCache
from training.jobs.transfer import TransferOptions, transfer
from training.jobs.transfer_progress import TransferProgressFile

NETWORK = "resnet34-cpu-s0"


@pytest.fixture
def toy(tmp_path):
    return toy_benchmark(tmp_path)


@pytest.fixture(autouse=True)
def few_are_measured(monkeypatch):
    """Noise shows no face, and the detector searches long for one."""
    monkeypatch.setattr(transfer_reference, "MEASURED_FACES", 2)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six pictures of noise in three class folders, one damaged file, and one without a label."""
    root, random = tmp_path / "mine", np.random.default_rng(0)
    for index, name in enumerate(("happy", "happy", "sad", "sad", "fear", "fear")):
        path = root / name / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (60, 50, 3), dtype=np.uint8)).save(path)
    (root / "happy" / "broken.png").write_bytes(b"no picture")
    Image.fromarray(random.integers(0, 255, (50, 50, 3), dtype=np.uint8)).save(root / "loose.png")
    return root


def run(toy, path, **options):
    options = {"name": "mine", "cropped": True, **options}
    return transfer(
        toy.benchmark, str(path), TransferOptions(**options), toy.data, TransferProgressFile()
    )


def test_runs_answer_as_predict_does(toy, folder):
    result = run(toy, folder)
    assert set(result.reports) == {
        "efficientnet_lite0-cpu-s0", "efficientnet_lite0-cpu-s1", NETWORK, "pair-cpu"
    }  # fmt: skip
    written = Predictions.read(
        result.benchmark.run(NETWORK).predictions_path, SEVEN_EMOTIONS, unlabelled=True
    ).split("test")
    predictor = Predictor(toy.benchmark)
    table = predict_part(
        find_files(folder), predictor, [NETWORK], None, lambda items, *_: items
    ).table.set_index("file")
    for sample_id, row in zip(written.ids, written.probabilities, strict=True):
        key = sample_id.removeprefix("folder/")
        raw = predictor.predict([Image.open(folder / key).convert("RGB").crop(
            _middle(folder / key))], [NETWORK])[0]  # fmt: skip
        assert np.abs(row - raw.probabilities[0]).max() < 1e-5
        expected = [table.loc[key, f"p_{name}"] for name in SEVEN_EMOTIONS.names]
        assert np.abs(raw.calibrated[0] - expected).max() < 1e-5


def _middle(path: Path) -> tuple[int, int, int, int]:
    width, height = Image.open(path).size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def test_an_ensemble_is_the_mean_of_its_members(toy, folder):
    result = run(toy, folder, run_ids=("pair-cpu",))
    assert set(result.reports) == {"efficientnet_lite0-cpu-s0", NETWORK, "pair-cpu"}
    info = toy.benchmark.run("pair-cpu").info()

    def probabilities(run_id):
        path = result.benchmark.run(run_id).predictions_path
        return Predictions.read(path, SEVEN_EMOTIONS, unlabelled=True).split("test").probabilities

    mean = average_probabilities(
        [probabilities(name) for name in info.members], info.member_weights, info.logit_shift
    )
    assert np.abs(probabilities("pair-cpu") - mean).max() < 1e-6


def test_an_ensemble_of_a_member_that_cannot_predict_is_left_out(toy, folder, monkeypatch):
    def damaged(self, faces, run_ids, batch_size=64):
        raise WeightsError("The weights are damaged.")

    original = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, faces, run_ids, *rest: (
        damaged if NETWORK in run_ids else original)(self, faces, run_ids, *rest))  # fmt: skip
    result = run(toy, folder)
    assert NETWORK not in result.reports
    assert result.left_out == {
        NETWORK: "The weights are damaged.",
        "pair-cpu": f"Its member {NETWORK!r} could not predict.",
    }


def test_a_key_error_is_no_missing_member(toy, folder, monkeypatch):
    def broken(self, digests):
        raise KeyError("sha1")

    monkeypatch.setattr(PredictionCache, "probabilities", broken)
    with pytest.raises(KeyError, match="sha1"):
        run(toy, folder)


def test_damaged_pictures_are_listed_and_unlabelled_ones_kept(toy, folder):
    result = run(toy, folder)
    info = result.benchmark.info()
    assert list(info.skipped) == ["happy/broken.png"]
    assert (info.labelled, info.unlabelled) == (6, 1)
    assert info.transferred_from.missing_classes == ("angry", "disgust", "neutral", "surprise")
    assert Report.read(result.benchmark.run(NETWORK).report_path).test.samples == 6
    assert not result.benchmark.transfer_progress_path.exists()


def test_a_second_transfer_computes_only_what_is_new(toy, folder, monkeypatch):
    run(toy, folder)
    answered = []
    original = Predictor.predict

    def counting(self, faces, run_ids, batch_size=64):
        answered.append((tuple(run_ids), len(faces)))
        return original(self, faces, run_ids, batch_size)

    monkeypatch.setattr(Predictor, "predict", counting)
    run(toy, folder)
    assert answered == []
    Image.fromarray(np.eye(50, dtype=np.uint8) * 200).convert("RGB").save(folder / "new.png")
    run(toy, folder, run_ids=(NETWORK,))
    assert answered == [((NETWORK,), 1)]


def test_a_stopped_transfer_loses_at_most_one_batch(toy, folder, monkeypatch):
    monkeypatch.setattr(job, "BATCH", 2)
    answered = []
    original = Predictor.predict

    def stopping(self, faces, run_ids, batch_size=64):
        if len(answered) == 2:
            raise KeyboardInterrupt
        answered.append(len(faces))
        return original(self, faces, run_ids, batch_size)

    monkeypatch.setattr(Predictor, "predict", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(toy, folder, run_ids=(NETWORK,))
    monkeypatch.setattr(Predictor, "predict", lambda *args: (
        answered.append(len(args[1])), original(*args))[1])  # fmt: skip
    run(toy, folder, run_ids=(NETWORK,))
    assert answered == [2, 2, 2, 1]


def test_a_folder_that_changes_while_it_is_read_is_noted(toy, folder, monkeypatch):
    original = job.find_set_faces

    def changing(*args):
        found = original(*args)
        (folder / "happy" / "0.png").unlink()
        return found

    monkeypatch.setattr(job, "find_set_faces", changing)
    assert any("changed while it was read" in note for note in run(toy, folder).notes)


def test_pictures_without_faces_are_listed(toy, folder):
    flat = folder.parent / "flat"
    flat.mkdir()
    Image.new("RGB", (300, 200), (90, 90, 90)).save(flat / "wall.png")
    with pytest.raises(DataError, match="The only picture of flat cannot be used"):
        run(toy, flat, cropped=False)


def test_a_prepared_data_set_is_named(toy):
    result = run(toy, "toy", name="itself", run_ids=(NETWORK,))
    info = result.benchmark.info()
    assert info.labelled == 21
    assert info.leaked_test == 0
    stored = Predictions.read(toy.benchmark.run(NETWORK).predictions_path, SEVEN_EMOTIONS).split(
        "test"
    )
    assert len(stored) == info.labelled
    with pytest.raises(DataError, match="has no image in the split 'other'"):
        run(toy, "toy", name="other", pictures=SetOptions(split="other"))


def test_the_persons_of_a_set_are_written(toy, folder):
    assert "group" not in run(toy, folder).benchmark.samples()
    persons = {"happy/0.png": "ann", "happy/1.png": "ann", "sad/2.png": "bob"}
    table = "".join(f"{key},{key.split('/')[0]},{name}\n" for key, name in persons.items())
    (folder / "labels.csv").write_text("image,label,person\n" + table)
    options = SetOptions(reader={"group": "person", "annotation": "table"})
    samples = run(toy, folder, name="persons", pictures=options).benchmark.samples()
    named = samples.set_index("id")["group"].dropna()
    assert named.to_dict() == {f"list/{key}": name for key, name in persons.items()}
    assert len(set(groups_of(samples).tolist())) == len(samples) - 1  # ann has two pictures


def test_the_persons_of_a_prepared_data_set_are_kept(toy):
    path = toy.data / "toy" / "samples.parquet"
    table = pd.read_parquet(path)
    persons = [f"person {row % 4}" if row % 2 else None for row in range(len(table))]
    table.assign(group=pd.Series(persons, dtype="str")).to_parquet(path)
    groups = open_set("toy", path.parent, SetOptions()).groups
    chosen = pd.read_parquet(path).query("split == 'test'").dropna(subset="group")
    assert dict(groups) == dict(zip(chosen["id"], chosen["group"], strict=True)) != {}


def test_what_changed_is_written(toy, folder):
    result = run(toy, folder)
    shift = ShiftReport.read(result.benchmark.shift_path)
    assert shift == result.shift
    assert (shift.faces, shift.labelled) == (7, 6)
    assert shift.missing_classes == ("angry", "disgust", "neutral", "surprise")
    assert {row.run_id for row in shift.runs} == set(result.reports)
    for row in shift.runs:
        assert row.accuracy.value == result.reports[row.run_id].test.accuracy.value
        assert row.accuracy_present.value >= row.accuracy.value  # other classes are left out
    assert not shift.trusted
    assert (shift.reasons[0], shift.margin) == (
        "The estimate was not checked on this benchmark.", None
    )  # fmt: skip
    assert shift.outside_run in shift.sentence or shift.outside is not None
    assert toy.benchmark.reference_path.is_file()


def test_an_unknown_run_is_named(toy, folder):
    with pytest.raises(ArtifactError, match=r"toy has no run 'vgg' that can predict\. Its runs"):
        run(toy, folder, run_ids=("vgg",))
    assert "has no run 'vgg'" in toy.benchmark.transfer("mine").transfer_progress_path.read_text()
