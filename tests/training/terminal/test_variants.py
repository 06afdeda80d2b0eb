"""The printed effects of a parameter."""

import pytest

from fer_core.evaluation.report import Estimate
from fer_core.evaluation.variants import Effect
from training.terminal.progress import console
from training.terminal.variants import print_effects

GROUPS = {"none": ["a-s0", "a-s1"], "sqrt": ["b-s0", "b-s1"]}


def effect(metric, before, after, low, high):
    return Effect(metric, 20, before, after, Estimate(value=after - before, low=low, high=high))


@pytest.fixture
def printed(monkeypatch, capsys):
    monkeypatch.setattr(console, "width", 160)

    def run(*rows):
        print_effects("loss.class_weights", GROUPS, rows, "test")
        text = capsys.readouterr().out
        lines = [line.split("│") for line in text.splitlines() if line.startswith("│")]
        return {cells[1].strip(): cells[6].strip() for cells in lines}, text

    return run


def test_a_recall_of_0_on_both_sides_has_no_interval(printed):
    rows, text = printed(
        effect("accuracy", 0.5, 0.6, 0.02, 0.18), effect("disgust", 0.0, 0.0, 0.0, 0.0)
    )
    assert rows == {"accuracy": "+2.0 to +18.0", "recall of disgust": "–"}  # noqa: RUF001
    assert "all resamples are equal, such as for a recall of 0% on both sides" in text
    assert "all resamples are equal" not in printed(effect("fear", 0.5, 0.5, -0.1, 0.1))[1]
