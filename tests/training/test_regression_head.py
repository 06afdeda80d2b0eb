"""The regression head, from table to report: what it learns, and tables that are refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fer_core.data.targets import read_targets
from fer_core.engine.networks import load_network
from fer_core.engine.predict import predict_logits, predict_regression
from fer_core.errors import DataError, RecipeError
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.regression import RegressionReport
from fer_core.models import build_model, spec_of
from fer_core.models.regression_head import TwoHeads, add_regression_head, regression_head_of
from fer_core.models.weights import initialise
from tests.support.builders import toy_benchmark, toy_recipe
from training.jobs.evaluate import evaluate_run
from training.jobs.publish import publish_run
from training.jobs.train import TrainOptions, train_network
from training.terminal.progress import TrainingBar
from training.terminal.reports import print_report


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("toy"), runs=0, per_class=40)


@pytest.fixture
def scores(toy, tmp_path):
    """Scores that follow the class; a third is missing."""
    samples = toy.dataset.samples
    order = {name: place for place, name in enumerate(toy.dataset.labels.names)}
    table = pd.DataFrame({"id": samples["id"], "score": 10.0 + 3 * samples["label"].map(order)})
    table.loc[::3, "score"] = np.nan
    path = tmp_path / "scores.csv"
    table.to_csv(path, index=False)
    return path


def test_the_loss_is_masked_and_standardised():
    head = TwoHeads(nn.Linear(4, 2), mean=[10.0], std=[2.0])
    scores = torch.tensor([10.0, float("nan"), 14.0, 12.0])[:, None]
    estimates = torch.tensor([1.0, 99.0, 2.0, 0.0])[:, None]
    # standardised targets 0, -, 2, 1: squared errors 1, 0 and 1 over a batch of four
    assert head.loss(estimates, scores).item() == pytest.approx(0.5)
    assert head.in_units(torch.tensor([0.0, 1.5])).tolist() == [10.0, 13.0]
    assert head.loss(estimates, torch.full((4, 1), float("nan"))).item() == 0


def test_several_targets_have_their_own_units_and_masks():
    head = TwoHeads(nn.Linear(4, 2), mean=[10.0, 0.0], std=[2.0, 1.0])
    targets = torch.tensor([[12.0, float("nan")], [10.0, 3.0]])
    # standardised targets 1 and -, 0 and 3: squared errors 1, 0 and 4 over four places
    assert head.loss(torch.tensor([[0.0, 7.0], [0.0, 1.0]]), targets).item() == pytest.approx(1.25)
    assert head.in_units(torch.tensor([[1.0, 1.0]])).tolist() == [[12.0, 1.0]]
    head(torch.rand(3, 4))
    assert head.take().shape == (3, 2)


def test_weights_of_one_target_have_the_shapes_of_earlier_versions():
    state = TwoHeads(nn.Linear(4, 2)).state_dict()
    assert (state["mean"].shape, state["estimate.weight"].shape) == ((), (1, 4))


def test_a_missing_target_has_no_gradient():
    head = TwoHeads(nn.Linear(3, 2))
    features = torch.rand(2, 3, requires_grad=True)
    head(features)
    head.loss(head.take(), torch.tensor([[1.0], [float("nan")]])).backward()
    assert features.grad[0].abs().sum() > 0
    assert features.grad[1].abs().sum() == 0


def test_the_regression_output_can_be_taken_once_per_pass():
    head = TwoHeads(nn.Linear(3, 2))
    head(torch.rand(1, 3))
    head.take()
    with pytest.raises(RuntimeError, match="once"):
        head.take()


@pytest.mark.parametrize(
    ("key", "patch"), [("resnet34", None), ("vgg16", None), ("scratch_vit", 8), ("hf_vit_small", 8)]
)
def test_every_backbone_takes_a_second_head_and_keeps_its_logits(key, patch):
    from fer_core.config import ModelConfig

    torch.manual_seed(0)
    model = build_model(ModelConfig(architecture=key, image_size=48, patch_size=patch), 7).eval()
    spec = spec_of(key)
    images = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        before = model(images)
        add_regression_head(model, spec)
        torch.testing.assert_close(model(images), before)
    assert regression_head_of(model, spec).take().shape == (2, 1)


def test_the_regression_head_learns_beside_the_classes(toy, scores, capsys):
    recipe = toy_recipe(
        "scored",
        model={"architecture": "tiny_cnn"},
        augment={"flip": 0.0, "rotation": 0, "shift": 0.0, "scale": 0.0},
        optim={"lr": 0.02},
        train={"epochs": 15, "ema_decay": 0.8, "monitor": "regression_error"},
        regression={"table": str(scores), "weight": 1.0},
    )
    run = train_network(
        recipe, toy.dataset, toy.benchmark, TrainingBar(visible=False), TrainOptions(device="cpu")
    )
    report = RegressionReport.read(run.regression_report_path).targets["score"]
    test = report.frames["test"]
    assert test.mae.value < 0.5 * test.mae_of_mean
    assert test.concordance.value > 0.7
    table = pd.read_parquet(run.regression_path)
    assert table["score"].notna().all()  # the third without a score is not judged
    assert set(table["split"]) == {"validation", "test"}
    history = run.history()
    best = run.info().best_epoch
    assert history["regression_error"].iloc[best - 1] == history["regression_error"].min()

    network = load_network(run, toy.dataset.format)
    rows = toy.dataset.rows("test")
    arguments = toy.dataset.images, rows, network.preprocessing
    estimated = predict_regression(network.model, network.spec, *arguments)
    saved = table[table["split"] == "test"].set_index("id")["estimated"]
    ids = toy.dataset.samples["id"].to_numpy()[rows]
    np.testing.assert_allclose(pd.Series(estimated[:, 0], ids).loc[saved.index], saved, rtol=1e-4)
    logits = predict_logits(network.model, arguments[0], arguments[2], rows=rows)
    assert logits.shape == (len(rows), 7)
    saved_classes = Predictions.read(run.predictions_path, toy.dataset.labels).split("test")
    np.testing.assert_allclose(
        torch.softmax(logits.double(), 1).numpy(), saved_classes.probabilities, atol=1e-6
    )
    plain = build_model(recipe.model, 7)  # goes on without the second head
    start = recipe.model.model_copy(update={"init": "run:toy/scored-cpu-s0"})
    initialise(plain, start, toy.dataset.labels.names, toy.benchmark.store)
    plain.eval()
    again = predict_logits(plain, arguments[0], arguments[2], rows=rows)
    torch.testing.assert_close(again, logits, rtol=1e-5, atol=1e-5)
    print_report(run)
    assert "concordance" in capsys.readouterr().out

    run.regression_report_path.unlink()
    evaluate_run(run, toy.dataset, "cpu")
    again = RegressionReport.read(run.regression_report_path).targets["score"].frames["test"]
    assert again.mae.value == pytest.approx(test.mae.value, rel=1e-4)
    scores.unlink()  # without its table the report stays as it is
    kept = run.regression_report_path.read_text()
    evaluate_run(run, toy.dataset, "cpu")
    assert run.regression_report_path.read_text() == kept
    with pytest.raises(DataError, match=r"table of targets, .*scores\.csv, is missing"):
        publish_run(run, toy.dataset, device="cpu")


def test_clips_must_stay_in_one_split(toy, tmp_path):
    samples = toy.dataset.samples
    path = tmp_path / "scores.csv"
    table = pd.DataFrame({"id": samples["id"], "score": 1.0, "clip": samples["split"] + "-clip"})
    table.to_csv(path, index=False)
    read = read_targets(path, toy.dataset)
    assert set(read.clips[toy.dataset.rows("test")]) == {"test-clip"}
    table.assign(clip="one recording").to_csv(path, index=False)
    with pytest.raises(DataError, match="Frames of 'one recording' are in more than one split"):
        read_targets(path, toy.dataset)


def test_frames_without_a_target_belong_to_their_clip(toy, tmp_path):
    samples = toy.dataset.samples
    path = tmp_path / "scores.csv"
    table = pd.DataFrame({"id": samples["id"], "score": 1.0, "clip": samples["split"] + "-clip"})
    seen = table.index[toy.dataset.rows("train")[0]]
    table.loc[seen, ["score", "clip"]] = [np.nan, "test-clip"]  # learned by its class alone
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match="Frames of 'test-clip' are in more than one split"):
        read_targets(path, toy.dataset)


def test_the_target_of_a_group_applies_to_all_its_frames(toy, tmp_path):
    from dataclasses import replace

    samples = toy.dataset.samples.copy()
    samples["group"] = samples["split"].map({"train": "anna", "validation": "bert", "test": "carl"})
    grouped = replace(toy.dataset, samples=samples)
    path = tmp_path / "scores.parquet"
    pd.DataFrame({"id": ["anna", "bert", "carl"], "score": [4.0, 8.0, 15.0]}).to_parquet(path)
    read = read_targets(path, grouped)
    assert set(read.values[grouped.rows("validation"), 0]) == {8.0}
    assert set(read.clips[grouped.rows("test")]) == {"carl"}
    table = pd.DataFrame({"id": ["anna", "bert", "carl"], "score": [4.0, 8.0, 15.0]})
    table.assign(clip=["one", "two", None]).to_parquet(path)  # recordings of these persons
    read = read_targets(path, grouped)
    assert set(read.clips[grouped.rows("validation")]) == {"two"}
    assert set(read.clips[grouped.rows("test")]) == {"carl"}
    table.assign(clip="one").to_parquet(path)
    with pytest.raises(DataError, match="Frames of 'one' are in more than one split"):
        read_targets(path, grouped)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="score"), "lacks the column score"),
        (lambda t: t.assign(score="high"), "the score of .* is 'high', not a finite number"),
        (lambda t: pd.concat([t, t.iloc[[0]]]), "twice"),
        (lambda t: t.assign(id="x/" + t["id"]), "neither an image nor a group"),
        (lambda t: t.assign(score=np.nan), "no value of score for any image of the train split"),
    ],
)
def test_a_table_that_does_not_fit_is_named(toy, tmp_path, change, message):
    path = tmp_path / "scores.csv"
    table = pd.DataFrame({"id": toy.dataset.samples["id"], "score": 1.0})
    change(table).to_csv(path, index=False)
    with pytest.raises(DataError, match=message):
        read_targets(path, toy.dataset)


def test_constant_targets_and_cutmix_are_refused(toy, tmp_path):
    path = tmp_path / "scores.csv"
    pd.DataFrame({"id": toy.dataset.samples["id"], "score": 1.0}).to_csv(path, index=False)
    recipe = toy_recipe("flat", model={"architecture": "tiny_cnn"}, regression={"table": str(path)})
    with pytest.raises(DataError, match="the same target"):
        train_network(
            recipe,
            toy.dataset,
            toy.benchmark,
            TrainingBar(visible=False),
            TrainOptions(device="cpu"),
        )
    with pytest.raises(ValueError, match="a mixed image has no regression target"):
        toy_recipe("mixed", regression={"table": "t.csv"}, augment={"cutmix": 0.5})


def test_numbered_clips_keep_their_zeros(toy, tmp_path):
    from fer_core.data.targets import _read

    (tmp_path / "s.csv").write_text("id,score,clip\n001,1.5,007\n002,2.5,008\n")
    table = _read(tmp_path / "s.csv")
    assert table["id"].tolist() == ["001", "002"]
    assert table["clip"].tolist() == ["007", "008"]
    assert table["score"].tolist() == [1.5, 2.5]


def test_a_compiled_network_learns_classes_and_targets(toy, scores):
    def histories(compiled):
        recipe = toy_recipe(
            f"compiled_{compiled}",
            model={"architecture": "tiny_cnn"},
            train={"epochs": 1, "compile": compiled, "monitor": "regression_error"},
            regression={"table": str(scores), "weight": 1.0},
        )
        bar = TrainingBar(visible=False)
        run = train_network(recipe, toy.dataset, toy.benchmark, bar, TrainOptions(device="cpu"))
        return run.history().iloc[0]

    plain, compiled = histories(False), histories(True)
    for column in ("train_loss", "log_loss", "regression_error"):
        assert compiled[column] == pytest.approx(plain[column], rel=1e-4)


def test_a_missing_compiler_is_reported_before_the_training(toy, monkeypatch):
    recipe = toy_recipe("anything", model={"architecture": "tiny_cnn"}, train={"compile": True})
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RecipeError, match=r"C\+\+ compiler.*--set train\.compile=auto"):
        train_network(
            recipe,
            toy.dataset,
            toy.benchmark,
            TrainingBar(visible=False),
            TrainOptions(device="cpu"),
        )
    assert not toy.benchmark.run(recipe.run_id).under_way.state_dir.exists()
    recipe = toy_recipe("anything", model={"architecture": "tiny_cnn"}, train={"compile": "auto"})
    run = train_network(
        recipe, toy.dataset, toy.benchmark, TrainingBar(visible=False), TrainOptions(device="cpu")
    )
    assert run.info().hardware["compiled"] == "no"
