"""Model cards: the hub's schema, and every number with its interval and protocol."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from fer_core.evaluation.model_card import CardFacts, card_metadata, model_card
from fer_core.evaluation.regression import RegressionMetrics, RegressionReport, TargetReport
from fer_core.evaluation.report import Estimate, Report
from fer_core.evaluation.verdict import read_verdict
from fer_core.evaluation.verdict_text import headline, reason
from fer_core.records import LedgerEntry

RUN = "efficientnet_lite0-cpu-s0"


@pytest.fixture
def facts(toy):
    run = toy.benchmark.run(RUN)
    report = Report.read(run.report_path)
    second = Report.read(run.second_report_path)
    return CardFacts(
        run.info(), report, toy.benchmark.info(), ("Apache-2.0",), "No mind reader.", "timm",
        "me/net", second,
    )  # fmt: skip


def test_the_hub_reads_results_and_licence(facts):
    card = ModelCard(model_card(facts))
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "timm"
    assert card.data.pipeline_tag == "image-classification"
    accuracy, recall = card.data.eval_results
    test = facts.report.test
    assert accuracy.metric_type == "accuracy"
    assert accuracy.metric_value == round(100 * test.accuracy.value, 2)
    assert recall.metric_value == round(100 * test.macro_recall.value, 2)
    assert f"95%: {100 * test.accuracy.low:.1f} to" in accuracy.metric_name
    assert accuracy.dataset_split == "test"
    assert accuracy.dataset_args["split_hash"] == facts.info.split_hash
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()


def test_protocol_intervals_limits_and_licences_are_in_the_text(facts):
    text = model_card(facts)
    for expected in (
        facts.report.test.accuracy.text,
        f"Split `{facts.info.split_hash}`",
        "without test-time augmentation",
        "test, second annotation",
        "No mind reader.",
        "Weights, and code of the architecture: Apache-2.0",
        "Data Toy faces: CC0",
        'timm.create_model("hf-hub:me/net", pretrained=True)',
        "architecture: efficientnet_lite0",
    ):
        assert expected in text


def test_what_drawn_faces_show_is_a_limit(facts):
    sentence = "On drawn faces with the expression held fixed: glasses change 6% of answers."
    text = model_card(replace(facts, drawn_faces=sentence))
    limits = text[text.index("## Limits") : text.index("## Training")]
    assert sentence in limits
    assert "Drawn faces" not in model_card(facts)


def test_the_verdict_and_the_place_of_the_run_are_those_of_the_page(facts, toy):
    verdict = read_verdict(toy.benchmark)
    text = model_card(replace(facts, verdict=verdict)).replace("\\", "")
    assert f"**{headline(verdict)}**" in text
    for item in verdict.recommendation.assessments:
        card = model_card(
            replace(facts, info=replace_id(facts.info, item.run_id), verdict=verdict)
        ).replace("\\", "")
        if item is verdict.recommended:
            assert "This run is the recommended one." in card
        else:
            assert f"This run: {reason(item, verdict.recommendation)}." in card
    other = replace(facts, info=replace_id(facts.info, "elsewhere"), verdict=verdict)
    assert "This run: it cannot be compared." in model_card(other)
    assert "## Verdict" not in model_card(facts)


def replace_id(info, run_id):
    return info.model_copy(update={"run_id": run_id})


@pytest.mark.parametrize("licences", [("unknown",), ("Apache-2.0", "MIT"), ("unverified",)])
def test_unclear_or_several_licences_are_other(facts, licences):
    data = ModelCard(model_card(replace(facts, licences=licences))).data
    assert (data.license, data.license_name) == ("other", "see-card")


def test_texts_of_users_cannot_add_markup_or_metadata(facts):
    info = facts.info.model_copy(
        update={"title": "net\n---\nevil: 1", "note": "<script> ![x](y)", "tags": ("a: [b",)}
    )
    text = model_card(replace(facts, info=info))
    header, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(header)["tags"][-1] == "a: [b"
    assert "evil" not in yaml.safe_load(header)
    assert "<script>" not in body
    assert "![x]" not in body


def test_an_initial_model_of_the_hub_is_the_base_model(facts):
    info = facts.info.model_copy(update={"init_source": "hub timm/resnet34.a1_in1k@abc123"})
    assert ModelCard(model_card(replace(facts, info=info))).data.base_model == (
        "timm/resnet34.a1_in1k"
    )


def changed(facts, part, **values):
    """The facts with values of `info`, or of a part of the report, changed."""
    if part == "info":
        return replace(facts, info=facts.info.model_copy(update=values))
    inner = getattr(facts.report, part).model_copy(update=values)
    return replace(facts, report=facts.report.model_copy(update={part: inner}))


def test_metadata_have_rounded_metrics_and_the_licence(facts):
    known = changed(
        facts,
        "test",
        accuracy=Estimate(value=0.654321, low=0.61249, high=0.69951),
        macro_recall=Estimate(value=0.5, low=0.4444, high=0.5556),
    )
    metadata = card_metadata(replace(known, licences=("unknown",)))
    licence = {name: metadata[name] for name in ("license", "license_name", "license_link")}
    assert licence == {
        "license": "other", "license_name": "see-card", "license_link": "README.md"
    }  # fmt: skip
    assert metadata["metrics"] == ["accuracy", "recall"]
    assert metadata["model-index"][0]["results"][0]["metrics"] == [
        {"type": "accuracy", "name": "Accuracy (95%: 61.2 to 70.0)", "value": 65.43},
        {"type": "recall", "name": "Macro-recall (95%: 44.4 to 55.6)", "value": 50.0},
    ]


def test_results_have_a_row_for_each_set_and_class(facts):
    report = facts.report
    absent = report.test.classes[0].model_copy(
        update={"samples": 0, "recall": None, "precision": None, "f1": None}
    )
    lines = model_card(changed(facts, "test", classes=(absent, *report.test.classes[1:])))
    rows = [line for line in lines.splitlines() if line.startswith("| ")]
    sets = [row.split(" | ")[0] for row in rows[2:6]]
    assert sets == ["| test", "| test, leak-free", "| validation", "| test, second annotation"]
    same = changed(facts, "test_leak_free", **dict(report.test))
    assert "With those of test" not in model_card(same)
    assert f"With those of test, their accuracy is {report.leak_free_accuracy:.1%}." in lines
    assert f"| {absent.label} | 0 |  |  |  |" in rows
    for row in report.test.classes[1:]:
        assert (
            f"| {row.label} | {row.samples} | {row.recall.text} | {row.precision:.1%} | "
            f"{row.f1:.1%} |"
        ) in rows


def test_results_of_the_regression_head_are_a_table(facts):
    frames = RegressionMetrics(
        count=1200,
        mae=Estimate(value=1, low=0.5, high=1.5),
        rmse=Estimate(value=2, low=1, high=3),
        concordance=Estimate(value=0.5, low=0.25, high=0.75),
        mae_of_mean=1.25,
    )
    clips = frames.model_copy(update={"count": 3, "concordance": None})
    targets = {"score": TargetReport(frames={"test": frames}, clips={"test": clips})}
    text = model_card(replace(facts, regression=RegressionReport(run_id=RUN, targets=targets)))
    table = text[text.index("### Regression head") : text.index("## Protocol")].splitlines()
    assert table[4:6] == [
        "| score | test, frames | 1,200 | 1.000 [0.500, 1.500] | 2.000 [1.000, 3.000] | "
        "0.500 [0.250, 0.750] | 1.250 |",
        "| score | test, clips | 3 | 1.000 [0.500, 1.500] | 2.000 [1.000, 3.000] |  | 1.250 |",
    ]
    assert "### Regression head" not in model_card(facts)


READINGS = tuple(LedgerEntry(time=f"2026-01-0{day}") for day in (1, 2, 3))


@pytest.mark.parametrize(
    ("part", "values", "sentence"),
    [
        ("info", {"kind": "network"}, "\n\nA network that predicts"),
        ("info", {"kind": "ensemble"}, "\n\nAn ensemble that predicts"),
        ("info", {"kind": "imported"}, "\n\nAn imported model that predicts"),
        ("info", {"members": ("a", "b")}, "It averages the probabilities of `a`, `b`."),
        ("info", {"image_size": 32}, "Input: one cropped face, 32 x 32 pixels; preprocessing"),
        ("info", {"image_size": None}, "Input: unknown; preprocessing"),
        ("info", {"test_ledger": READINGS[:1]}, "This run read test once\n"),
        ("info", {"test_ledger": READINGS}, "This run read test 3 times\n"),
        (
            "protocol",
            {"test_time_augmentation": True},
            "labels: label, with test-time augmentation",
        ),
    ],
)
def test_a_fact_has_its_sentence(facts, part, values, sentence):
    assert sentence in model_card(changed(facts, part, **values))


def test_without_a_repository_a_folder_is_loaded(facts):
    text = model_card(replace(facts, repository=""))
    assert 'timm.create_model("local-dir:folder", pretrained=True)' in text
