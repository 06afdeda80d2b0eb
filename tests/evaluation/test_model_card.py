"""Model cards: the hub's schema, and every number with its interval and protocol."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from fer_core.evaluation.model_card import CardFacts, model_card
from fer_core.evaluation.report import Report
from fer_core.evaluation.verdict import read_verdict
from fer_core.evaluation.verdict_text import headline, reason

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
