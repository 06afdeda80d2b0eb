"""The labelling view: labels, undo, second opinions, and the answer after each."""

import numpy as np
import pytest

from dashboard.cache import benchmarks, labelling
from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.few_labels.annotations import Merge, pool_key
from fer_core.evaluation.predictions import Predictions
from fer_core.reviews import PoolLabel, ReviewStore
from tests.support.builders import toy_benchmark
from tests.support.pages import texts
from tests.support.transfers import toy_transfer


@pytest.fixture
def store(artifacts_copy):
    return ReviewStore.of(ArtifactStore(artifacts_copy).benchmark("toy"))


def labels(store):
    (pool,) = store.label_pools() or ("",)
    return store.labels(pool)


def press(app, name):
    next(button for button in app.button if button.label == name).click()
    app.run()
    assert not app.exception


def open_label(open_page, toy, artifacts, **query):
    app = open_page("label", artifacts, toy.data, **query)
    assert not app.exception
    return app


def test_labels_are_stored_with_step_and_probability_and_undone(
    open_page, toy, artifacts_copy, store
):
    app = open_label(open_page, toy, artifacts_copy, annotator="ann")
    assert "Every face already has a label in the set" in texts(app)
    assert "0 of 70 faces labelled, 0 unclear" in texts(app)
    app.toggle(key="show-set-calibration").set_value(True).run()
    assert "need 20 clear labels; there are 0." in texts(app)
    for name in ("happy", "sad", "unclear"):
        press(app, name)
    first, second, third = labels(store)
    assert [x.label for x in (first, second, third)] == ["happy", "sad", ""]
    assert [x.step for x in (first, second, third)] == [0, 1, 2]
    assert all(x.annotator == "ann" and 0 < x.probability < 1 for x in (first, second, third))
    assert "3 of" in texts(app)
    assert "1 unclear" in texts(app)
    press(app, "Undo")
    assert len(labels(store)) == 2
    press(app, "fear")  # the same face again
    assert labels(store)[2].sample_id == third.sample_id
    assert labels(store)[2].label == "fear"


def test_a_sample_can_be_reviewed_beside_the_labels(open_page, toy, artifacts_copy):
    benchmark = benchmarks.benchmark(ArtifactStore(artifacts_copy).benchmark("toy"))
    sample = benchmarks.samples(benchmark).index[0]
    app = open_label(open_page, toy, artifacts_copy, annotator="ann", sample=sample)
    name = app.text_input(key="review-name")
    assert name.value == "ann"
    name.set_value("bo").run()
    assert not app.exception
    assert app.text_input(key="review-name").value == "bo"


def test_the_link_continues_where_it_was(open_page, toy, artifacts_copy, store):
    app = open_label(open_page, toy, artifacts_copy, annotator="ann")
    press(app, "happy")
    shown = texts(app)
    again = texts(open_label(open_page, toy, artifacts_copy, annotator="ann"))
    assert "1 of" in again
    (sample,) = {x.sample_id for x in labels(store)}
    assert sample not in shown  # the next face is shown


def test_a_second_opinion_is_shown_and_counts(open_page, toy, artifacts_copy, store):
    app = open_label(open_page, toy, artifacts_copy, annotator="ann")
    press(app, "happy")
    app = open_label(open_page, toy, artifacts_copy, annotator="bob", task="second opinions")
    press(app, "sad")
    ann, bob = labels(store)
    assert (bob.sample_id, bob.step) == (ann.sample_id, None)
    assert [item.label for item in app.expander if "different labels" in item.label] == [
        "1 face has different labels"
    ]
    assert next(button for button in app.button if button.label == "happy").disabled  # none left


def test_without_pictures_and_with_one_run_the_page_says_what_is_missing(open_page, artifacts_copy):
    app = open_page("label", artifacts_copy)
    assert not app.exception
    assert not [button for button in app.button if button.label == "Undo"]


def labelled_transfer(tmp_path):
    """Returns a toy and its transferred set, every face of which is labelled happy."""
    toy = toy_benchmark(tmp_path)
    mine = toy_transfer(toy, labelled=0.0)
    ids = sorted(mine.samples()["id"])
    pool = pool_key(ids, mine.info().labels)
    for step, sample in enumerate(ids):  # the networks answer at random: priors must help
        label = PoolLabel(pool, sample, "ann", "happy", step, 1 / (len(ids) - step))
        ReviewStore.of(mine).save_label(label)
    return toy, mine


def test_labels_of_a_transferred_set_give_an_operating_point(open_page, tmp_path):
    toy, _ = labelled_transfer(tmp_path)
    app = open_page("label", toy.artifacts, toy.data, benchmark="toy/transfers/mine")
    app.toggle(key="show-set-calibration").set_value(True).run()
    assert not app.exception
    shown = texts(app)
    assert "class priors from 21 labels of toy/transfers/mine" in shown
    assert shown.count("log loss") == 1  # one fit, one judgement
    assert "The gain is significant." in shown
    (commands,) = app.code
    assert "--benchmark toy --operating-point operating_point.json" in commands.value


def test_the_operating_point_follows_a_new_training_of_the_run(tmp_path):
    toy, mine = labelled_transfer(tmp_path)
    benchmark = benchmarks.benchmark(mine)
    pool = labelling.label_pool(benchmark)
    (key,) = ReviewStore.of(mine).label_pools()
    now = labelling.state(pool, ReviewStore.of(mine).labels(key), Merge.MAJORITY)
    run_id = pool.runs[now.selection.leader]
    adjustment = labelling.adjustment_of(benchmark, pool, now)
    run, created = toy.benchmark.run(run_id), "2030-01-01T00:00:00+00:00"
    points = []
    for _ in range(2):
        points.append(labelling.point_of(benchmark, run_id, adjustment))
        run.info().model_copy(update={"created": created}).write(run.info_path)
    assert points[0].run_created != points[1].run_created == created
    points[1].check("toy", run.info())  # `predict` accepts it


def test_labels_of_the_set_count_and_are_not_asked(open_page, tmp_path):
    toy = toy_benchmark(tmp_path)
    mine = toy_transfer(toy, labelled=0.5)
    table = mine.samples().set_index("id")
    without = set(table.index[table["label"].isna()])
    app = open_page("label", toy.artifacts, toy.data, benchmark=mine.name, annotator="ann")
    assert "10 faces already have a label in the set. They count as labelled" in texts(app)
    assert "10 of 21 faces labelled (10 by the set), 0 unclear" in texts(app)
    for done in range(11):
        assert f"After {done} clear labels and 10 of the set" in texts(app)
        press(app, "happy")
    store = ReviewStore.of(mine)
    assert {label.sample_id for label in labels(store)} == without
    assert "21 of 21 faces labelled (10 by the set)" in texts(app)
    assert [item.value.split(":")[0] for item in app.success] == [
        "There is no face left to label here.",
        "You can stop",
    ]
    pool = labelling.label_pool(benchmarks.benchmark(mine))
    now = labelling.state(pool, labels(store), Merge.MAJORITY)
    for run_id, value in zip(pool.runs, now.accuracies.value, strict=True):
        test = Predictions.read(
            mine.run(run_id).predictions_path, mine.info().label_set, unlabelled=True
        ).split("test")
        truth = table["label"].fillna("happy").loc[test.ids]
        guesses = np.array(test.labels.names)[test.predicted]
        assert value == pytest.approx((guesses == truth.to_numpy()).mean())
