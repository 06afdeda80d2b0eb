"""The PDF of a verdict: two pages whose numbers are those of the page."""

import io

import pytest
from pypdf import PdfReader

from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.verdict import read_verdict
from fer_core.figures.verdict_pdf import render_pdf, write_pdf
from tests.support.candidates import write_efficiency


def pages(data: bytes) -> list[str]:
    reader = PdfReader(io.BytesIO(data))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


@pytest.fixture
def timed(benchmark_copy):
    for number, run in enumerate(benchmark_copy.runs(), start=1):
        write_efficiency(run, 7.0 * number, number)
    return benchmark_copy


def test_the_pdf_has_two_pages_with_the_sentences_of_the_verdict(timed):
    verdict = read_verdict(timed, Constraints.of(max_ms=25, min_recall={"sad": 0.3}))
    first, second = pages(render_pdf(verdict))
    assert verdict_text.headline(verdict) in first
    assert verdict_text.constraints_text(verdict.recommendation) in first
    assert verdict_text.RULE in first
    for item in verdict.recommendation.assessments:
        assert f"{item.accuracy.value:.1%}" in first
        assert verdict_text.ms_text(item.milliseconds) in first
    for item in verdict.recommendation.others:
        assert verdict_text.reason(item, verdict.recommendation) in first
    for confusion in verdict.weaknesses.confusions:
        assert verdict_text.confusion_text(confusion) in second
    for sentence in verdict_text.limits(verdict):
        assert sentence in second
    for row in verdict.test_metrics.classes:
        assert f"{row.recall.value:.1%}" in second


def test_without_a_model_there_are_two_pages_with_the_advice(timed):
    verdict = read_verdict(timed, Constraints.of(max_ms=3))
    first, second = pages(render_pdf(verdict))
    assert "No model is within these constraints." in first
    assert verdict_text.loosening_text(verdict.recommendation.loosenings[0]) in first
    assert "What the data cannot tell" in second


def test_names_from_outside_cannot_break_it(timed):
    run = timed.run("resnet34-cpu-s0")
    title = "<b>Модель & </para>"
    run.info().model_copy(update={"title": title}).write(run.info_path)
    first, _ = pages(render_pdf(read_verdict(timed)))
    assert "<b>?????? & </para>" in first


def test_unmeasured_latencies_leave_the_chart_out(toy):
    first, _ = pages(render_pdf(read_verdict(toy.benchmark)))
    assert "Accuracy and latency" not in first
    assert "not measured" in first


def test_equal_verdicts_give_equal_files(toy, tmp_path):
    verdict = read_verdict(toy.benchmark)
    write_pdf(tmp_path / "a.pdf", verdict)
    assert (tmp_path / "a.pdf").read_bytes() == render_pdf(verdict)
