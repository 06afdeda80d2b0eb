"""The page of a run, through the application's entry."""

import pandas as pd

from dashboard.sections import run_details
from fer_core.evaluation.report import Report
from tests.support.pages import texts

RUN = "efficientnet_lite0-cpu-s1"


def test_the_page_shows_results_curves_and_files(open_page, toy):
    app = open_page("run", toy.artifacts, toy.data, run=RUN)
    assert not app.exception
    metrics = {metric.label: metric.value for metric in app.metric}
    test = toy.dataset.samples.query("split == 'test'")
    report = Report.read(toy.benchmark.run(RUN).report_path)
    assert metrics["Accuracy"] == f"{report.test.accuracy.value:.1%}"
    assert metrics["Rank"].endswith("of 4")
    classes = next(table.value for table in app.dataframe if "recall" in table.value.columns)
    assert classes["images"].sum() == len(test)
    for name in ("run.json", "model.safetensors", "predictions.parquet", "history.parquet"):
        assert f"`{name}`" in texts(app)


def test_worst_confusions_link_to_their_cell(open_page, toy):
    app = open_page("run", toy.artifacts, toy.data, run=RUN)
    links = [link.proto for link in app.get("page_link")]
    confused = [link for link in links if " predicted as " in link.label]
    assert confused
    assert all(
        "true=" in link.query_string and f"run={RUN}" in link.query_string for link in confused
    )


def test_class_names_are_no_markdown(open_page, toy, monkeypatch):
    worst = pd.DataFrame([("*a*", "b[1]", 3, 0.5)])
    monkeypatch.setattr(run_details, "most_confused", lambda *_: worst)
    app = open_page("run", toy.artifacts, toy.data, run=RUN)
    assert not app.exception
    labels = [link.proto.label for link in app.get("page_link")]
    assert r"\*a\* predicted as b\[1\]\: 3 images, 50% of \*a\*" in labels


def test_an_ensemble_shows_the_curves_of_its_members(open_page, toy):
    app = open_page("run", toy.artifacts, toy.data, run="pair-cpu")
    assert not app.exception
    assert "those of the run's ancestors" in texts(app)


def test_an_unknown_run_is_one_message(open_page, toy):
    app = open_page("run", toy.artifacts, toy.data, run="gone")
    assert not app.exception
    assert "gone" in app.warning[0].value
