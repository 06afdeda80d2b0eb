"""`recommend`: text, JSON and errors."""

import json

import pytest
from typer.testing import CliRunner

from fer_core.errors import DataError
from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.verdict import read_verdict
from tests.support.candidates import write_efficiency
from training import __main__ as cli
from training.terminal.progress import console


@pytest.fixture
def recommend(benchmark_copy, monkeypatch):
    """Returns a function that runs the command on a benchmark with measured latencies."""
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(benchmark_copy.root.parent))
    monkeypatch.setattr(console, "width", 400)
    for number, run in enumerate(benchmark_copy.runs(), start=1):
        write_efficiency(run, 10.0 * number, number)

    def run_(*arguments: str):
        return CliRunner().invoke(cli.app, ["recommend", "toy", *arguments], catch_exceptions=False)

    return run_


def test_text_has_every_part_of_the_verdict(recommend, benchmark_copy):
    result = recommend("--max-ms", "35")
    assert result.exit_code == 0
    verdict = read_verdict(benchmark_copy, Constraints.of(max_ms=35))
    assert verdict_text.headline(verdict) in result.output
    for title in (
        "Why not the others",
        "Where it fails (test)",
        "What the data cannot tell",
        "Rule",
    ):
        assert title in result.output
    for item in verdict.recommendation.others:
        assert verdict_text.reason(item, verdict.recommendation) in result.output
    assert "40 ms, over the limit of 35 ms" in result.output


def test_json_has_the_same_numbers(recommend, benchmark_copy):
    result = recommend("--json", "--cost", "balanced", "--min-recall", "angry=.2,sad=.1")
    content = json.loads(result.output)
    assert content["constraints"]["min_recall"] == {"angry": 0.2, "sad": 0.1}
    assert content["cost"] == "balanced"
    assert content["verdict"].startswith("Ship ")
    models = {model["run"]: model for model in content["models"]}
    assert set(models) == {run.run_id for run in benchmark_copy.runs()}
    pick = models[content["recommended"]]
    assert (pick["status"], pick["reason"], pick["difference"]) == ("recommended", None, None)
    assert [check["class"] for check in content["recalls"]] == ["angry", "sad"]
    assert len(content["weaknesses"]["confusions"]) == 3


def test_without_a_run_the_status_is_1_and_the_advice_is_printed(recommend):
    result = recommend("--max-ms", "5", "--json")
    content = json.loads(result.output)
    assert result.exit_code == 1
    assert content["recommended"] is None
    assert content["weaknesses"] is None
    (advice,) = content["loosen"]
    assert advice["advice"].startswith("Raise the latency limit from 5 to 10 ms: then ")
    assert advice["constraints"] == [
        {"limit": "latency", "class": None, "allowed": 5.0, "value": 10.0}
    ]
    assert "Raise the latency limit" in recommend("--max-ms", "5").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-recall", "calm=.5"], "no class 'calm'"),
        (["--min-recall", "angry"], "cannot be read"),
        (["--cost", "calm>angry=2"], "Unknown label 'calm'"),
        (["--max-mb", "-1"], "must be above 0"),
        (["--min-precision", "angry=2"], "minimum precision 'angry=2' must be between 0 and 1"),
        (["--min-precision", "calm=.5"], "calm"),
    ],
)
def test_errors_name_the_option(recommend, arguments, message):
    with pytest.raises(DataError, match=message):
        recommend(*arguments)


def test_an_operating_point_is_saved_and_printed(recommend, benchmark_copy, tmp_path):
    path = tmp_path / "operating_point.json"
    result = recommend("--max-risk", ".4", "--operating-point", str(path))
    point = OperatingPoint.read(path)
    assert point.statement in result.output
    assert point.validation.risk.value <= 0.4
    assert point.run_id == read_verdict(benchmark_copy).recommended.run_id
    content = json.loads(recommend("--max-risk", ".4", "--json").output)
    assert content["operating_point"]["thresholds"] == point.thresholds
    assert content["operating_point"]["limits"]["confidence"] == 0.95


def test_without_confidence_a_limit_holds_on_validation_only(recommend):
    result = recommend("--max-risk", ".4", "--confidence", "0", "--json")
    point = json.loads(result.output)["operating_point"]
    assert point["validation"]["risk"]["value"] <= 0.4
    assert "new images exceed this about half the time" in OperatingPoint(**point).statement


def test_precision_and_recall_of_a_limited_class_are_printed(recommend):
    limits = ("--min-precision", "angry=.3,sad=.2", "--confidence", "0")
    printed = recommend(*limits).output
    point = OperatingPoint(**json.loads(recommend(*limits, "--json").output)["operating_point"])
    for label in ("angry", "sad"):
        row = point.test.of_class(label)
        assert f"{label} on test: precision {row.precision.text}" in printed
        assert f"recall {row.recall.text}." in printed
    assert "happy on test" not in printed
    assert "These limits do not choose the model" in printed
    assert "do not choose the model" not in recommend().output


def test_thresholds_are_not_saved_without_a_limit(recommend, tmp_path):
    path = tmp_path / "operating_point.json"
    result = recommend("--operating-point", str(path))
    assert result.exit_code == 2
    assert "--max-risk .05" in result.output
    assert not path.exists()


def test_licences_are_compared_without_case(recommend):
    assert "No model" not in recommend("--licence", "apache-2.0").output
    with pytest.raises(DataError, match=r"licence 'commercial'.*Apache-2\.0"):
        recommend("--licence", "commercial")


def test_licence_and_meaning_of_the_latency_are_printed(recommend, benchmark_copy):
    verdict = read_verdict(benchmark_copy)
    printed = recommend().output
    assert "Licence of the recommended weights: " in printed
    for note in verdict_text.notes(verdict):
        assert note in printed
    run = benchmark_copy.run(verdict.recommended.run_id)
    unclear = run.info().model_copy(update={"init": "checkpoint", "init_source": "file x.pt"})
    unclear.write(run.info_path)
    assert "The licence of the recommended weights is unknown." in recommend().output
