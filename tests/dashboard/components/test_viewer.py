"""The sample viewer, through the application's entry."""

import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.calibration import fit_temperature, scale_confidence
from fer_core.evaluation.predictions import Predictions
from fer_core.reviews import Review, ReviewStore
from tests.support.builders import toy_benchmark
from tests.support.pages import galleries, texts
from tests.support.transfers import toy_transfer

RUN = "efficientnet_lite0-cpu-s1"


@pytest.fixture
def errors(toy) -> list[str]:
    """The ids that the Error explorer lists for RUN."""
    test = Predictions.read(toy.benchmark.run(RUN).predictions_path, toy.dataset.labels)
    test = test.split("test")
    return test.ids[test.predicted != test.truth].tolist()


def buttons(app) -> dict[str, bool]:
    """Returns whether each of the viewer's buttons is disabled; empty if it is closed."""
    return {
        name: button.disabled
        for name in ("previous", "next")
        for button in app.button
        if button.key == f"viewer-{name}"
    }


def plain_texts(app) -> str:
    return texts(app).replace("\\", "")


def test_the_viewer_walks_through_the_list_it_came_from(open_page, toy, errors):
    shown = open_page("errors", toy.artifacts, toy.data, run=RUN).dataframe[0].value["id"].tolist()
    assert sorted(shown) == sorted(errors)
    errors = shown
    app = open_page("errors", toy.artifacts, toy.data, run=RUN, sample=errors[0])
    assert not app.exception
    assert f"1 of {len(errors)}" in texts(app)
    assert buttons(app) == {"previous": True, "next": False}
    app.button(key="viewer-next").click().run()
    assert app.query_params["sample"] == errors[1]
    assert f"2 of {len(errors)}" in texts(app)
    assert f"**{errors[1]}**" in plain_texts(app)
    app.button(key="viewer-previous").click().run()
    assert app.query_params["sample"] == errors[0]
    last = open_page("errors", toy.artifacts, toy.data, run=RUN, sample=errors[-1])
    assert buttons(last) == {"previous": False, "next": True}


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("explorer", {"view": "Samples"}),
        ("confusion", {"true": "any", "predicted": "happy"}),
        ("errors", {}),
        ("head_to_head", {}),
        ("saliency", {"source": "Test sample"}),
        ("compare", {"face": "Test sample"}),
        ("leaderboard", {}),  # shows no faces
    ],
)
def test_an_address_opens_the_viewer_on_every_page(open_page, toy, page, query):
    test = toy.dataset.samples.query("split == 'test'")["id"].iloc[0]
    app = open_page(page, toy.artifacts, toy.data, sample=test, **query)
    assert not app.exception
    assert f"**{test}**" in plain_texts(app)
    assert len(buttons(app)) == 2
    assert any("r = " in gallery for gallery in galleries(app))


def test_faces_open_wherever_they_are_shown(open_page, toy):
    """Each of these galleries reports a click on a face."""
    for page, query in (
        ("explorer", {"view": "Samples"}),
        ("quality", {"issues": "Outliers"}),
        ("confusion", {"true": "any", "predicted": "happy"}),
        ("errors", {}),
        ("head_to_head", {"change": "Both right"}),
    ):
        app = open_page(page, toy.artifacts, toy.data, **query)
        shown = "".join(galleries(app))
        assert shown.count("<figure>") == shown.count("data-id=") > 0, page
        assert "<figure>" not in "".join(element.proto.body for element in app.html), page


def test_probabilities_are_calibrated(open_page, toy, errors):
    predictions = Predictions.read(toy.benchmark.run(RUN).predictions_path, toy.dataset.labels)
    temperature = fit_temperature(predictions.split("validation"))
    test = predictions.split("test")
    row = test.ids.tolist().index(errors[0])
    expected = scale_confidence(test.probabilities[row], temperature)
    assert abs(expected.max() - 0.6) > 0.01  # what is stored is something else
    app = open_page("errors", toy.artifacts, toy.data, run=RUN, sample=errors[0])
    assert app.dataframe[0].value["confidence"].iloc[0] == pytest.approx(expected.max())
    assert f", {expected.max():.0%}" in galleries(app)[0]
    figure = next(
        chart.proto.spec
        for chart in app.get("plotly_chart")
        if "annotators" in chart.proto.spec or "EfficientNet" in chart.proto.spec
    )
    assert f"{expected.max():.6f}"[:6] in figure


def test_training_images_have_no_stored_predictions(open_page, toy):
    train = toy.dataset.samples.query("split == 'train'")["id"].iloc[0]
    app = open_page("explorer", toy.artifacts, toy.data, view="Samples", sample=train)
    assert "Stored predictions exist for validation and test images only" in texts(app)


@pytest.mark.parametrize("labelled", [0.7, 0.0])
def test_faces_that_nobody_labelled_have_their_predictions(open_page, tmp_path, labelled):
    toy = toy_benchmark(tmp_path)
    samples = toy_transfer(toy, labelled=labelled).samples()
    face = samples.loc[samples["label"].isna(), "id"].iloc[-1]
    app = open_page(
        "explorer", toy.artifacts, toy.data,
        benchmark="toy/transfers/mine", view="Samples", sample=face,
    )  # fmt: skip
    assert not app.exception
    assert "Not labelled." in texts(app)
    assert "No class" not in texts(app)
    assert "Stored predictions exist" not in texts(app)
    assert "Calibrated probability of each class, one row per model." in texts(app)
    assert "predict the label" not in texts(app)
    drawn = next(
        chart.proto.spec for chart in app.get("plotly_chart") if "heatmap" in chart.proto.spec
    )
    stored = Predictions.read(
        toy.benchmark.transfer("mine").run(RUN).predictions_path,
        toy.dataset.labels,
        unlabelled=True,
    ).split("test")
    raw = stored.probabilities[stored.ids.tolist().index(face)]
    original = Predictions.read(toy.benchmark.run(RUN).predictions_path, toy.dataset.labels)
    expected = scale_confidence(raw, fit_temperature(original.split("validation")))
    assert f"{expected.max():.6f}"[:6] in drawn


def test_an_unknown_sample_is_one_message(open_page, toy):
    app = open_page("errors", toy.artifacts, toy.data, sample="../../etc")
    assert not app.exception
    assert "../../etc" in app.warning[-1].value.replace("\\", "")
    assert buttons(app) == {}


def test_a_label_tags_and_a_note_are_saved_by_annotator(
    open_page, toy, errors, tmp_path, monkeypatch
):
    monkeypatch.setenv("FERSCOPE_STATE", str(tmp_path))
    store = ReviewStore.of(ArtifactStore(toy.artifacts).benchmark("toy"))
    store.save(Review(errors[0], "bob", "sad", ("blurred",), "<b>who?"))
    app = open_page("errors", toy.artifacts, toy.data, run=RUN, sample=errors[0])
    assert r"bob: label sad; tags blurred; \<b\>who?" in texts(app)
    app.text_input(key="review-name").set_value("ann").run()
    key = f"{errors[0]} ann"
    app.selectbox(key=f"label {key}").set_value("happy")
    app.multiselect(key=f"tags {key}").set_value(["ambiguous"])
    app.text_area(key=f"note {key}").set_value("  Both. ")
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception
    saved, of_bob = store.reviews(errors[0])
    assert (saved.label, saved.tags, saved.note) == ("happy", ("ambiguous",), "Both.")
    assert of_bob.label == "sad"
