"""After training, validation chooses how far class frequencies speak: in the classifier's bias."""

import numpy as np
import pytest
import torch

from fer_core.config import EnsembleRecipe
from fer_core.engine.networks import load_network
from fer_core.engine.predict import predict_logits
from fer_core.errors import RecipeError
from fer_core.evaluation import prior_shift
from fer_core.evaluation.predictions import Predictions
from fer_core.models.checkpoint import load_tensors
from fer_core.predictor import Predictor
from tests.support.builders import toy_benchmark, toy_recipe
from training.jobs import ensembles
from training.jobs import train as train_job
from training.jobs.ensembles import build_ensemble, evaluate_ensemble, refresh_ensembles
from training.jobs.train import TrainOptions, train_network
from training.terminal.progress import TrainingBar


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("toy"), runs=0)


def train(toy, name, model=None, **loss):
    model = model or {"architecture": "tiny_cnn"}
    recipe = toy_recipe(name, model=model, loss={"logit_adjustment": 0.5, **loss})
    return train_network(
        recipe, toy.dataset, toy.benchmark, TrainingBar(visible=False), TrainOptions(device="cpu")
    )


def test_the_chosen_prior_shift_changes_only_the_bias(toy, monkeypatch):
    logarithms = np.log(np.arange(1, 8) / 28)
    monkeypatch.setattr(train_job, "choose_prior_shift", lambda *_: 0.35)
    monkeypatch.setattr(train_job, "log_frequencies", lambda _: logarithms)
    settled, fixed = train(toy, "settled"), train(toy, "fixed", prior="fixed")
    assert (settled.info().prior_shift, fixed.info().prior_shift) == (0.35, 0.0)
    first, second = (load_tensors(run.weights_path)[0] for run in (settled, fixed))
    changed = [key for key in first if not np.array_equal(first[key].numpy(), second[key].numpy())]
    assert len(changed) == 1
    moved = first[changed[0]].numpy() - second[changed[0]].numpy()
    np.testing.assert_allclose(moved, 0.35 * logarithms, rtol=1e-5)

    # the saved predictions are those of the saved weights
    network = load_network(settled, toy.dataset.format)
    rows = toy.dataset.rows("test")
    logits = predict_logits(network.model, toy.dataset.images, network.preprocessing, rows=rows)
    saved = Predictions.read(settled.predictions_path, toy.dataset.labels).split("test")
    np.testing.assert_allclose(logits.double().softmax(1).numpy(), saved.probabilities, atol=1e-6)


def test_every_classifier_of_a_network_gets_the_prior_shift(toy, monkeypatch):
    logarithms = np.log(np.arange(1, 8) / 28)
    monkeypatch.setattr(train_job, "choose_prior_shift", lambda *_: 0.35)
    monkeypatch.setattr(train_job, "log_frequencies", lambda _: logarithms)
    model = {"architecture": "tiny_two_heads"}  # a convolution and a linear layer
    settled, fixed = train(toy, "both", model), train(toy, "none", model, prior="fixed")
    first, second = (load_tensors(run.weights_path)[0] for run in (settled, fixed))
    moved = {key: (first[key] - second[key]).numpy() for key in first}
    moved = {key: value for key, value in moved.items() if value.any()}
    assert set(moved) == {"head.bias", "head_dist.bias"}
    for value in moved.values():
        np.testing.assert_allclose(value, 0.35 * logarithms, rtol=1e-5)


def test_a_network_that_cannot_be_shifted_is_refused_before_the_training(toy):
    recipe = toy_recipe("fire", model={"architecture": "torchvision:squeezenet1_1"})
    with pytest.raises(RecipeError, match=r"squeezenet1_1 .*Set loss\.prior=fixed"):
        train_network(
            recipe,
            toy.dataset,
            toy.benchmark,
            TrainingBar(visible=False),
            TrainOptions(device="cpu"),
        )
    assert not toy.benchmark.run(recipe.run_id).under_way.state_dir.exists()


def test_the_prior_shift_is_chosen_on_validation(toy, monkeypatch):
    seen = []

    def noting(probabilities, truth, logarithms, least_macro_recall):
        seen.append((probabilities.shape, truth.tolist(), logarithms, least_macro_recall))
        return prior_shift.choose_prior_shift(probabilities, truth, logarithms, least_macro_recall)

    monkeypatch.setattr(train_job, "choose_prior_shift", noting)
    train(toy, "noted", least_macro_recall=0.1)
    ((shape, truth, logarithms, least),) = seen
    assert least == 0.1
    rows = toy.dataset.rows("validation")
    assert shape == (len(rows), 7)
    assert truth == toy.dataset.targets(rows).tolist()
    counts = [toy.dataset.info.counts["train"][name] for name in toy.dataset.labels.names]
    np.testing.assert_allclose(logarithms, np.log(np.array(counts) / sum(counts)))


def test_an_ensemble_applies_its_logit_shift_everywhere(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path)
    logarithms = np.log(np.arange(1, 8) / 28)
    required = []
    monkeypatch.setattr(
        ensembles, "choose_prior_shift", lambda *values: (required.append(values[3]), -0.3)[1]
    )
    monkeypatch.setattr(ensembles, "log_frequencies", lambda _: logarithms)
    names = ("efficientnet_lite0", "resnet34")
    recipe = EnsembleRecipe(
        kind="ensemble", name="both", profile="cpu", members=names, least_macro_recall=0.76
    )
    run = build_ensemble(recipe, toy.benchmark)
    assert required == [0.76]
    info = run.info()
    assert info.prior_shift == -0.3
    np.testing.assert_allclose(info.logit_shift, -0.3 * logarithms, atol=1e-6)

    def expected(mean):
        weighted = mean * np.exp(-0.3 * logarithms)
        return weighted / weighted.sum(axis=-1, keepdims=True)

    labels = toy.dataset.labels
    saved = [
        Predictions.read(toy.benchmark.run(name).predictions_path, labels).split("test")
        for name in (*info.members, run.run_id)
    ]
    mean = (saved[0].probabilities + saved[1].probabilities) / 2
    np.testing.assert_allclose(saved[2].probabilities, expected(mean), atol=1e-6)

    predictor = Predictor(toy.benchmark)
    faces = np.asarray(toy.dataset.images[:3])
    first, second, both = predictor.predict(list(faces), [*info.members, run.run_id])
    answer = expected((first.probabilities + second.probabilities) / 2)
    np.testing.assert_allclose(both.probabilities, answer, atol=1e-6)
    with predictor.borrow(run.run_id) as subject, torch.inference_mode():
        logits = subject.model(subject.prepare(faces))
    np.testing.assert_allclose(logits.double().softmax(1).numpy(), answer, atol=1e-5)


def test_an_ensemble_of_one_selected_member_is_evaluated_again(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path)
    monkeypatch.setattr(ensembles, "greedy_weights", lambda *_, **__: (0.0, 1.0))
    names = ("efficientnet_lite0", "resnet34")
    recipe = EnsembleRecipe(
        kind="ensemble", name="one", profile="cpu", members=names, method="greedy", prior="fixed"
    )
    run = build_ensemble(recipe, toy.benchmark)
    member = toy.benchmark.run("resnet34-cpu-s0")
    assert run.info().members == (member.run_id,)
    assert len(run.info().test_ledger) == 1
    evaluate_ensemble(run)
    assert run.run_id in {refreshed.run_id for refreshed in refresh_ensembles(member)}
    assert len(run.info().test_ledger) == 3
    labels = toy.dataset.labels
    first, second = (Predictions.read(item.predictions_path, labels) for item in (member, run))
    for split in ("validation", "test"):
        expected = first.split(split).probabilities
        np.testing.assert_allclose(second.split(split).probabilities, expected, atol=1e-6)
    faces = np.asarray(toy.dataset.images[:3])
    one, same = Predictor(toy.benchmark).predict(list(faces), [member.run_id, run.run_id])
    np.testing.assert_allclose(one.probabilities, same.probabilities, atol=1e-6)


def test_an_ensemble_may_be_the_plain_mean(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path)
    monkeypatch.setattr(ensembles, "choose_prior_shift", lambda *_: 0.5)
    names = ("efficientnet_lite0", "resnet34")
    recipe = EnsembleRecipe(
        kind="ensemble", name="both", profile="cpu", members=names, prior="fixed"
    )
    info = build_ensemble(recipe, toy.benchmark).info()
    assert (info.prior_shift, info.logit_shift) == (0.0, ())
