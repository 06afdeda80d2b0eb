"""Regression heads on the Leaderboard and on Compare on a face."""

import pytest

from fer_core.evaluation.regression import CAVEAT, RegressionReport
from tests.support.pages import contents, texts
from tests.support.regression import TARGETS, drawn_regression


@pytest.fixture(scope="module")
def estimating(tmp_path_factory):
    return drawn_regression(tmp_path_factory.mktemp("drawn"))


def test_the_leaderboard_has_the_errors_with_intervals(open_page, estimating):
    toy, run = estimating
    app = open_page("leaderboard", toy.artifacts, toy.data)
    assert not app.exception
    table = next(item.value for item in app.dataframe if "concordance" in item.value.columns)
    report = RegressionReport.read(run.regression_report_path)
    assert len(table) == 4  # two targets, over frames and over clips
    row = table.set_index(["target", "over"]).loc[("brow_lower", "clips")]
    mae = report.targets["brow_lower"].clips["test"].mae
    assert row["MAE"] == mae.value
    assert row["MAE 95%"] == f"{mae.low:.3f} to {mae.high:.3f}"
    assert CAVEAT in texts(app)
    assert "Regression heads" in contents(app)
    assert contents(app) == [item.value for item in app.subheader]


def test_compare_shows_estimates_with_intervals_and_the_caveat(open_page, estimating):
    toy, _ = estimating
    app = open_page("compare", toy.artifacts, toy.data)
    app.checkbox(key="cropped").check().run()
    assert not app.exception
    shown = [item.value.replace("\\", "") for item in app.markdown if "(90%:" in item.value]
    assert [line.partition(":")[0] for line in shown] == list(TARGETS)
    assert CAVEAT in texts(app)
