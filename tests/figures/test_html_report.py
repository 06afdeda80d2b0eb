"""The HTML report of a benchmark."""

import re
import shutil

import pandas as pd
import pytest

from fer_core.evaluation.efficiency import Efficiency, Latency
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.verdict import read_verdict
from fer_core.figures import html_report
from fer_core.figures.html_report import render_report, write_report
from fer_core.tables import write_table
from tests.support.constructed import robustness_table


@pytest.fixture
def measured_benchmark(benchmark_copy):
    """A copy of the toy benchmark with cost, robustness, and a name from outside."""
    for name in ("resnet34-cpu-s0", "efficientnet_lite0-cpu-s0"):
        run = benchmark_copy.run(name)
        write_table(
            run.robustness_path,
            robustness_table(0.9, (0.6 if name.startswith("r") else 0.5, 0.4), (0.7, 0.2)),
        )
        Efficiency(
            run_id=name, parameters=10, flops=2_000_000_000, weight_bytes=3_000_000,
            latency=(Latency(batch_size=1, milliseconds=7.5, repeats=5),),
            peak_memory_bytes=4_000_000, device="cpu", threads=1,
        ).write(run.efficiency_path)  # fmt: skip
    info = benchmark_copy.run("resnet34-cpu-s0").info_path
    info.write_text(info.read_text().replace("EfficientNet-Lite0", "<script>alert(1)</script>"))
    return benchmark_copy


def test_the_report_is_self_contained_and_escapes_names(measured_benchmark, tmp_path):
    results = read_results(measured_benchmark)
    page = render_report(results)
    assert page.count("plotly.js v") == 1
    assert "<script src" not in page
    assert "<link" not in page.split("</head>")[1]
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    headings = ("Leaderboard", "Pairwise tests", "Recall by class", "Calibration")
    headings += ("Robustness to corruptions", "Training curves", "Accuracy against latency (ms)")
    for heading in headings:
        assert f">{heading}<" in page, heading
    assert "75.7%" in page
    assert "<img" not in page
    assert "data:image" not in page.split("</head>")[1]
    write_report(tmp_path / "report.html", results)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_results_contain_robustness_and_cost(measured_benchmark):
    entries = {entry.run_id: entry for entry in read_results(measured_benchmark).entries}
    values = entries["efficientnet_lite0-cpu-s0"].values
    assert values["gflops"] == 2.0
    assert values["latency_ms"] == 7.5
    assert values["memory_mb"] == 4.0
    assert values["corrupted_accuracy"] == pytest.approx(0.45)
    assert entries["resnet34-cpu-s0"].values["mce"] == pytest.approx(1)  # it is the baseline
    assert values["mce"] > 1
    assert "latency_ms" not in entries["pair-cpu"].values


def test_the_report_begins_with_the_verdict_and_ends_with_the_protocol(measured_benchmark):
    results = read_results(measured_benchmark)
    page = render_report(results, read_verdict(measured_benchmark))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[0] == "Verdict"
    assert headings[-1] == "Protocol"
    assert headings.index("Pairwise tests") > headings.index("Robustness to corruptions")


def test_a_report_without_runs_says_so(benchmark_copy):
    shutil.rmtree(benchmark_copy.root / "runs")
    assert "There are no runs to report" in render_report(read_results(benchmark_copy))


def test_runs_without_a_temperature_are_named_as_uncalibrated(benchmark_copy):
    assert "Uncalibrated" not in render_report(read_results(benchmark_copy))
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.info().model_copy(update={"title": "ResNet-34 elsewhere"}).write(run.info_path)
    table = pd.read_parquet(run.predictions_path)
    write_table(run.predictions_path, table[table["split"] == "test"])
    page = render_report(read_results(benchmark_copy))
    assert "Uncalibrated: ResNet-34 elsewhere. Without validation" in page


def test_only_long_words_of_a_printed_table_break():
    table = pd.DataFrame({"accuracy": ["88.1%"], "95%": ["87.0 to 89.2"], "hash": ["0a1b2c3d" * 4]})
    text = html_report._table(table)
    assert text.count('class="long"') == 1
    assert f'<td class="long">{"0a1b2c3d" * 4}</td>' in text
    assert '<td class="short">87.0 to 89.2</td>' in text
