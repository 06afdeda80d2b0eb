"""The PDF of a verdict: two pages whose numbers are those of the page."""

import io
from dataclasses import replace

import pytest
from pypdf import PdfReader

from fer_core import __version__
from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.operating_points import calibrated_splits, operating_point
from fer_core.evaluation.predictions import read_predictions
from fer_core.evaluation.risk_limits import RiskLimits, choose_thresholds
from fer_core.evaluation.verdict import read_verdict
from fer_core.figures.verdict_pdf import render_pdf, write_pdf
from fer_core.labels import LabelSet
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


def test_each_page_has_version_and_date_of_the_results(timed):
    run = timed.run("pair-cpu")
    run.info().model_copy(update={"created": "2099-05-04T03:02:01+00:00"}).write(run.info_path)
    for number, page in enumerate(pages(render_pdf(read_verdict(timed))), start=1):
        assert f"FERscope {__version__}, newest run of 2099-05-04" in page
        assert f"page {number} of 2" in page


def test_the_table_has_intervals_and_licences_and_the_chart_axis_titles(timed):
    verdict = read_verdict(timed)
    first, _ = pages(render_pdf(verdict))
    table = first[first.index("All models") :]
    for item in verdict.recommendation.assessments:
        assert item.accuracy.text in table
        assert item.macro_recall.text in table
        assert ", ".join(item.licences) in table
    assert "latency per cropped face in ms, log scale" in first
    assert "test accuracy" in first
    for note in verdict_text.notes(verdict):
        assert note in first


def test_an_unclear_licence_is_a_warning(timed):
    verdict = read_verdict(timed)
    head, *others = verdict.recommendation.assessments
    unclear = (replace(head, licences=("unverified",)), *others)
    result = replace(verdict.recommendation, assessments=unclear)
    first, _ = pages(render_pdf(replace(verdict, recommendation=result)))
    assert "Warning: The licence of the recommended weights is unverified" in first


def test_the_limits_of_an_operating_point_and_their_results_are_shown(timed):
    verdict = read_verdict(timed)
    run = timed.run(verdict.recommended.run_id)
    info = run.info()
    predictions = read_predictions(run, LabelSet(info.labels))
    splits = calibrated_splits(predictions.split("validation"), predictions.split("test"))
    limits = RiskLimits(min_precision={"sad": 0.2}, confidence=0)
    thresholds = choose_thresholds(splits[1], limits)
    point = operating_point("toy", info, splits, thresholds, limits)
    first, second = pages(render_pdf(verdict, point))
    assert f"{limits.text} {point.scope}" in first
    assert "a precision of sad of at least 20%" in first
    assert point.statement in second
    (sentence,) = point.class_texts
    assert sentence in second
    by_hand = operating_point("toy", info, splits, {"sad": 0.5})
    assert "do not choose the model" not in pages(render_pdf(verdict, by_hand))[0]
