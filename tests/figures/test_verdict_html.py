"""The verdict at the head of the HTML report."""

from dataclasses import replace
from html import escape

from fer_core.evaluation import verdict_text
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.verdict import read_verdict
from fer_core.figures.html_report import render_report
from fer_core.figures.verdict_html import verdict_section


def test_the_report_begins_with_the_verdict(toy):
    verdict = read_verdict(toy.benchmark)
    html = render_report(read_results(toy.benchmark), verdict)
    assert html.index(escape(verdict_text.headline(verdict))) < html.index("<h2>Leaderboard</h2>")
    for item in verdict.recommendation.others:
        assert escape(verdict_text.reason(item, verdict.recommendation)) in html


def test_names_from_outside_stay_text(benchmark_copy):
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.info().model_copy(update={"title": "<script>x</script>"}).write(run.info_path)
    html = "".join(verdict_section(read_verdict(benchmark_copy)))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_licence_and_meaning_of_the_latency_are_shown(toy):
    verdict = read_verdict(toy.benchmark)
    html = "".join(verdict_section(verdict))
    assert "Licence of the recommended weights: Apache-2.0." in html
    assert "Warning" not in html
    first, *others = verdict.recommendation.assessments
    unclear = replace(first, licences=("unverified",))
    result = replace(verdict.recommendation, assessments=(unclear, *others))
    html = "".join(verdict_section(replace(verdict, recommendation=result, device="cpu")))
    assert "Warning: The licence of the recommended weights is unverified" in html
    assert "Licence of the recommended weights: unverified." in html
    assert "per cropped face, without face detection" in html
