"""Trust figures and the HTML report, by what they hold."""

import shutil

import numpy as np
import pandas as pd
import pytest

from fer_core.artifacts import write_table
from fer_core.evaluation.calibration import reliability
from fer_core.evaluation.efficiency import Efficiency, Latency
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.robustness import CLEAN
from fer_core.evaluation.selective import risk_coverage
from fer_core.figures import charts, trust
from fer_core.figures.html_report import format_value, render_report, write_report

COLOURS = {"a": "#123456", "b": "#654321"}
TITLES = {"a": "Model A", "b": "Model B"}


def corrupted(accuracy: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "corruption": [CLEAN, "blur", "blur", "noise", "noise"],
            "severity": [0, 1, 2, 1, 2],
            "images": 10,
            "seed": 0,
            "samples_hash": "abc",
            "accuracy": [0.9, accuracy, 0.4, 0.7, 0.2],
            "macro_recall": 0.5,
            "log_loss": 1.0,
        }
    )


def test_reliability_shows_each_bin_and_the_diagonal():
    curve = reliability(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]), bins=10)
    figure = trust.reliability_diagram({"a": curve}, COLOURS)
    honest, model = figure.data
    assert list(honest.x) == list(honest.y) == [0, 1]
    np.testing.assert_allclose(model.x, [0.6, 0.9])
    np.testing.assert_allclose(model.y, [1.0, 0.5])
    assert model.line.color == "#123456"


def test_risk_coverage_ends_at_the_error_rate():
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([True, False]))
    (line,) = trust.risk_coverage_chart({"a": curve}, TITLES, COLOURS).data
    assert (line.x[-1], line.y[-1]) == (1, 0.5)
    assert line.name == "Model A"


def test_corruption_curves_start_clean_and_average():
    (mean,) = trust.corruption_curves({"a": corrupted()}, TITLES, COLOURS).data
    assert list(mean.x) == [0, 1, 2]
    np.testing.assert_allclose(mean.y, [0.9, 0.6, 0.3])
    (blur,) = trust.corruption_curves({"a": corrupted()}, TITLES, COLOURS, "blur").data
    np.testing.assert_allclose(blur.y, [0.9, 0.5, 0.4])


def test_the_front_is_drawn_through_what_nothing_beats():
    figure = charts.cost_chart(
        {"a": 1.0, "b": 5.0}, {"a": 0.9, "b": 0.8}, TITLES, COLOURS, ("ms", "accuracy")
    )
    front = figure.data[0]
    assert list(front.x) == [1.0]


@pytest.mark.parametrize(
    ("cost", "gain", "expected"),
    [
        # names lie towards the middle of the chart, where there is room for them
        ({"a": 1.0, "b": 5.0}, {"a": 0.9, "b": 0.8}, {"a": "top right", "b": "top left"}),
        # equal models: their names do not cover each other
        (
            {"a": 5.0, "b": 5.0, "c": 1.0},
            {"a": 0.8, "b": 0.8, "c": 0.7},
            {"a": "top left", "b": "bottom left", "c": "top right"},
        ),
        # b's dot lies where a's name would stand
        (
            {"a": 1.0, "b": 1.1, "c": 10.0},
            {"a": 0.8, "b": 0.81, "c": 0.7},
            {"a": "bottom right", "b": "top right", "c": "top left"},
        ),
        # the last of five equal models finds no place and stands where it would alone
        (
            dict.fromkeys("abcde", 5.0),
            dict.fromkeys("abcde", 0.8),
            {
                "a": "top right", "b": "bottom right", "c": "top left", "d": "bottom left",
                "e": "top right",
            },
        ),
    ],
)  # fmt: skip
def test_names_cover_neither_each_other_nor_a_dot(cost, gain, expected):
    titles = {run_id: f"Model {run_id}" for run_id in cost}
    colours = dict.fromkeys(cost, "#123456")
    figure = charts.cost_chart(cost, gain, titles, colours, ("ms", "accuracy"))
    places = {trace.text[0]: trace.textposition for trace in figure.data[1:]}
    assert places == {titles[run_id]: place for run_id, place in expected.items()}


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ({"a": 0.6}, (0.58, 0.62)),
        ({"a": 0.6, "b": 0.8}, (0.55, 0.85)),
        ({"a": 0.0, "b": 1.0}, (0.0, 1.0)),
        ({"a": 0.6, "not drawn": 0.1}, (0.58, 0.62)),
        ({}, (0.0, 1.0)),
    ],
)
def test_the_axis_of_accuracy_lies_around_the_runs_and_within_0_and_1(gain, expected):
    figure = charts.cost_chart({"a": 1.0, "b": 5.0}, gain, TITLES, COLOURS, ("ms", "accuracy"))
    assert figure.layout.yaxis.range == pytest.approx(expected)


def test_changes_go_left_and_right_of_zero():
    figure = charts.change_bars({"angry": 3, "sad": 0}, {"angry": 1, "sad": 2}, ["angry", "sad"])
    fixed, broken, net = figure.data
    assert list(fixed.x) == [3, 0]
    assert list(broken.x) == [-1, -2]
    assert list(net.text) == ["net +2", "net -2"]


@pytest.fixture
def measured_benchmark(benchmark_copy):
    """A copy of the toy benchmark with cost, robustness, and a name from outside."""
    for name in ("resnet34-cpu-s0", "efficientnet_lite0-cpu-s0"):
        run = benchmark_copy.run(name)
        write_table(run.robustness_path, corrupted(0.6 if name.startswith("r") else 0.5))
        Efficiency(
            run_id=name, parameters=10, flops=2_000_000_000, weight_bytes=3_000_000,
            latency=(Latency(batch_size=1, milliseconds=7.5, repeats=5),),
            peak_memory_bytes=4_000_000, device="cpu", threads=1,
        ).write(run.efficiency_path)  # fmt: skip
    info = benchmark_copy.run("resnet34-cpu-s0").info_path
    info.write_text(info.read_text().replace("EfficientNet-Lite0", "<script>alert(1)</script>"))
    return benchmark_copy


def test_the_report_holds_everything_once_and_escapes_names(measured_benchmark, tmp_path):
    results = read_results(measured_benchmark)
    page = render_report(results)
    assert page.count("plotly.js v") == 1
    assert "<script src" not in page
    assert "<link" not in page.split("</head>")[1]
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    headings = ("Leaderboard", "Pairwise significance", "Recall by class", "Calibration")
    headings += ("Robustness to corruptions", "Training curves", "Accuracy against latency (ms)")
    for heading in headings:
        assert f">{heading}<" in page, heading
    assert "75.7%" in page
    assert "<img" not in page
    assert "data:image" not in page.split("</head>")[1]
    write_report(tmp_path / "report.html", results)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_results_carry_robustness_and_cost(measured_benchmark):
    entries = {entry.run_id: entry for entry in read_results(measured_benchmark).entries}
    values = entries["efficientnet_lite0-cpu-s0"].values
    assert values["gflops"] == 2.0
    assert values["latency_ms"] == 7.5
    assert values["memory_mb"] == 4.0
    assert values["corrupted_accuracy"] == pytest.approx(0.45)
    assert entries["resnet34-cpu-s0"].values["mce"] == pytest.approx(1)  # it is the baseline
    assert values["mce"] > 1
    assert "latency_ms" not in entries["pair-cpu"].values


def test_a_report_of_nothing_says_so(benchmark_copy):
    shutil.rmtree(benchmark_copy.root / "runs")
    assert "There are no runs to report" in render_report(read_results(benchmark_copy))


def test_values_are_formatted_by_kind():
    assert format_value("accuracy", 0.8613) == "86.1%"
    assert format_value("log_loss", 0.39412) == "0.394"
    assert format_value("throughput_32", 1234.5) == "1,234"
    assert format_value("weights_mb", 123.44) == "123.4"
    assert format_value("mce", None) == format_value("mce", float("nan")) == "–"  # noqa: RUF001
