"""Students learn from finished runs: asked at every step, or once before the training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.config import AugmentConfig, DistillConfig, EnsembleRecipe
from fer_core.data.transforms import Augmentation, Preprocessing
from fer_core.engine import distillation as engine
from fer_core.engine import hints
from fer_core.engine.batches import step_seed
from fer_core.engine.distillation import AugmentedViews, Teacher, mean_predictions
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx_graph import write_graph
from fer_core.engine.onnx_network import OnnxNetwork
from fer_core.engine.trainer import TrainData
from fer_core.errors import ArtifactError, DataError, RecipeError, WeightsError
from fer_core.evaluation.ensemble import average_probabilities
from fer_core.models import spec_of
from fer_core.models.checkpoint import load_tensors
from tests.support.builders import toy_benchmark, toy_recipe, toy_run
from training.jobs import distillation, train
from training.jobs.accelerator import make_accelerator
from training.jobs.distillation import distilled_targets, load_teachers
from training.jobs.ensembles import build_ensemble
from training.jobs.import_export import ImportOptions, export_run, import_onnx
from training.jobs.train import TrainOptions, train_network
from training.terminal.progress import TrainingBar

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def toy(tmp_path):
    made = toy_benchmark(tmp_path, runs=0)
    for seed in (0, 1):
        toy_run(made.benchmark, made.dataset, seed, "tiny", "tiny_cnn")
    return made


class Brightness(nn.Module):
    """Says how bright a picture is: the first class's logit is its mean input."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs):
        mean = inputs.mean(dim=(1, 2, 3)) * self.scale
        return torch.stack([mean, torch.zeros_like(mean)], dim=1)


def brightness(toy):
    preprocessing = Preprocessing(48, False, 32, HALF, HALF)
    info = toy.benchmark.run("tiny-cpu-s0").info()
    return Network(Brightness().eval(), spec_of("tiny_cnn"), preprocessing, info)


def student(toy, name="student", **distill):
    recipe = toy_recipe(
        name,
        model={"architecture": "tiny_cnn"},
        distill={"teachers": ["tiny-cpu-s0"], "weight": 0.5, **distill},
    )
    return train_network(
        recipe, toy.dataset, toy.benchmark, TrainingBar(visible=False), TrainOptions(device="cpu")
    )


def data_of(toy):
    recipe = toy_recipe(model={"architecture": "tiny_cnn"})
    return train.train_data(recipe, toy.dataset)


def test_predictions_are_averaged_over_augmented_views(toy):
    network = brightness(toy)
    images, rows = np.asarray(toy.dataset.images), np.array([5, 2, 9])
    given = np.concatenate(
        list(mean_predictions(network, images, rows, AugmentedViews(3, 2.0, seed=4), batch_size=2))
    )
    expected = np.zeros((3, 2))
    for start, part in ((0, rows[:2]), (2, rows[2:])):
        for view in range(3):
            generator = torch.Generator().manual_seed(step_seed(4, view, start))
            drawn = Augmentation.draw(len(part), AugmentConfig(), generator)
            changed = network.preprocessing.augmented(torch.from_numpy(images[part]), drawn)
            mean = 2 * network.preprocessing.normalise(changed).mean(dim=(1, 2, 3)) / 2.0
            first = torch.sigmoid(mean).detach().numpy()
            expected[start : start + len(part)] += np.stack([first, 1 - first], axis=1) / 3
    np.testing.assert_allclose(given, expected, atol=1e-6)
    assert len(np.unique(given[:, 0])) == 3


def test_a_weighted_teacher_equals_the_ensemble(toy):
    first, second = (
        load_network(toy.benchmark.run(f"tiny-cpu-s{seed}"), toy.dataset.format) for seed in (0, 1)
    )
    images = torch.rand(4, 1, 48, 48)
    one, other = Teacher([first])(images), Teacher([second])(images)
    torch.testing.assert_close(
        Teacher([first, second], weights=(0.25, 0.75))(images), 0.25 * one + 0.75 * other
    )
    torch.testing.assert_close(Teacher([first, second])(images), (one + other) / 2)


def test_targets_mix_labels_and_teacher_predictions(toy, monkeypatch):
    data, accelerator = data_of(toy), make_accelerator("fp32", "cpu")
    config = DistillConfig(teachers=("tiny-cpu-s0", "tiny-cpu-s1"), weight=0.6, views=2)
    said = {}

    def steps(network, images, rows, views, **_):
        assert views == AugmentedViews(2)
        rest = np.random.default_rng(len(said)).dirichlet(np.ones(7), len(rows))
        said[network.info.run_id] = rest.astype(np.float32)
        yield said[network.info.run_id]

    monkeypatch.setattr(distillation, "mean_predictions", steps)
    given = distilled_targets(
        config, data, toy.dataset, toy.benchmark, accelerator, lambda items, *_: items
    )
    expected = 0.4 * data.train_targets + 0.3 * (said["tiny-cpu-s0"] + said["tiny-cpu-s1"])
    np.testing.assert_allclose(given, expected, atol=1e-6)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)
    assert given.dtype == np.float32


def test_an_ensemble_teacher_uses_its_weights(toy):
    recipe = EnsembleRecipe(kind="ensemble", name="both", profile="cpu", members=("tiny", "other"))
    toy_run(toy.benchmark, toy.dataset, 0, "other", "tiny_cnn")
    made = build_ensemble(recipe, toy.benchmark)
    shift = (0.5, 0.0, -0.5, 0.0, 0.0, 0.0, 1.0)
    info = made.info().model_copy(update={"member_weights": (0.75, 0.25), "logit_shift": shift})
    info.write(made.info_path)
    config = DistillConfig(teachers=(made.run_id, "other-cpu-s0"))
    accelerator = make_accelerator("fp32", "cpu")
    teachers = load_teachers(config, toy.dataset, toy.benchmark, accelerator)
    images = torch.rand(5, 1, 48, 48)
    one, other = (
        Teacher([load_network(toy.benchmark.run(name), toy.dataset.format)])(images).double()
        for name in ("tiny-cpu-s0", "other-cpu-s0")
    )
    ensemble = average_probabilities([one.numpy(), other.numpy()], (0.75, 0.25), shift)
    expected = (ensemble + other.numpy()) / 2
    np.testing.assert_allclose(teachers(images).numpy(), expected, atol=1e-6)


def test_cached_ensemble_predictions_include_its_logit_shift(toy, monkeypatch):
    recipe = EnsembleRecipe(
        kind="ensemble", name="both", profile="cpu", members=("tiny", "other"), prior="fixed"
    )
    toy_run(toy.benchmark, toy.dataset, 0, "other", "tiny_cnn")
    made = build_ensemble(recipe, toy.benchmark)
    shift = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    made.info().model_copy(update={"logit_shift": shift}).write(made.info_path)

    def even(network, images, rows, *_, **__):
        yield np.full((len(rows), 7), 1 / 7, np.float32)

    monkeypatch.setattr(distillation, "mean_predictions", even)
    given = distilled_targets(
        DistillConfig(teachers=(made.run_id,), weight=1.0, views=1),
        data_of(toy), toy.dataset, toy.benchmark, make_accelerator("fp32", "cpu"),
        lambda items, *_: items,
    )  # fmt: skip
    np.testing.assert_allclose(given[:, 0], np.e / (np.e + 6), rtol=1e-5)


def test_an_unfinished_teacher_is_named_with_the_remedy(toy):
    with pytest.raises(RecipeError, match=r"teacher big-cpu-s0 .*train big.*=null"):
        student(toy, teachers=["big-cpu-s0"])


def test_predictions_are_cached_until_the_teacher_changes(toy, monkeypatch):
    asked = []

    def counting(network, images, rows, views, **options):
        asked.append(views.count)
        yield from engine.mean_predictions(network, images, rows, views, **options)

    monkeypatch.setattr(distillation, "mean_predictions", counting)
    assert student(toy, views=2).info().teachers == {"tiny-cpu-s0": "2026-01-01T00:00:00+00:00"}
    student(toy, "another", views=2)
    assert asked == [2]
    student(toy, "third", views=3)
    assert asked == [2, 3]
    other = toy.benchmark.run("tiny-cpu-s1").weights_path.read_bytes()
    toy.benchmark.run("tiny-cpu-s0").weights_path.write_bytes(other)
    student(toy, "fourth", views=3)
    assert asked == [2, 3, 3]
    # a file cut short is asked for again
    state = toy.benchmark.run("tiny-cpu-s0").state_dir
    (kept,) = state.glob("taught-*.npz")  # what the earlier weights said is gone
    kept.write_bytes(kept.read_bytes()[:200])
    student(toy, "fifth", views=3)
    assert asked == [2, 3, 3, 3]
    # another question leaves the earlier answers, and empty files are no answers
    student(toy, "sixth", views=2)
    student(toy, "seventh", views=3)
    assert asked == [2, 3, 3, 3, 2]
    kept.write_bytes(b"")
    student(toy, "eighth", views=3)
    assert asked == [2, 3, 3, 3, 2, 3]
    assert len(list(state.glob("taught-*.npz"))) == 2


def test_predictions_are_recomputed_for_newly_prepared_images(toy):
    config = DistillConfig(teachers=("tiny-cpu-s0",), views=2)
    run = toy.benchmark.run("tiny-cpu-s0")
    images = np.array(toy.dataset.images)
    rows = toy.dataset.rows("train")
    even = np.full((len(rows), 7), 1 / 7, np.float32)
    counts = np.bincount(toy.dataset.targets(rows), minlength=7)
    data = TrainData(images, None, rows, even, counts, rows[:1], np.zeros(1, np.int64))
    place = distillation._cache_path(run, config, data)
    assert distillation._cache_path(run, config, replace(data, images=images.copy())) == place
    assert distillation._cache_path(run, config, replace(data, images=255 - images)) != place
    assert distillation._cache_path(run, config, replace(data, train_rows=rows[1:])) != place


def test_an_ensemble_with_a_retrained_member_is_refused_as_teacher(toy):
    toy_run(toy.benchmark, toy.dataset, 0, "other", "tiny_cnn")
    recipe = EnsembleRecipe(kind="ensemble", name="both", profile="cpu", members=("tiny", "other"))
    made = build_ensemble(recipe, toy.benchmark)
    other = toy.benchmark.run("other-cpu-s0")
    other.info().model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(other.info_path)
    with pytest.raises(ArtifactError, match="A member of both-cpu was retrained"):
        student(toy, teachers=[made.run_id], views=1)


def test_an_imported_network_can_teach_and_imported_predictions_cannot(toy, tmp_path):
    run = toy.benchmark.run("tiny-cpu-s0")
    export_run(run, toy.dataset.format, tmp_path / "theirs.onnx", toy.dataset)
    theirs = toy.benchmark.run("theirs")
    import_onnx(tmp_path / "theirs.onnx", toy.dataset, theirs, options=ImportOptions("Theirs"))
    accelerator = make_accelerator("fp32", "cpu")
    images = torch.rand(3, 1, 48, 48)
    answers = [
        load_teachers(DistillConfig(teachers=(name,)), toy.dataset, toy.benchmark, accelerator)(
            images
        )
        for name in (run.run_id, theirs.run_id)
    ]
    torch.testing.assert_close(answers[1], answers[0], atol=1e-5, rtol=0)
    theirs.onnx_path.unlink()
    with pytest.raises(WeightsError, match=r"has no model\.onnx"):
        student(toy, teachers=[theirs.run_id], views=1)


def test_on_a_cpu_a_teacher_with_a_graph_predicts_by_onnx_runtime(toy):
    run = toy.benchmark.run("tiny-cpu-s0")
    write_graph(load_network(run, toy.dataset.format), run, toy.dataset.images[:4])
    config = DistillConfig(teachers=(run.run_id,))
    accelerator = make_accelerator("fp32", "cpu")
    images = torch.rand(3, 1, 48, 48)
    with_graph = load_teachers(config, toy.dataset, toy.benchmark, accelerator)
    run.graph_path.unlink()
    without = load_teachers(config, toy.dataset, toy.benchmark, accelerator)
    assert isinstance(with_graph.all[0].networks[0], OnnxNetwork)
    assert isinstance(without.all[0].networks[0], Network)
    torch.testing.assert_close(with_graph(images), without(images), atol=1e-4, rtol=0)


def test_a_teacher_of_another_split_is_refused(toy):
    run = toy.benchmark.run("tiny-cpu-s0")
    run.info().model_copy(update={"split_hash": "other"}).write(run.info_path)
    with pytest.raises(RecipeError, match="another split"):
        student(toy, views=2)


def test_a_retrained_run_keeps_no_earlier_measurement(toy):
    run = student(toy)
    for path in (run.robustness_path, run.efficiency_path, run.faithfulness_path, run.onnx_path):
        path.write_bytes(b"of the earlier weights")
    info = run.info()
    info.model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(run.info_path)
    student(toy)
    left = {path.name for path in run.root.iterdir()}
    assert "model.safetensors" in left
    assert not left & {"robustness.parquet", "efficiency.json", "model.onnx"}
    assert not left & {"faithfulness.parquet"}


def test_a_student_follows_the_first_teachers_feature_map(toy, monkeypatch):
    asked = []
    real = hints.HintTeacher.loss

    def loss(self, own, wanted):
        asked.append(self.network.info.run_id)
        return real(self, own, wanted)

    monkeypatch.setattr(hints.HintTeacher, "loss", loss)
    plain = student(toy, "plain", views=1)
    assert not asked
    hinted = student(toy, "hinted", views=1, hint_epochs=1)
    assert set(asked) == {"tiny-cpu-s0"}
    first = [run.history()["train_loss"].iloc[0] for run in (plain, hinted)]
    assert first[1] > first[0] + 0.5  # the map's loss stands in it
    # what is saved is a network like any other
    names = [set(load_tensors(run.weights_path)[0]) for run in (plain, hinted)]
    assert names[0] == names[1]


def test_a_retrained_teacher_or_another_split_prevents_resuming(toy):
    recipe = toy_recipe(
        "student", model={"architecture": "tiny_cnn"}, distill={"teachers": ["tiny-cpu-s0"]}
    )

    def go(dataset=toy.dataset, **options):
        bar = TrainingBar(visible=False)
        return train_network(
            recipe, dataset, toy.benchmark, bar, TrainOptions(device="cpu", **options)
        )

    assert go(max_minutes=0) is None
    run = toy.benchmark.run("tiny-cpu-s0")
    earlier = run.info()
    earlier.model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(run.info_path)
    with pytest.raises(WeightsError, match=r"another teacher tiny-cpu-s0 .*now 2020-01-01"):
        go(resume=True)
    earlier.write(run.info_path)
    info = toy.dataset.info.model_copy(update={"split_hash": "another"})
    with pytest.raises(DataError, match=r"has split .* prepared dataset has another"):
        go(replace(toy.dataset, info=info), resume=True)
    assert go(resume=True) is not None


def test_an_ensemble_has_no_feature_map_for_hints(toy):
    recipe = EnsembleRecipe(
        kind="ensemble", name="pair", profile="cpu", members=("tiny", "tiny2"), prior="fixed"
    )
    toy_run(toy.benchmark, toy.dataset, 0, "tiny2", "tiny_cnn")
    build_ensemble(recipe, toy.benchmark)
    with pytest.raises(
        RecipeError, match=r"first teacher, pair-cpu\. .* is an ensemble.*hint_epochs=0"
    ):
        student(toy, teachers=["pair-cpu"], hint_epochs=1)
