"""Printing a verdict."""

import json

from fer_core.evaluation import verdict_text
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.verdict import Verdict
from fer_core.evaluation.verdict_json import verdict_json
from fer_core.evaluation.weaknesses import Weaknesses
from training.terminal.progress import console


def print_verdict(verdict: Verdict, point: OperatingPoint | None = None) -> None:
    """Prints a verdict as text, in the order of the start page, and an operating point."""
    _line(verdict_text.headline(verdict), style="bold")
    doubt = verdict_text.licence_warning(verdict)
    for sentence in (*verdict_text.contradictions(verdict), doubt, *verdict.warnings):
        _line(sentence, style="yellow")
    for sentence in verdict_text.notes(verdict):
        _line(sentence)
    if point is not None:
        _section("Operating point")
        for sentence in (point.statement, *point.class_texts, point.scope):
            _line(sentence)
    recommendation = verdict.recommendation
    for step in verdict_text.next_steps(verdict):
        _line(f"- {step}")
    _section("Why not the others")
    for item in recommendation.others:
        _line(f"- {item.title}: {verdict_text.reason(item, recommendation)}")
    for title, reason in verdict_text.not_compared(verdict):
        _line(f"- {title}: {reason}")
    if verdict.weaknesses is not None:
        _weaknesses(verdict.weaknesses)
    _section("What the data cannot tell")
    for sentence in verdict_text.limits(verdict):
        _line(f"- {sentence}")
    _section("Rule")
    _line(verdict_text.RULE)
    _line(f"Benchmark {verdict.benchmark.name}, split {verdict.benchmark.split_hash}.")


def _weaknesses(weaknesses: Weaknesses) -> None:
    _section("Where it fails (test)")
    for part in weaknesses.slices:
        _line(f"- {part.statement}")
    for confusion in weaknesses.confusions:
        _line(f"- {verdict_text.confusion_text(confusion)}")
    if weaknesses.drawn_faces:
        _line(f"- {weaknesses.drawn_faces}")


def print_json(verdict: Verdict, point: OperatingPoint | None = None) -> None:
    """Prints a verdict, and an operating point, as one JSON object."""
    console.print(
        json.dumps(verdict_json(verdict, point), indent=2),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _section(title: str) -> None:
    console.print()
    _line(title, style="bold")


def _line(text: str, style: str | None = None) -> None:
    """Prints a line; nothing if it is empty."""
    if text:
        console.print(text, style=style, markup=False, highlight=False)
