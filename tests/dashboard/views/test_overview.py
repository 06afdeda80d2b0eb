"""The start page: the verdict changes with the constraints, and agrees with the command."""

from html import unescape

import pytest

from dashboard.cache import verdict as cache
from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints, ModelKind
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.verdict import read_verdict
from tests.support.candidates import write_efficiency
from tests.support.pages import texts


@pytest.fixture
def timed(benchmark_copy):
    """A benchmark whose runs take 10, 20, 30 and 40 ms and 1 to 4 MB."""
    for number, run in enumerate(benchmark_copy.runs(), start=1):
        write_efficiency(run, 10.0 * number, number)
    return benchmark_copy


def page_html(app) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def page_text(app) -> str:
    return unescape(page_html(app))


def metrics(app) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_the_page_shows_the_verdict_of_the_command(open_page, timed, artifacts_copy):
    app = open_page("overview", artifacts_copy)
    verdict = read_verdict(timed)
    assert not app.exception
    shown = page_text(app)
    assert verdict_text.headline(verdict) in shown
    for item in verdict.recommendation.others:
        assert verdict_text.reason(item, verdict.recommendation) in shown
    for sentence in verdict_text.limits(verdict):
        assert sentence in shown
    for confusion in verdict.weaknesses.confusions:
        text = verdict_text.confusion_text(confusion)
        assert text in texts(app).replace("\\", "")
    assert metrics(app)["Latency"] == verdict_text.ms_text(verdict.recommended.milliseconds)


def test_a_constraint_changes_the_verdict(open_page, timed, artifacts_copy):
    app = open_page("overview", artifacts_copy)
    assert metrics(app)["Latency"] == "10 ms"
    app.segmented_control(key="kind").set_value("ensemble").run()
    expected = verdict_text.headline(read_verdict(timed, Constraints.of(kind=ModelKind.ENSEMBLE)))
    assert expected in page_html(app)
    assert "the only model within the constraints" in expected
    assert "it is not an ensemble" in page_html(app)


def test_a_link_restores_the_constraints(open_page, timed, artifacts_copy):
    app = open_page(
        "overview", artifacts_copy, max_ms="25", max_mb="9", need="sad", recall_sad="60",
        errors="balanced", kind="single",
    )  # fmt: skip
    constraints = Constraints.of(
        max_ms=25, max_mb=9, min_recall={"sad": 0.6}, kind=ModelKind.SINGLE
    )
    verdict = read_verdict(timed, constraints, ErrorCosts(balanced=True))
    assert app.number_input(key="max_ms").value == 25
    assert app.slider(key="recall_sad").value == 60
    assert verdict_text.headline(verdict) in page_html(app)


def test_without_a_model_the_page_says_what_to_loosen(open_page, timed, artifacts_copy):
    app = open_page("overview", artifacts_copy, max_ms="5")
    assert "No model is within these constraints." in page_html(app)
    assert "Raise the latency limit from 5 to 10 ms" in texts(app)
    assert "Accuracy" not in metrics(app)
    assert [button.label for button in app.get("download_button")] == ["PDF", "JSON"]


def test_what_was_not_measured_names_the_command(open_page, toy):
    app = open_page("overview", toy.artifacts, max_ms="5")
    assert "its latency was not measured" in page_html(app)
    assert "python -m training efficiency toy" in [code.value for code in app.code]


def test_costs_of_the_users_own(open_page, timed, artifacts_copy):
    app = open_page("overview", artifacts_copy, errors="custom", error_costs="*>angry=5")
    expected = read_verdict(timed, costs=ErrorCosts.parse(["*>angry=5"]))
    assert verdict_text.headline(expected) in page_html(app)
    app.text_input(key="error_costs").set_value("calm>angry=2").run()
    assert "Unknown label 'calm'" in texts(app)
    assert not app.exception


def test_a_model_whose_predictions_are_damaged_is_a_warning(open_page, timed, artifacts_copy):
    timed.run("pair-cpu").predictions_path.write_bytes(b"no table")
    app = open_page("overview", artifacts_copy)
    assert not app.exception
    assert any("pair-cpu" in warning.value for warning in app.warning)
    assert "Ship " in page_html(app)


def test_names_from_outside_stay_text(open_page, timed, artifacts_copy):
    run = timed.run("resnet34-cpu-s0")
    info = run.info().model_copy(update={"title": "<img src=x onerror=alert(1)>"})
    info.write(run.info_path)
    html = page_html(open_page("overview", artifacts_copy))
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_faces_and_links_lead_to_the_errors(open_page, toy):
    app = open_page("overview", toy.artifacts, toy.data)
    verdict = read_verdict(toy.benchmark)
    first = verdict.weaknesses.confusions[0]
    links = [element.proto for element in app.get("page_link")]
    (link,) = [
        one for one in links if one.label == f"Open these {first.images:,} images"
        and f"true={first.truth}" in one.query_string
    ]  # fmt: skip
    assert f"predicted={first.predicted}" in link.query_string
    assert f"run={verdict.recommended.run_id}" in link.query_string
    assert not app.exception


def test_a_face_in_the_address_opens_the_viewer(open_page, toy):
    verdict = read_verdict(toy.benchmark)
    table = toy.benchmark.samples()
    sample = table.loc[table["split"] == "test", "id"].iloc[3]
    app = open_page("overview", toy.artifacts, toy.data, sample=str(sample))
    assert not app.exception
    assert verdict_text.headline(verdict) in page_html(app)
    assert str(sample) in texts(app) + page_html(app)


def test_an_operating_point_is_chosen_and_saved(open_page, toy):
    app = open_page("overview", toy.artifacts)
    assert "It predicts every image: " in texts(app).replace("\\", "")
    app = open_page("overview", toy.artifacts, point="one threshold", threshold="70")
    assert not app.exception
    assert app.slider(key="threshold").value == 70
    assert "Unsure below 70.0%" in texts(app).replace("\\", "")
    labels = [button.label for button in app.get("download_button")]
    assert "Save the operating point" in labels
    app.segmented_control(key="point").set_value("threshold by class").run()
    app.slider(key="threshold_angry").set_value(99).run()
    assert not app.exception
    assert "99.0% for angry, 50.0% for disgust" in texts(app).replace("\\", "")


def test_an_error_rate_that_no_threshold_keeps_is_said(open_page, toy):
    app = open_page("overview", toy.artifacts, point="limit the error rate", max_risk="1")
    assert "No threshold keeps the error rate at 1% with 95% confidence" in texts(app).replace(
        "\\", ""
    )
    assert not app.exception


def test_a_limit_holds_with_confidence_unless_switched_off(open_page, toy):
    app = open_page("overview", toy.artifacts, point="limit the error rate", max_risk="30")
    assert "keeps the error rate at 30% with 95% confidence" in texts(app).replace("\\", "")
    app.toggle(key="certain").set_value(False).run()
    assert "Thresholds for at most 30% errors on validation; new" in texts(app).replace("\\", "")
    assert not app.exception


def test_a_precision_of_a_class_is_limited_and_is_in_the_downloads(open_page, toy, monkeypatch):
    points = []
    monkeypatch.setattr(cache, "pdf", lambda verdict, point, content: points.append(point) or b"")
    app = open_page(
        "overview", toy.artifacts, point="limit the precision of a class", precise="sad",
        min_precision="50", certain="false",
    )  # fmt: skip
    assert not app.exception
    assert app.selectbox(key="precise").value == "sad"
    assert app.slider(key="min_precision").value == 50
    shown = texts(app).replace("\\", "")
    assert "a precision of sad of at least 50% on validation" in shown
    assert "These limits do not choose the model" in shown
    assert points[-1].limits.min_precision == {"sad": 0.5}
    assert points[-1].class_texts[0] in shown
    app.segmented_control(key="point").set_value("always predict").run()
    assert points[-1] is None


def test_the_cards_have_their_intervals_licence_and_kind_of_latency(
    open_page, timed, artifacts_copy
):
    pick = read_verdict(timed).recommended
    shown = texts(open_page("overview", artifacts_copy)).replace("\\", "")
    assert f"accuracy {pick.accuracy.text}, macro-recall {pick.macro_recall.text}" in shown
    assert "Licence of the recommended weights: Apache-2.0." in shown
    assert "per cropped face, without face detection" in shown
    assert "licence of the recommended weights is" not in shown
    run = timed.run(pick.run_id)
    unclear = run.info().model_copy(update={"init": "checkpoint", "init_source": "file x.pt"})
    unclear.write(run.info_path)
    app = open_page("overview", artifacts_copy)
    assert any("licence of the recommended weights is unknown" in w.value for w in app.warning)
