"""The page Response curves, through the application's entry."""

import json
import shutil

import numpy as np
import pytest

from dashboard.sections import response_curves
from fer_core.artifacts import ArtifactStore
from fer_core.synthetic.action_units import UNIT_NAMES
from tests.support.pages import galleries, texts
from tests.support.probes import write_stub_probes


@pytest.fixture(scope="module")
def probed(toy, tmp_path_factory):
    artifacts = tmp_path_factory.mktemp("probed") / "artifacts"
    shutil.copytree(toy.artifacts, artifacts)
    write_stub_probes(ArtifactStore(artifacts).benchmark("toy"))
    return artifacts


def test_a_curve_is_shown_with_its_validity_and_limits(open_page, probed):
    app = open_page("response_curves", probed, unit="sad")
    assert not app.exception
    page = texts(app)
    assert "no measure of fairness" in page
    assert "recognises every expression on at least half" in page
    assert (
        "For half of the persons the prediction has changed at intensity 1, mostly to sad" in page
    )
    (spec,) = [json.loads(item.proto.spec) for item in app.get("plotly_chart")]
    lines = {line["name"]: line["y"] for line in spec["data"] if line.get("name")}
    assert lines["sad ↑"] == [0, 1, 1, 1, 1, 1]
    table = next(item.value for item in app.dataframe if "belongs to" in item.value)
    assert len(table) == 22


def test_a_pair_of_units_is_drawn_on_demand(open_page, probed, monkeypatch):
    values = np.zeros((6, 6, 7))
    monkeypatch.setattr(response_curves, "_pair_values", lambda *_: values)
    app = open_page("response_curves", probed)
    assert len(app.get("plotly_chart")) == 1
    next(button for button in app.button if button.label.startswith("Draw")).click().run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 2
    app.run()  # as any other click on the page does
    assert len(app.get("plotly_chart")) == 2


def test_a_pair_in_an_address_of_an_earlier_version_is_opened(open_page, probed):
    app = open_page("response_curves", probed, row=UNIT_NAMES[3], label="sad")
    assert not app.exception
    assert not app.warning
    assert app.selectbox(key="first_unit").value == UNIT_NAMES[3]
    assert app.selectbox(key="pair_class").value == "sad"


def test_what_should_not_matter_is_sorted_and_its_faces_are_shown(open_page, probed):
    app = open_page("response_curves", probed, probe="Only this changed")
    assert not app.exception
    page = texts(app).replace("\\", "")
    assert (
        "Skin tone 8 of 9 (compared with skin tone 5 of 9) turns 100% [93, 100] of neutral" in page
    )
    assert "neutral faces into angry (50 of 50)" in page
    assert "No significant mean shift of a class" in page
    assert not galleries(app)
    app.toggle(key="faces-changed").set_value(True).run()
    assert not app.exception
    assert "The first 12 of 50." in texts(app)


def test_all_models_are_compared(open_page, probed):
    app = open_page("response_curves", probed, probe="All models")
    assert not app.exception
    headings = [item.value for item in app.subheader]
    assert headings == [
        "Which models recognise drawn faces?",
        "At what intensity does the prediction change?",
        "Which attributes change which model's predictions?",
        "Do drawn and real faces agree?",
    ]
    assert "Not measured: changes of real pictures" in texts(app)


def test_a_model_that_sees_one_class_gets_the_adapter(open_page, artifacts_copy):
    write_stub_probes(ArtifactStore(artifacts_copy).benchmark("toy"), lambda face: "neutral")
    app = open_page("response_curves", artifacts_copy)
    assert not app.exception
    assert "nothing follows for this model" in texts(app)
    assert "training/recipes/vit_tiny_lora.yaml" in texts(app)


def test_without_a_probe_or_with_a_damaged_one_the_command_is_shown(open_page, toy, artifacts_copy):
    app = open_page("response_curves", toy.artifacts)
    assert any("training probe toy" in code.value for code in app.code)
    run = ArtifactStore(artifacts_copy).benchmark("toy").run("resnet34-cpu-s0")
    run.probes_path.write_bytes(b"damaged")
    app = open_page("response_curves", artifacts_copy)
    assert not app.exception
    assert any("resnet34-cpu-s0 --again" in code.value for code in app.code)


def test_the_verdict_and_the_page_of_a_run_say_what_moves_its_answers(open_page, probed):
    for page in ("overview", "run"):
        app = open_page(page, probed)
        assert not app.exception
        shown = texts(app).replace("\\", "")
        assert "On drawn faces with the expression held fixed: Skin tone 8" in shown
