"""The predictor: networks and ensembles answer, share memory, and stay safe among threads."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from fer_core.artifacts import ArtifactStore
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine import networks
from fer_core.engine.networks import load_network
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError, DataError, WeightsError
from fer_core.evaluation.calibration import fit_temperature, scale_confidence
from fer_core.evaluation.few_labels.set_adjustment import Fitted, SetAdjustment
from fer_core.evaluation.operating_points import adjusted_point
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.report import Estimate
from fer_core.explain import methods
from fer_core.explain.saliency import ExplainError, Target
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.predictor import MAP_SIDE, Backend, Prediction, Predictor, decide
from fer_core.predictor import predictor as module
from tests.support.builders import drawn_face
from training.jobs.import_export import ImportOptions, export_run, import_onnx

RUNS = ("efficientnet_lite0-cpu-s0", "efficientnet_lite0-cpu-s1", "resnet34-cpu-s0", "pair-cpu")


@pytest.fixture(scope="module")
def predictor(toy):
    return Predictor(toy.benchmark, torch.device("cpu"))


@pytest.fixture(scope="module")
def exported(toy, tmp_path_factory):
    """The first run as ONNX; an export takes seconds."""
    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    export_run(toy.benchmark.run(RUNS[0]), toy.dataset.format, path, toy.dataset)
    return path


@pytest.mark.parametrize("run_id", RUNS)
def test_every_run_predicts_a_distribution_and_a_map(predictor, run_id):
    answer = predictor.predict_and_explain(drawn_face(), run_id)
    assert answer.probabilities.shape == (7,)
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.saliency.shape == (MAP_SIDE, MAP_SIDE)
    assert answer.top == answer.labels.names[answer.probabilities.argmax()]


def test_occlusion_uses_the_onnx_copy_and_does_not_load_the_network(
    benchmark_copy, exported, monkeypatch
):
    shutil.copy(exported, benchmark_copy.run(RUNS[0]).onnx_path)
    cpu = torch.device("cpu")
    by_network = Predictor(benchmark_copy, cpu, use_onnx=False)
    expected = by_network.explain(drawn_face(), RUNS[0], "occlusion")
    predictor = Predictor(benchmark_copy, cpu)

    def fail(*arguments):
        raise AssertionError("The network was loaded.")

    with monkeypatch.context() as patched:
        patched.setattr(networks, "load_network", fail)
        found = predictor.explain(drawn_face(), RUNS[0], "occlusion")
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)
    assert predictor.explain(drawn_face(), RUNS[0], "grad_cam").values.any()  # loads the network


@pytest.mark.parametrize("run_id", ["resnet34-cpu-s0", "pair-cpu"])
def test_the_time_of_an_answer_is_without_loading(toy, monkeypatch, run_id):
    def slowly(*arguments):
        clock.append(100.0)  # seconds, without waiting for them
        return load(*arguments)

    clock, load, perf_counter = [], networks.load_network, time.perf_counter
    monkeypatch.setattr(networks, "load_network", slowly)
    monkeypatch.setattr(module.time, "perf_counter", lambda: perf_counter() + sum(clock))
    answer = Predictor(toy.benchmark, torch.device("cpu")).predict_and_explain(drawn_face(), run_id)
    assert len(clock) == len(toy.benchmark.run(run_id).info().members or (run_id,))
    assert answer.seconds < 100


def test_a_stored_image_has_the_prediction_of_the_evaluation(predictor, toy):
    """Training, evaluation and dashboard go through one preprocessing."""
    image = np.asarray(toy.dataset.images[5])
    network = load_network(toy.benchmark.run(RUNS[0]), toy.dataset.format)
    logits = predict_logits(
        network.model, toy.dataset.images, network.preprocessing, rows=np.array([5])
    )
    expected = torch.softmax(logits[0].double(), 0).numpy()
    answer = predictor.predict_and_explain(image, RUNS[0])
    np.testing.assert_allclose(answer.probabilities, expected, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members(predictor):
    face = drawn_face()
    members = [
        predictor.predict_and_explain(face, run_id).probabilities for run_id in (RUNS[0], RUNS[2])
    ]
    answer = predictor.predict_and_explain(face, "pair-cpu")
    # Each ask runs the members anew, so that float32 sums may differ in their last bit.
    np.testing.assert_allclose(answer.probabilities, np.mean(members, axis=0), atol=1e-6)


def test_the_explained_class_can_be_chosen(predictor):
    happy = predictor.predict_and_explain(drawn_face(), RUNS[0], "happy").saliency
    sad = predictor.predict_and_explain(drawn_face(), RUNS[0], "sad").saliency
    assert not np.allclose(happy, sad)
    with pytest.raises(DataError, match="Unknown label 'bored'"):
        predictor.predict_and_explain(drawn_face(), RUNS[0], "bored")


@pytest.mark.parametrize("run_id", [RUNS[0], "pair-cpu"])
def test_the_class_after_the_prior_shift_of_an_operating_point_is_explained(toy, run_id):
    obeying = Predictor(toy.benchmark, torch.device("cpu"))
    face = drawn_face()
    before = obeying.predict_and_explain(face, run_id)
    last = before.probabilities.argmin()  # the shift makes it the most probable class
    shift = tuple(20.0 * (np.arange(7) == last))
    one = Estimate(value=1.0, low=0.5, high=2.0)
    run = toy.benchmark.run(run_id)
    splits = Predictions.read(run.predictions_path, SEVEN_EMOTIONS)
    adjustment = SetAdjustment(
        set_name="mine", labels=60, fitted=Fitted.PRIORS, temperature=one, shares=(one,) * 7,
        logit_shift=shift, gain=Estimate(value=0.1, low=0.05, high=0.15),
    )  # fmt: skip
    both = (splits.split("validation"), splits.split("test"))
    obeying.obey(adjusted_point("toy", run.info(), both, adjustment))
    after = obeying.predict_and_explain(face, run_id)
    assert before.explained == before.top
    assert after.explained == after.top == SEVEN_EMOTIONS.names[last]
    assert obeying.explain(face, run_id).target == Target(int(last))
    assert obeying.predict_and_explain(face, run_id, "sad").explained == "sad"


def test_predictions_do_not_depend_on_other_threads(predictor, toy):
    faces = [drawn_face(side) for side in (100, 140, 180, 220)]
    shared = Predictor(toy.benchmark, torch.device("cpu"))  # remembers nothing yet
    with ThreadPoolExecutor(8) as threads:
        together = list(
            threads.map(lambda face: shared.predict_and_explain(face, "pair-cpu"), faces * 2)
        )
    alone = [predictor.predict_and_explain(face, "pair-cpu") for face in faces]
    for index, answer in enumerate(together):
        np.testing.assert_allclose(answer.probabilities, alone[index % 4].probabilities)
        np.testing.assert_allclose(answer.saliency, alone[index % 4].saliency)


def test_loaded_models_are_bounded(toy):
    small = Predictor(toy.benchmark, torch.device("cpu"), capacity=1)
    for run_id in RUNS[:3]:
        small.predict_and_explain(drawn_face(), run_id)
    assert small._slots.keys() == [RUNS[2]]


def test_unknown_and_unsafe_runs_are_refused(predictor):
    with pytest.raises(ArtifactError, match=r"run\.json is missing"):
        predictor.predict_and_explain(drawn_face(), "nothing")
    with pytest.raises(ArtifactError, match="not a valid run name"):
        predictor.predict_and_explain(drawn_face(), "../../etc")


def test_another_preprocessing_is_refused(toy, monkeypatch):
    monkeypatch.setattr(Preprocessing, "hash", "another")
    with pytest.raises(ArtifactError, match="different preprocessing"):
        load_network(toy.benchmark.run(RUNS[0]), SampleFormat(48, False))


def test_damaged_weights_are_refused(artifacts_copy):
    benchmark = ArtifactStore(artifacts_copy).benchmark("toy")
    weights = benchmark.run(RUNS[1]).weights_path
    weights.write_bytes(weights.read_bytes()[:5000])
    predictor = Predictor(benchmark, torch.device("cpu"))
    with pytest.raises(WeightsError, match="damaged"):
        predictor.predict_and_explain(drawn_face(), RUNS[1])
    assert predictor.predict_and_explain(
        drawn_face(), RUNS[0]
    ).probabilities.sum() == pytest.approx(1)


def test_concurrent_explanations_equal_sequential_ones(predictor, toy):
    """Hooks and gradients are the model's; the lock keeps each question to itself."""
    requests = [("grad_cam", 0), ("layer_cam", 3), ("integrated_gradients", 1), ("ablation_cam", 2)]
    face = predictor.format.convert(drawn_face())

    def explain(asker, question):
        method, of = question
        return asker.explain(face, RUNS[0], method, Target(of)).values

    shared = Predictor(toy.benchmark, torch.device("cpu"))  # remembers nothing yet
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda question: explain(shared, question), requests * 2))
    alone = [explain(predictor, question) for question in requests]
    for index, values in enumerate(together):
        np.testing.assert_allclose(values, alone[index % 4], rtol=1e-4, atol=1e-6)


def test_concurrent_attention_maps_equal_sequential_ones(tmp_path):
    from tests.support.builders import toy_benchmark, toy_run

    small = toy_benchmark(tmp_path, runs=0)
    run = toy_run(small.benchmark, small.dataset, 0, "tiny_vit", "tiny_vit").run_id
    requests = [("chefer", 0), ("attention", 3), ("chefer", 1), ("grad_rollout", 2), ("rollout", 0)]
    face = Predictor(small.benchmark, torch.device("cpu")).format.convert(drawn_face())

    def explain(asker, question):
        method, of = question
        return asker.explain(face, run, method, Target(of)).values

    shared = Predictor(small.benchmark, torch.device("cpu"))
    with ThreadPoolExecutor(5) as threads:
        together = list(threads.map(lambda question: explain(shared, question), requests * 3))
    one = Predictor(small.benchmark, torch.device("cpu"))
    alone = [explain(one, question) for question in requests]
    for index, values in enumerate(together):
        np.testing.assert_allclose(values, alone[index % len(requests)], rtol=1e-4, atol=1e-6)


def test_an_ensemble_is_explained_by_its_members_or_by_perturbation(predictor):
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
    answer = predictor.predict_and_explain(face, "pair-cpu")
    np.testing.assert_allclose(np.exp(inside.logits), answer.probabilities, rtol=1e-4)
    requests = predictor.explain(face, "pair-cpu", "occlusion", Target(2, against=0))
    assert requests.values.shape == (48, 48)
    assert requests.target == Target(2, against=0)


def test_a_borrowed_ensemble_averages_its_members(predictor, toy):
    stored = np.asarray(toy.dataset.images[:3])
    with predictor.borrow("pair-cpu") as subject, torch.no_grad():
        mixed = subject.model(subject.prepare(stored)).exp().numpy()
    for row, image in zip(mixed, stored, strict=True):
        np.testing.assert_allclose(
            row, predictor.predict_and_explain(image, "pair-cpu").probabilities, rtol=1e-4
        )


def test_a_method_that_no_member_supports_is_refused(predictor):
    face = predictor.format.convert(drawn_face())
    with pytest.raises(ExplainError, match="does not support any member"):
        predictor.explain(face, "pair-cpu", "chefer")
    with pytest.raises(ExplainError, match="does not support"):
        predictor.explain(face, RUNS[0], "chefer")


def test_a_batch_equals_its_single_faces(predictor):
    faces = [drawn_face(side) for side in (100, 140, 180)]
    predicted = predictor.predict(faces, RUNS, batch_size=2)
    assert [prediction.run_id for prediction in predicted] == list(RUNS)
    for prediction in predicted:
        assert prediction.probabilities.shape == (3, 7)
        for row, face in zip(prediction.probabilities, faces, strict=True):
            alone = predictor.predict_and_explain(face, prediction.run_id).probabilities
            np.testing.assert_allclose(row, alone, atol=1e-5)
    assert [prediction.backend for prediction in predicted] == [
        *[Backend.TORCH] * 3,
        Backend.MEMBERS,
    ]


def test_each_network_runs_once_for_all_faces_and_ensembles(predictor, monkeypatch):
    requests = []
    one = Predictor._predict_one
    monkeypatch.setattr(
        Predictor,
        "_predict_one",
        lambda self, stored, run_id, size: (
            requests.append((run_id, len(stored))) or one(self, stored, run_id, size)
        ),
    )
    predictor.predict([drawn_face()] * 3, RUNS)
    assert sorted(requests) == [(run_id, 3) for run_id in sorted(RUNS[:3])]


@pytest.mark.parametrize("run_id", [RUNS[0], "pair-cpu"])
def test_the_temperature_is_fitted_on_validation(predictor, toy, run_id):
    path = toy.benchmark.run(run_id).predictions_path
    expected = fit_temperature(Predictions.read(path, SEVEN_EMOTIONS).split("validation"))
    (prediction,) = predictor.predict([drawn_face()], [run_id])
    assert prediction.temperature == pytest.approx(expected)
    np.testing.assert_allclose(
        prediction.calibrated, scale_confidence(prediction.probabilities, expected)
    )
    assert predictor.predict_and_explain(drawn_face(), run_id).temperature == prediction.temperature


def test_a_run_without_validation_predictions_is_uncalibrated(benchmark_copy):
    benchmark_copy.run(RUNS[0]).predictions_path.unlink()
    (prediction,) = Predictor(benchmark_copy, torch.device("cpu")).predict(
        [drawn_face()], [RUNS[0]]
    )
    assert prediction.temperature is None
    np.testing.assert_array_equal(prediction.calibrated, prediction.probabilities)


def test_a_prediction_below_the_threshold_is_unsure():
    probabilities = np.array([0.1, 0.1, 0.1, 0.55, 0.05, 0.05, 0.05])
    assert decide(probabilities, SEVEN_EMOTIONS, 0.55) == "happy"
    assert decide(probabilities, SEVEN_EMOTIONS, 0.56) is None
    assert decide(probabilities, SEVEN_EMOTIONS, 0.0) == "happy"


def test_an_onnx_export_replaces_the_network(benchmark_copy, exported):
    shutil.copy(exported, benchmark_copy.run(RUNS[0]).onnx_path)
    faces = [drawn_face(side) for side in (100, 150)]
    (copy,) = Predictor(benchmark_copy, torch.device("cpu")).predict(faces, [RUNS[0]])
    (network,) = Predictor(benchmark_copy, torch.device("cpu"), use_onnx=False).predict(
        faces, [RUNS[0]]
    )
    assert (copy.backend, network.backend) == (Backend.ONNX, Backend.TORCH)
    np.testing.assert_allclose(copy.probabilities, network.probabilities, atol=1e-4)


@pytest.mark.parametrize("trouble", ["damaged", "of other weights"])
def test_a_stale_onnx_export_is_not_used(benchmark_copy, exported, trouble):
    run = benchmark_copy.run(RUNS[1])
    if trouble == "damaged":
        run.onnx_path.write_bytes(b"no network")
    else:
        shutil.copy(exported, run.onnx_path)
    (predicted,) = Predictor(benchmark_copy, torch.device("cpu")).predict(
        [drawn_face()], [run.run_id]
    )
    assert predicted.backend is Backend.TORCH


def test_an_imported_network_predicts_and_is_explained_by_perturbation(
    benchmark_copy, toy, exported
):
    import_onnx(
        exported, toy.dataset, benchmark_copy.run("theirs"), options=ImportOptions("Theirs")
    )
    predictor = Predictor(benchmark_copy, torch.device("cpu"))
    assert "theirs" in [info.run_id for info in predictor.runs()]
    imported, network = predictor.predict([drawn_face()], ["theirs", RUNS[0]])
    np.testing.assert_allclose(imported.probabilities, network.probabilities, atol=1e-4)
    answer = predictor.predict_and_explain(drawn_face(), "theirs", "sad")
    assert (answer.explained, answer.method) == ("sad", "Occlusion")
    with pytest.raises(
        ExplainError, match="does not support a model without access to its network"
    ):
        predictor.explain(drawn_face(), "theirs", "hires_cam")


def test_an_ensemble_averages_the_maps_of_its_members(toy, monkeypatch):
    predictor = Predictor(toy.benchmark, torch.device("cpu"))
    made = []
    real = methods.explain
    monkeypatch.setattr(methods, "explain", lambda *predicted: made.append(1) or real(*predicted))
    face = predictor.format.convert(drawn_face())
    for run_id in (RUNS[0], RUNS[2]):
        predictor.predict_and_explain(face, run_id, "fear")
    assert len(made) == 2
    predictor.predict_and_explain(face, "pair-cpu", "fear")
    assert len(made) == 2
    alone = predictor.predict_and_explain(face, RUNS[0])
    predictor.predict_and_explain(face, RUNS[0], alone.top)  # the same question in other words
    assert len(made) == 3


def test_a_damaged_run_does_not_affect_the_others(benchmark_copy):
    weights = benchmark_copy.run(RUNS[2]).weights_path
    weights.write_bytes(weights.read_bytes()[:5000])
    predictor = Predictor(benchmark_copy, torch.device("cpu"))
    predicted = predictor.try_predict([drawn_face()], [*RUNS, "../../etc"])
    assert [isinstance(predicted[name], Prediction) for name in RUNS] == [True, True, False, False]
    assert isinstance(predicted["pair-cpu"], WeightsError)
    assert isinstance(predicted["../../etc"], ArtifactError)
    with pytest.raises(WeightsError, match="damaged"):
        predictor.predict([drawn_face()], RUNS)


@pytest.mark.parametrize(
    "face",
    [
        np.zeros((96, 96), np.uint8),
        np.zeros((96, 96, 3), np.uint8),
        np.zeros((96, 96, 4), np.uint8),
        Image.new("L", (96, 96)),
    ],
)
def test_one_face_that_is_not_in_a_list_is_refused(predictor, face):
    with pytest.raises(DataError, match=r"in place of a list of faces\. Pass \[face\]\."):
        predictor.predict(face, RUNS)
    assert predictor.predict([face], RUNS[:1])[0].probabilities.shape == (1, 7)


@pytest.mark.parametrize("faces", [[], np.zeros((0, 48, 48), np.uint8)])
def test_no_face_is_refused(predictor, faces):
    with pytest.raises(DataError, match=r"There is no face to predict\. Pass at least one\."):
        predictor.predict(faces, RUNS)


@pytest.mark.parametrize("face", [np.zeros(96, np.uint8), np.zeros((96, 96)), "face.png"])
def test_a_face_of_another_kind_is_refused_for_all_runs(predictor, face):
    with pytest.raises(DataError, match="A face"):
        predictor.predict([drawn_face(), face], RUNS)
    with pytest.raises(DataError, match="A face"):
        predictor.predict_and_explain(face, RUNS[0])


def test_stored_images_in_one_array_are_several_faces(predictor, toy):
    stored = np.asarray(toy.dataset.images[:3])
    together, alone = (predictor.predict(faces, RUNS[:1])[0] for faces in (stored, list(stored)))
    assert together.probabilities.shape == (3, 7)
    np.testing.assert_array_equal(together.probabilities, alone.probabilities)


def test_one_run_may_be_named_without_a_list(predictor):
    (named,) = predictor.predict([drawn_face()], RUNS[0])
    assert named.run_id == RUNS[0]
    assert list(predictor.try_predict([drawn_face()], "pair-cpu")) == ["pair-cpu"]


def test_repeated_runs_keep_their_places(predictor):
    order = [RUNS[2], "pair-cpu", RUNS[0], RUNS[2], "pair-cpu"]
    predicted = predictor.predict([drawn_face()], order)
    assert [prediction.run_id for prediction in predicted] == order
    np.testing.assert_array_equal(predicted[0].probabilities, predicted[3].probabilities)


@pytest.mark.parametrize("capacity", [0, -1])
def test_no_model_in_memory_is_refused(toy, capacity):
    with pytest.raises(DataError, match=rf"The capacity is {capacity}. Pass at least 1"):
        Predictor(toy.benchmark, torch.device("cpu"), capacity=capacity)
