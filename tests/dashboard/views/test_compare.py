"""Compare on a face, through the application's entry."""

from dataclasses import replace

import pytest
import streamlit as st

from dashboard.cache import benchmarks, inference
from dashboard.sections import compare as sections
from fer_core.artifacts import ArtifactStore
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import DetectedFace
from tests.support.pages import galleries, texts


@pytest.fixture
def compare(open_page, toy):
    """Returns a function that opens the page on an example that is taken as it is."""

    def open_(artifacts=None, data=None, /, **query):
        app = open_page("compare", artifacts or toy.artifacts, data, **query)
        app.checkbox(key="cropped").check().run()
        assert not app.exception
        return app

    return open_


@pytest.fixture
def detector(monkeypatch):
    """Puts chosen boxes in the detector's place, and forgets what was found with them."""

    def answers(*faces):
        monkeypatch.setattr(CenterFaceDetector, "detect", lambda self, image: faces)

    st.cache_resource.clear()
    yield answers
    st.cache_resource.clear()


def verdicts(app) -> list[str]:
    return [text.value for text in app.markdown if text.value.startswith("### ")]


def test_every_model_predicts_the_face(compare):
    app = compare()
    assert len(verdicts(app)) == 4
    assert "does not know what the person feels" in texts(app)


def test_a_damaged_weight_file_does_not_affect_other_models(compare, artifacts_copy):
    weights = artifacts_copy / "toy" / "runs" / "efficientnet_lite0-cpu-s1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    app = compare(artifacts_copy)
    said = app.warning[0].value.replace("\\", "")  # escaped for Markdown
    assert "efficientnet_lite0-cpu-s1" in said
    assert "damaged" in said
    assert len(verdicts(app)) == 3
    app.button_group(key="view").set_value("what-if").run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 3
    assert "efficientnet_lite0-cpu-s1" in app.warning[0].value.replace("\\", "")


@pytest.mark.parametrize(
    "changed",
    ["pair-cpu/run.json", "resnet34-cpu-s0/model.safetensors", "resnet34-cpu-s0/model.onnx"],
)
def test_cached_predictions_depend_on_every_weight_file(monkeypatch, changed, artifacts_copy):
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(artifacts_copy))

    def key() -> object:
        benchmark = benchmarks.benchmark(ArtifactStore(artifacts_copy).benchmark("toy"))
        return inference.weight_stamps(benchmark.run("pair-cpu"))

    before = key()
    assert key() == before
    with (artifacts_copy / "toy" / "runs" / changed).open("ab") as file:
        file.write(b" ")
    assert key() != before


def test_below_the_confidence_threshold_models_are_unsure(compare):
    app = compare()
    assert not any("unsure" in verdict for verdict in verdicts(app))
    app.slider(key="unsure").set_value(95).run()
    assert all("unsure" in verdict for verdict in verdicts(app))
    assert "All 4 models: unsure." in texts(app)


def test_a_link_restores_the_view(compare):
    app = compare(view="What if", change="Rotation")  # the view's former name
    assert app.button_group(key="change").value == "rotation"
    turns = app.dataframe[0].value
    assert list(turns.columns) == ["model", "below 0", "above 0"]
    assert all(text == "unchanged" or text.startswith("at ") for text in turns["above 0"])


def test_sliders_change_the_face_and_reset(compare):
    app = compare()
    before = verdicts(app)
    app.slider(key="whatif-change-brightness").set_value(-0.88)
    app.slider(key="whatif-zoom").set_value(2.0).run()
    assert not app.exception
    assert verdicts(app) != before
    (back,) = [button for button in app.button if button.label == "Reset"]
    back.click().run()
    assert app.slider(key="whatif-zoom").value == 1.0
    assert verdicts(app) == before


def test_sliders_start_anew_for_another_face(open_page, toy, detector):
    detector(DetectedFace(60, 60, 150, 150, 1.0), DetectedFace(10, 10, 80, 80, 0.5))
    app = open_page("compare", toy.artifacts)

    def move():
        app.slider(key="whatif-zoom").set_value(2.0)
        app.slider(key="whatif-change-brightness").set_value(-0.5).run()

    def values():
        assert not app.exception
        return [app.slider(key=f"whatif-{name}").value for name in ("zoom", "change-brightness")]

    move()
    assert values() == [2.0, -0.5]
    app.slider(key="unsure").set_value(10).run()
    assert values() == [2.0, -0.5]  # the face is the same
    app.button_group(key="which").set_value(1).run()
    assert values() == [1.0, 0.0]
    move()
    app.button_group(key="example").set_value("angry").run()
    assert values() == [1.0, 0.0]


def test_a_picture_without_a_face_has_no_predictions_until_the_region_is_picked(
    open_page, toy, detector
):
    detector()
    app = open_page("compare", toy.artifacts)
    assert not app.exception
    assert "No face was found" in app.warning[0].value.replace("\\", "")
    assert verdicts(app) == []
    app.toggle(key="by-hand").set_value(True).run()
    assert not app.exception
    assert "Move the crop to the face" in texts(app)
    assert len(verdicts(app)) == 4


def test_one_click_treats_an_image_as_a_cropped_face(open_page, toy, detector):
    detector()
    app = open_page("compare", toy.artifacts)
    app.button(key="treat-as-cropped").click().run()
    assert not app.exception
    assert app.checkbox(key="cropped").value
    assert len(verdicts(app)) == 4


def test_faces_that_are_too_small_are_marked(open_page, toy, detector):
    detector(DetectedFace(60, 60, 150, 150, 1.0), DetectedFace(10, 10, 30, 30, 0.9))
    app = open_page("compare", toy.artifacts)
    assert not app.exception
    assert "Faces under 24 pixels get no prediction" in texts(app)
    assert len(verdicts(app)) == 4


def test_a_picture_with_several_faces_shows_cards_and_a_choice(open_page, toy, detector):
    detector(DetectedFace(60, 60, 150, 150, 1.0), DetectedFace(10, 10, 80, 80, 0.5))
    app = open_page("compare", toy.artifacts)
    assert not app.exception
    assert "**2 faces**" in texts(app)
    first = verdicts(app)
    app.button_group(key="which").set_value(1).run()
    assert not app.exception
    assert verdicts(app) != first


def test_nearest_images_come_from_training_and_test(compare, toy):
    app = compare(toy.artifacts, toy.data, view="Similar pictures")
    assert [grid.count("<figure>") for grid in galleries(app)] == [8, 8]
    without = compare(view="Similar pictures")
    assert "Attach your own copy" in texts(without)


def test_without_models_the_page_asks_to_select_one(compare):
    app = compare()
    app.button_group(key="runs").set_value([]).run()
    assert app.info[0].value == "Pick at least one model."


def test_class_names_are_no_markdown(compare, monkeypatch):
    explain = inference.explained_prediction
    monkeypatch.setattr(sections, "decide", lambda *_: "*a*")
    monkeypatch.setattr(
        inference, "explained_prediction",
        lambda *arguments: replace(explain(*arguments), explained="b[1]"),
    )  # fmt: skip
    app = compare()
    assert [verdict.partition(" ·")[0] for verdict in verdicts(app)] == [r"### \*a\*"] * 4
    assert r"#### All 4 models: \*a\*." in [text.value for text in app.markdown]
    assert r"Evidence for *b\[1\]* (" in texts(app)


def test_predictions_and_links_to_the_runs_do_not_wait_for_maps(compare, monkeypatch):
    monkeypatch.setattr(inference, "explained_prediction", lambda *_: "Too little memory.")
    app = compare()
    assert len(verdicts(app)) == 4
    assert [text.value for text in app.warning] == ["There is no map. Too little memory."] * 4
    links = [element.proto for element in app.get("page_link")]
    opened = [link.query_string for link in links if "run=" in link.query_string]
    assert any("run=pair-cpu" in query for query in opened)
    assert len(opened) == 4
