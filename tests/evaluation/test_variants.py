"""Parameters in which runs differ, and the effect of one of them by class."""

import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.variants import differing_parameters, effects, parameters
from fer_core.labels import LabelSet
from tests.support.builders import toy_recipe

LABELS = LabelSet(("angry", "happy"))


def recipe(seed=0, **parts):
    return toy_recipe("net", seed, **parts).model_dump(mode="json")


def predictions(right):
    """Predictions of 20 angry and 80 happy images, right where `right` says so."""
    truth = np.repeat([0, 1], [20, 80])
    predicted = np.where(right, truth, 1 - truth)
    ids = np.array([f"{index:03d}" for index in range(100)], dtype=object)
    return SplitPredictions(LABELS, ids, truth, np.eye(2)[predicted] * 0.8 + 0.1)


def test_parameters_are_flat_texts_without_names_and_seed():
    flat = parameters(recipe(seed=3, augment={"zoom": (0.7, 1.4)}))
    assert flat["augment.zoom"] == "0.7, 1.4"
    assert flat["train.deterministic"] == "false"
    assert flat["optim.lr"] == "0.001"
    assert not {"name", "profile", "run_name", "train.seed", "distill"} & set(flat)
    assert parameters({}) == {}


def test_only_parameters_that_differ_are_returned():
    columns = differing_parameters(
        {
            "a": recipe(),
            "b": recipe(seed=1, loss={"class_weights": "balanced"}),
            "c": recipe(distill={"teachers": ("t",)}),
            "imported": {},
        }
    )
    assert columns["loss.class_weights"] == {"a": "none", "b": "balanced", "c": "none"}
    assert columns["distill.teachers"] == {"c": "t"}
    assert "optim.lr" not in columns
    assert differing_parameters({"a": recipe(), "b": recipe(seed=1)}) == {}


def test_effects_are_differences_of_means_over_seeds():
    right = np.ones(100, dtype=bool)
    half, quarter = right.copy(), right.copy()
    half[:10] = False  # 10 of the 20 angry faces
    quarter[:15] = False
    rows = {row.metric: row for row in effects([predictions(half), predictions(quarter)],
                                               [predictions(right)])}  # fmt: skip
    assert list(rows) == ["accuracy", "macro-recall", "angry", "happy"]
    assert (rows["angry"].samples, rows["happy"].samples) == (20, 80)
    assert rows["angry"].before == pytest.approx((0.5 + 0.25) / 2)
    assert rows["angry"].difference.value == pytest.approx(1 - 0.375)
    assert rows["accuracy"].difference.value == pytest.approx((10 + 15) / 2 / 100)
    assert rows["macro-recall"].difference.value == pytest.approx(0.625 / 2)
    assert rows["happy"].difference.low == rows["happy"].difference.high == 0
    angry = rows["angry"].difference
    assert 0.2 < angry.low < 0.55 < 0.7 < angry.high < 1


def test_no_effect_has_an_interval_around_zero():
    random = np.random.default_rng(1)
    first, second = (predictions(random.random(100) < 0.7) for _ in range(2))
    for row in effects([first], [second]):
        assert row.difference.low < 0 < row.difference.high


def test_the_same_seed_gives_the_same_intervals():
    random = np.random.default_rng(1)
    first, second = (predictions(random.random(100) < 0.7) for _ in range(2))
    assert effects([first], [second], 50) == effects([first], [second], 50)


def test_resamples_without_an_image_of_a_class_say_nothing_about_its_recall():
    truth = np.array([0] + [1] * 9)  # a third of the resamples has no angry image
    ids = np.array([str(index) for index in range(10)], dtype=object)
    wrong, right = (
        SplitPredictions(LABELS, ids, truth, np.eye(2)[predicted])
        for predicted in (np.ones(10, dtype=int), truth)
    )
    with np.errstate(invalid="raise"):
        rows = {row.metric: row.difference for row in effects([wrong], [right], 200)}
    assert (rows["angry"].low, rows["angry"].high) == (1, 1)
    # macro-recall rises from (0 + 1) / 2 to 1, or stays 1 where only happy images are drawn
    assert (rows["macro-recall"].low, rows["macro-recall"].high) == (0, 0.5)


def test_other_images_are_refused():
    one = predictions(np.ones(100, dtype=bool))
    with pytest.raises(ArtifactError, match="different images"):
        effects([one], [one.select(np.arange(100) < 90)])
    with pytest.raises(ArtifactError, match="at least one run"):
        effects([one], [])
