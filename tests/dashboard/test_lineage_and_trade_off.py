"""Lineage and the trade-off of accuracy and macro-recall on the Leaderboard page."""

import pytest

from fer_core.artifacts import ArtifactStore
from tests.support.pages import texts


def test_the_ensembles_lineage_and_effective_members(open_page, toy):
    app = open_page("leaderboard", toy.artifacts)
    assert app.selectbox(key="lineage").value == "pair-cpu"  # ensembles come first
    (graph,) = app.get("graphviz_chart")
    assert "EfficientNet-Lite0" in graph.proto.spec
    assert "random weights" in graph.proto.spec
    metric = next(metric for metric in app.metric if "independent" in metric.label)
    assert metric.value == "1.0 of 2"  # both members err on the same samples
    assert "Every ancestor is still there" in app.success[0].value


def test_a_missing_teacher_is_named(open_page, artifacts_copy):
    run = ArtifactStore(artifacts_copy).benchmark("toy").run("efficientnet_lite0-cpu-s1")
    info = run.info().model_copy(update={"teachers": {"gone-cpu-s0": "2020-01-01"}})
    info.write(run.info_path)
    app = open_page("leaderboard", artifacts_copy, lineage=run.run_id)
    assert not app.exception
    assert "gone-cpu-s0 of 2020-01-01 is missing" in texts(app).replace("\\", "")
    assert "cannot be trained again" in texts(app)
    assert not app.success


def trade_off_table(app):
    (table,) = [table.value for table in app.dataframe if "trained shift" in table.value]
    return table


def test_without_rare_classes_no_shift_is_chosen(open_page, toy):
    table = trade_off_table(open_page("leaderboard", toy.artifacts))
    assert len(table) == 4
    assert (table["shift"] == 0).all()
    assert table["accuracy"].max() == pytest.approx(53 / 70)


def test_the_slider_selects_on_validation(open_page, artifacts_copy):
    benchmark = ArtifactStore(artifacts_copy).benchmark("toy")
    info = benchmark.info()
    # "angry" is ten times as frequent in training as in validation and test
    train = {**info.counts["train"], "angry": 10 * info.counts["train"]["angry"]}
    info.model_copy(update={"counts": {**info.counts, "train": train}}).write(benchmark.info_path)
    for run in benchmark.runs():
        run.info().model_copy(update={"prior_shift": 1.0}).write(run.info_path)
    app = open_page("leaderboard", artifacts_copy, weight="100")
    assert app.slider(key="weight").value == 100
    table = trade_off_table(app)
    assert (table["trained shift"] == 1.0).all()
    # 0.6 against 0.4 / 6: log(9) = 2.197 in favour of each answer, and log(10) = 2.303 per unit of
    # shift, so answers change beyond 0.95 on either side of the 1.0 that the run has
    assert (table["shift"] == 0.05).all()
    assert (table["macro-recall"] == table["macro-recall as trained"]).all()
    app.slider(key="weight").set_value(0).run()
    assert not app.exception
    assert (trade_off_table(app)["accuracy"] >= table["accuracy"]).all()
