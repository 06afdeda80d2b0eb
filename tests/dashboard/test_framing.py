"""Framing shifts on the Leaderboard and Trust pages."""

import json

import pytest

from fer_core.tables import write_table
from tests.support.framing import framing_table
from tests.support.pages import texts


@pytest.fixture
def measured(benchmark_copy):
    for run in benchmark_copy.runs():
        write_table(run.framing_path, framing_table())
    return benchmark_copy.root.parent


def lines(app):
    """Returns the x and y values of the framing chart's lines."""
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    (chart,) = [chart for chart in charts if "margin +10%" in str(chart["data"])]
    return [(line["x"], line["y"]) for line in chart["data"]]


def test_framing_columns_follow_the_evaluated_split(measured, open_page):
    columns = ["framing_accuracy", "framing_drop"]
    table = open_page("leaderboard", measured, columns=columns).dataframe[0].value
    assert table["framing_accuracy"].tolist() == [pytest.approx(0.766)] * 4
    assert table["framing_drop"].tolist() == [pytest.approx(0.05)] * 4
    app = open_page("leaderboard", measured, columns=columns, scored="Validation")
    assert app.dataframe[0].value["framing_accuracy"].tolist() == [pytest.approx(0.66)] * 4
    former = open_page("leaderboard", measured, columns=["framing-accuracy", "framing-drop"])
    assert former.dataframe[0].value.columns.tolist() == table.columns.tolist()
    app = open_page("leaderboard", measured, columns=columns, classes="Angry, happy, sad")
    assert not app.exception
    assert "framing_accuracy" not in app.dataframe[0].value


def test_trust_draws_one_line_per_run(measured, open_page):
    app = open_page("trust", measured)
    assert not app.exception
    assert len(lines(app)) == 4
    titles, values = lines(app)[0]
    assert list(zip(titles, values, strict=True))[:3] == [
        ("margin -10%", 0.88),
        ("unchanged", 0.9),
        ("margin +10%", 0.85),
    ]
    assert values.index(None) == titles.index("rotated 10°") - 1  # the line ends before rotations
    assert "on 10 images of test" in texts(app)
    assert "its edge pixels are repeated" in texts(app)


def test_without_a_measurement_trust_shows_the_command(open_page, toy):
    app = open_page("trust", toy.artifacts)
    assert any("robustness toy --framing" in code.value for code in app.code)


def test_a_damaged_table_counts_as_not_measured(measured, benchmark_copy, open_page):
    benchmark_copy.run("pair-cpu").framing_path.write_bytes(b"damaged")
    app = open_page("trust", measured)
    assert not app.exception
    assert len(lines(app)) == 3
