"""Predicting on a Ray cluster of two workers: the rows of one machine, also if a worker dies."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fer_core.errors import DataError, FerscopeError
from fer_core.predictor import Predictor
from training.jobs import predict_parts
from training.jobs.predict import PredictOptions, find_files, predict_part
from training.jobs.predict_parts import PartsFolder, predict_in_parts
from training.jobs.ray_engine import PredictJob, predict_parts_on_ray

ray = pytest.importorskip("ray", reason="Ray is not installed; `make test-ray` installs it")

NETWORK = "efficientnet_lite0-cpu-s0"
OPTIONS = PredictOptions()


def plain(items, length, title):
    return items


@dataclass(frozen=True)
class KilledJob:
    """Ends its worker at a file, once or each time."""

    job: PredictJob
    name: str
    marker: Path
    once: bool = True

    def load(self):
        predict = self.job.load()

        def predict_or_die(part):
            hit = self.name in [path.name for path in part.pictures]
            if hit and not (self.once and self.marker.exists()):
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return predict(part)

        return predict_or_die


@dataclass(frozen=True)
class FailingJob:
    """Cannot be loaded."""

    def load(self):
        raise DataError("The networks are elsewhere.")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Seven pictures and a damaged one, in four parts."""
    monkeypatch.setattr(predict_parts, "PICTURES", 2)
    place = tmp_path / "mine"
    place.mkdir()
    random = np.random.default_rng(0)
    for number in range(7):
        face = random.integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(face).save(place / f"{number}.png")
    (place / "bad.jpg").write_bytes(b"\xff\xd8nothing")
    return find_files(place)


@pytest.fixture
def job(toy):
    return PredictJob(toy.benchmark.root.absolute(), (NETWORK,), OPTIONS, cropped=True)


@pytest.fixture
def whole(toy, files):
    predictor = Predictor(toy.benchmark, torch.device("cpu"))
    return predict_part(files, predictor, [NETWORK], None, plain, OPTIONS)


def refuse(part, progress):
    raise AssertionError("every part was to be predicted on the cluster")


@pytest.mark.parametrize("killed", [False, True])
def test_the_rows_are_those_of_one_machine(files, job, whole, tmp_path, killed):
    folder, marker = PartsFolder(tmp_path / "parts", "key"), tmp_path / "killed"
    sent = KilledJob(job, "2.png", marker) if killed else job
    predict_parts_on_ray(files, folder, sent, plain, workers=2)
    assert marker.exists() == killed
    joined = predict_in_parts(files, refuse, folder, plain)
    pd.testing.assert_frame_equal(joined.table, whole.table, check_dtype=False, rtol=1e-5)
    assert (joined.pictures, joined.skipped) == (7, whole.skipped)


def test_a_part_that_ends_each_worker_is_given_up_and_the_others_are_kept(files, job, tmp_path):
    folder = PartsFolder(tmp_path / "parts", "key")
    deadly = KilledJob(job, "6.png", tmp_path / "killed", once=False)
    with pytest.raises(FerscopeError, match="died 4 times on the same part"):
        predict_parts_on_ray(files, folder, deadly, plain, workers=1)
    assert [folder.read(number) is not None for number in range(4)] == [True, True, True, False]


def test_errors_of_a_worker_keep_their_kind(files, tmp_path):
    with pytest.raises(DataError, match=r"^The networks are elsewhere\.$"):
        predict_parts_on_ray(files, PartsFolder(tmp_path / "p", "key"), FailingJob(), plain)


def test_a_worker_that_cannot_see_the_files_says_so(files, job, tmp_path):
    for path in files.pictures:
        path.unlink()
    with pytest.raises(DataError, match=r"cannot see .*mine"):
        predict_parts_on_ray(files, PartsFolder(tmp_path / "p", "key"), job, plain)
