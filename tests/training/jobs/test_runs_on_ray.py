"""Commands with `--engine ray`: what workers compute equals what one machine computes.

The workers run in this process; `test_ray_engine.py` and `test_predict_on_ray.py` start a cluster.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.robustness import read_robustness
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.predictor import Predictor
from fer_core.tables import read_table
from tests.support.builders import toy_benchmark, toy_run
from training.jobs import measure, runs_on_ray, transfer_on_ray
from training.jobs.explain import explain_run, make_plan
from training.jobs.measure import SampledPictures, measure_robustness
from training.jobs.runs_on_ray import ExplainJob, RobustnessJob
from training.jobs.transfer import TransferOptions, transfer
from training.jobs.transfer_progress import TransferProgressFile

NETWORK, ENSEMBLE = "resnet34-cpu-s0", "pair-cpu"
CPU = torch.device("cpu")


def plain(items, length, title):
    return iter(items)


def in_process(seen: list):
    """Stands in for `map_on_ray`; the tasks come last first."""

    def compute(tasks, job, workers=None):
        function = job.load()
        for number in reversed(range(len(tasks))):
            seen.append(tasks[number])
            yield number, function(tasks[number])

    return compute


@pytest.fixture
def toy(tmp_path):
    return toy_benchmark(tmp_path)


def test_transfer_gives_the_predictions_of_the_benchmark(toy, monkeypatch):
    seen = []
    monkeypatch.setattr(transfer_on_ray, "map_on_ray", in_process(seen))
    monkeypatch.setattr("training.jobs.transfer.BATCH", 8)
    monkeypatch.setattr("training.jobs.transfer_reference.MEASURED_FACES", 2)
    (toy.benchmark.run("efficientnet_lite0-cpu-s1").weights_path).write_bytes(b"damaged")
    options = TransferOptions(name="mine", cropped=True, engine="ray")
    result = transfer(toy.benchmark, "toy", options, toy.data, TransferProgressFile())
    assert set(result.left_out) == {"efficientnet_lite0-cpu-s1"}
    assert len([rows for run_id, rows in seen if run_id == NETWORK]) == 3  # 21 faces
    stored = [np.asarray(toy.dataset.images[row]) for row in toy.dataset.rows("test")]
    (expected,) = Predictor(toy.benchmark, CPU).predict(stored, [NETWORK])
    path = result.benchmark.run(NETWORK).predictions_path
    written = Predictions.read(path, SEVEN_EMOTIONS).split("test")
    np.testing.assert_allclose(written.stored, expected.probabilities, atol=1e-5)


def test_robustness_of_networks_and_then_of_ensembles(toy, monkeypatch):
    seen = []
    monkeypatch.setattr(runs_on_ray, "map_on_ray", in_process(seen))
    few = (measure.CONDITIONS[0], ("blur", 1))
    monkeypatch.setattr(measure, "CONDITIONS", few)
    monkeypatch.setattr("fer_core.engine.robustness.CONDITIONS", few)
    damaged = toy.benchmark.run("efficientnet_lite0-cpu-s1")
    damaged.weights_path.write_bytes(b"damaged")
    runs = [toy.benchmark.run(name) for name in (ENSEMBLE, damaged.run_id, NETWORK)]
    job = RobustnessJob(toy.benchmark.root, toy.dataset.folder, images=8, seed=0, device="cpu")
    assert runs_on_ray.runs_on_ray(runs, job, plain) == {NETWORK: True, ENSEMBLE: True}
    assert seen == [NETWORK, damaged.run_id, ENSEMBLE]
    table = read_robustness(runs[2].robustness_path)
    pictures = SampledPictures.draw(toy.dataset, 8, seed=0)
    assert not measure_robustness(runs[2], toy.dataset, pictures, CPU, plain)  # not once more
    assert measure_robustness(runs[2], toy.dataset, pictures, CPU, plain, again=True)
    pd.testing.assert_frame_equal(read_robustness(runs[2].robustness_path), table)


def test_explain_writes_the_tables_of_one_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(runs_on_ray, "map_on_ray", in_process([]))
    toy = toy_benchmark(tmp_path, runs=0)
    toy_run(toy.benchmark, toy.dataset, 0, "tiny_cnn", architecture="tiny_cnn")
    run = toy.benchmark.run("tiny_cnn-cpu-s0")
    methods = ("random",)
    job = ExplainJob(
        toy.benchmark.root, toy.dataset.folder, 7, 1, seed=0, methods=methods, device="cpu"
    )
    (done,) = runs_on_ray.runs_on_ray([run], job, plain).values()
    assert set(done) == set(methods)
    table = read_table(run.faithfulness_path, ("id", "method"))
    predictor, plan = Predictor(toy.benchmark, CPU), make_plan(toy.dataset, 7, 1, 0)
    assert explain_run(predictor, run, plan, plain, methods) == []  # evaluated already
    explain_run(predictor, run, plan, plain, methods, overwrite=True)
    again = read_table(run.faithfulness_path, ("id", "method"))
    pd.testing.assert_frame_equal(again, table)
