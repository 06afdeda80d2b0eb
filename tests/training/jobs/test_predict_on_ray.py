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

from fer_core.errors import DataError
from fer_core.predictor import Predictor
from training.jobs import predict_parts
from training.jobs.predict import PredictOptions, find_files, predict_part
from training.jobs.predict_on_ray import PredictJob, predict_parts_on_ray
from training.jobs.predict_parts import PartsFolder, predict_in_parts

pytest.importorskip("ray", reason="Ray is not installed; `make test-ray` installs it")

NETWORK = "efficientnet_lite0-cpu-s0"
OPTIONS = PredictOptions()


@dataclass(frozen=True)
class KilledOnce:
    """Ends its worker at a file, the first time."""

    job: PredictJob
    name: str
    marker: Path
    device: str | None = "cpu"

    def load(self):
        predict = self.job.load()

        def predict_or_die(part):
            if self.name in [path.name for path in part.pictures] and not self.marker.exists():
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return predict(part)

        return predict_or_die


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


def plain(items, length, title):
    return items


def refuse(part, progress):
    raise AssertionError("every part was to be predicted on the cluster")


@pytest.mark.usefixtures("cluster")
def test_the_rows_are_those_of_one_machine_although_a_worker_dies(files, job, toy, tmp_path):
    folder, marker = PartsFolder(tmp_path / "parts", "key"), tmp_path / "killed"
    predict_parts_on_ray(files, folder, KilledOnce(job, "2.png", marker), plain, workers=2)
    assert marker.exists()
    joined = predict_in_parts(files, refuse, folder, plain)
    predictor = Predictor(toy.benchmark, torch.device("cpu"))
    whole = predict_part(files, predictor, [NETWORK], None, plain, OPTIONS)
    pd.testing.assert_frame_equal(joined.table, whole.table, check_dtype=False, rtol=1e-5)
    assert (joined.pictures, joined.skipped) == (7, whole.skipped)


def test_a_worker_that_cannot_see_the_files_says_so(files, job):
    predict = job.load()
    for path in files.pictures:
        path.unlink()
    with pytest.raises(DataError, match=r"cannot see .*mine"):
        predict(files)
