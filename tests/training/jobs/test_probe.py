"""Probing runs: what is written, and that it continues."""

import numpy as np
import pytest
import torch

from fer_core.data.image_changes import IMAGE_CHANGES
from fer_core.data.probe_pictures import ProbePictures
from fer_core.data.progress import silent
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.probes import read_probes
from fer_core.evaluation.real_changes import read_real_changes
from fer_core.synthetic.probe_design import attribute_faces
from tests.support.retraining import retrain_while_predicting
from training.jobs.probe import PreparedProbe, probe_run
from training.jobs.saved_predictions import SavedPredictions

CPU = torch.device("cpu")
BLOCKS = ("base", "mirror", "glasses")


@pytest.fixture(autouse=True)
def few_noisy_pictures(monkeypatch):
    """Puts noise in the drawn faces' place: drawing is tested elsewhere."""
    monkeypatch.setattr(ProbePictures, "blocks", property(lambda self: BLOCKS))
    monkeypatch.setattr(ProbePictures, "faces", lambda self, name: attribute_faces(name)[:12])

    def noise(self, name):
        random = np.random.default_rng(BLOCKS.index(name))
        return random.integers(0, 256, (12, 48, 48), dtype=np.uint8)

    monkeypatch.setattr(ProbePictures, "images", noise)


@pytest.fixture
def predicted(monkeypatch):
    """Counts the sets of pictures that are predicted."""
    calls = []
    original = SavedPredictions._predict

    def counted(*values):
        calls.append(1)
        return original(*values)

    monkeypatch.setattr(SavedPredictions, "_predict", counted)
    return calls


def test_runs_are_probed_once_and_an_ensemble_takes_its_members_answers(
    benchmark_copy, toy, predicted
):
    probe = PreparedProbe.prepare(benchmark_copy, toy.dataset, 6, 0)
    info = benchmark_copy.run("pair-cpu").info()
    sets = 3 + 1 + len(IMAGE_CHANGES)
    assert probe.size == 36 + 6 * (1 + len(IMAGE_CHANGES))
    for name in info.members:
        assert probe_run(benchmark_copy.run(name), probe, CPU, silent)
        assert not probe_run(benchmark_copy.run(name), probe, CPU, silent)
    assert len(predicted) == sets * len(info.members)
    assert probe_run(benchmark_copy.run("pair-cpu"), probe, CPU, silent)
    assert len(predicted) == sets * len(info.members)
    tables = {}
    for run in (benchmark_copy.run(name) for name in (*info.members, "pair-cpu")):
        created = run.info().created
        tables[run.run_id] = read_probes(run.probes_path, toy.dataset.labels, created)
        changes = read_real_changes(run.real_changes_path)
        assert list(changes["change"]) == list(IMAGE_CHANGES)
        assert set(changes["images"]) == {6}
    mean = np.mean([tables[name].probabilities for name in info.members], axis=0)
    np.testing.assert_allclose(tables["pair-cpu"].probabilities, mean, atol=0.002)


def test_without_the_data_set_only_drawn_faces_are_probed(benchmark_copy):
    run = benchmark_copy.run("resnet34-cpu-s0")
    probe = PreparedProbe.prepare(benchmark_copy, None, 6, 0)
    assert probe_run(run, probe, CPU, silent)
    assert not run.real_changes_path.exists()
    assert not probe_run(run, probe, CPU, silent)


def test_an_interrupted_probe_continues(benchmark_copy, predicted):
    run = benchmark_copy.run("resnet34-cpu-s0")
    probe = PreparedProbe.prepare(benchmark_copy, None, 0, 0)

    def interrupted(items, length, title):
        for index, item in enumerate(items):
            if index == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        probe_run(run, probe, CPU, interrupted)
    assert not run.probes_path.exists()
    assert len(predicted) == 2
    assert probe_run(run, probe, CPU, silent)
    assert len(predicted) == 3
    assert probe_run(run, probe, CPU, silent, again=True)
    assert len(predicted) == 6


def test_another_split_and_a_run_without_a_model_are_refused(benchmark_copy, toy):
    info = benchmark_copy.info()
    info.model_copy(update={"split_hash": "other"}).write(benchmark_copy.info_path)
    with pytest.raises(DataError, match="another split"):
        PreparedProbe.prepare(benchmark_copy, toy.dataset, 6, 0)
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.info().model_copy(update={"kind": "imported"}).write(run.info_path)
    with pytest.raises(ArtifactError, match="cannot be measured"):
        probe_run(run, PreparedProbe.prepare(benchmark_copy, None, 0, 0), CPU, silent)


def test_a_run_that_is_retrained_meanwhile_is_not_probed(benchmark_copy, monkeypatch):
    run = benchmark_copy.run("resnet34-cpu-s0")
    retrain_while_predicting(run, monkeypatch)
    probe = PreparedProbe.prepare(benchmark_copy, None, 0, 0)
    with pytest.raises(ArtifactError, match="was retrained during"):
        probe_run(run, probe, CPU, silent)
    assert not run.probes_path.exists()
