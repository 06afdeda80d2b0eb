"""The predictor: networks and ensembles answer, share memory, and stay safe among threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from fer_core.artifacts import ArtifactStore
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine.networks import load_network
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError, DataError, WeightsError
from fer_core.explain.saliency import ExplainError, Target
from fer_core.predictor import MAP_SIDE, Predictor
from tests.builders import drawn_face

RUNS = ("efficientnet_lite0-cpu-s0", "efficientnet_lite0-cpu-s1", "resnet34-cpu-s0", "pair-cpu")


@pytest.fixture(scope="module")
def predictor(toy):
    return Predictor(toy.benchmark, torch.device("cpu"))


@pytest.mark.parametrize("run_id", RUNS)
def test_every_run_answers_with_a_distribution_and_a_map(predictor, run_id):
    answer = predictor.answer(drawn_face(), run_id)
    assert answer.probabilities.shape == (7,)
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.saliency.shape == (MAP_SIDE, MAP_SIDE)
    assert answer.top == answer.labels.names[answer.probabilities.argmax()]


def test_a_stored_image_gets_the_answer_that_evaluation_gave(predictor, toy):
    """Training, evaluation and dashboard go through one preprocessing."""
    image = np.asarray(toy.dataset.images[5])
    network = load_network(toy.benchmark.run(RUNS[0]), toy.dataset.format)
    logits = predict_logits(
        network.model, toy.dataset.images, network.preprocessing, rows=np.array([5])
    )
    expected = torch.softmax(logits[0].double(), 0).numpy()
    answer = predictor.answer(image, RUNS[0])
    np.testing.assert_allclose(answer.probabilities, expected, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members(predictor):
    face = drawn_face()
    members = [predictor.answer(face, run_id).probabilities for run_id in (RUNS[0], RUNS[2])]
    answer = predictor.answer(face, "pair-cpu")
    np.testing.assert_allclose(answer.probabilities, np.mean(members, axis=0))


def test_the_explained_class_can_be_chosen(predictor):
    happy = predictor.answer(drawn_face(), RUNS[0], "happy").saliency
    sad = predictor.answer(drawn_face(), RUNS[0], "sad").saliency
    assert not np.allclose(happy, sad)
    with pytest.raises(DataError, match="Unknown label 'bored'"):
        predictor.answer(drawn_face(), RUNS[0], "bored")


def test_answers_do_not_depend_on_other_threads(predictor):
    faces = [drawn_face(side) for side in (100, 140, 180, 220)]
    alone = [predictor.answer(face, "pair-cpu") for face in faces]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda face: predictor.answer(face, "pair-cpu"), faces * 2))
    for index, answer in enumerate(together):
        np.testing.assert_allclose(answer.probabilities, alone[index % 4].probabilities)
        np.testing.assert_allclose(answer.saliency, alone[index % 4].saliency)


def test_memory_is_bounded(toy):
    small = Predictor(toy.benchmark, torch.device("cpu"), capacity=1)
    for run_id in RUNS[:3]:
        small.answer(drawn_face(), run_id)
    assert list(small._slots) == [RUNS[2]]


def test_unknown_and_unsafe_runs_are_refused(predictor):
    with pytest.raises(ArtifactError, match=r"run\.json is missing"):
        predictor.answer(drawn_face(), "nothing")
    with pytest.raises(ArtifactError, match="no valid run name"):
        predictor.answer(drawn_face(), "../../etc")


def test_another_preprocessing_is_refused(toy, monkeypatch):
    monkeypatch.setattr(Preprocessing, "hash", "another")
    with pytest.raises(ArtifactError, match="other input preprocessing"):
        load_network(toy.benchmark.run(RUNS[0]), SampleFormat(48, False))


def test_damaged_weights_do_not_answer(toy, tmp_path):
    import shutil

    shutil.copytree(toy.artifacts, tmp_path / "a")
    benchmark = ArtifactStore(tmp_path / "a").benchmark("toy")
    weights = benchmark.run(RUNS[1]).weights_path
    weights.write_bytes(weights.read_bytes()[:5000])
    predictor = Predictor(benchmark, torch.device("cpu"))
    with pytest.raises(WeightsError, match="damaged"):
        predictor.answer(drawn_face(), RUNS[1])
    assert predictor.answer(drawn_face(), RUNS[0]).probabilities.sum() == pytest.approx(1)


def test_threads_that_explain_one_model_get_the_maps_of_one_thread(predictor):
    """Hooks and gradients are the model's; the lock keeps each question to itself."""
    asked = [("grad_cam", 0), ("layer_cam", 3), ("integrated_gradients", 1), ("ablation_cam", 2)]
    face = predictor.format.convert(drawn_face())

    def explain(question):
        method, of = question
        return predictor.explain(face, RUNS[0], method, Target(of)).values

    alone = [explain(question) for question in asked]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(explain, asked * 2))
    for index, values in enumerate(together):
        np.testing.assert_allclose(values, alone[index % 4], rtol=1e-4, atol=1e-6)


def test_an_ensemble_is_explained_by_its_members_or_by_its_answers(predictor):
    face = predictor.format.convert(drawn_face())
    inside = predictor.explain(face, "pair-cpu", "hires_cam", Target(2))
    members = [
        predictor.explain(face, run_id, "hires_cam", Target(2)).values
        for run_id in (RUNS[0], RUNS[2])
    ]
    peaks = [values / np.abs(values).max() for values in members]
    corner = np.mean([values[0, 0] for values in peaks])
    assert inside.values.shape == (MAP_SIDE, MAP_SIDE)
    assert inside.values[0, 0] == pytest.approx(corner, rel=1e-3, abs=1e-5)
    answer = predictor.answer(face, "pair-cpu")
    np.testing.assert_allclose(np.exp(inside.logits), answer.probabilities, rtol=1e-4)
    asked = predictor.explain(face, "pair-cpu", "occlusion", Target(2, against=0))
    assert asked.values.shape == (48, 48)
    assert asked.target == Target(2, against=0)


def test_a_borrowed_ensemble_answers_as_predictions_are_averaged(predictor, toy):
    stored = np.asarray(toy.dataset.images[:3])
    with predictor.borrow("pair-cpu") as subject, torch.no_grad():
        mixed = subject.model(subject.prepare(stored)).exp().numpy()
    for row, image in zip(mixed, stored, strict=True):
        np.testing.assert_allclose(
            row, predictor.answer(image, "pair-cpu").probabilities, rtol=1e-4
        )


def test_a_method_that_suits_no_member_is_refused(predictor):
    face = predictor.format.convert(drawn_face())
    with pytest.raises(ExplainError, match="suits no member"):
        predictor.explain(face, "pair-cpu", "chefer")
    with pytest.raises(ExplainError, match="does not suit"):
        predictor.explain(face, RUNS[0], "chefer")
