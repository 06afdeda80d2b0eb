"""Answers as files: what they say, and that nothing from outside becomes markup."""

import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fer_core.data.faces import DetectedFace
from fer_core.data.whatif import CHANGES, STEPS
from fer_core.explain.evidence import MapEvidence, MapStatus
from fer_core.explain.tables import BaselineDifference
from fer_core.figures.overlay import heat_bar, overlay_sheet
from fer_core.figures.palette import class_colour
from fer_core.figures.whatif import sweep_chart
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.predictor import ExplainedPrediction, Prediction
from fer_core.predictor.export import (
    LIMITS,
    faces_json,
    predictions_html,
    predictions_png,
)
from fer_core.predictor.predictions import Backend
from fer_core.predictor.table import NO_FACE, Sighting, tabulate
from fer_core.records import BenchmarkInfo

BEATS = MapEvidence(
    MapStatus.BEATS, 56, "test", (BaselineDifference("deletion", "centre", 0.1, 0.05, 0.2),)
)
HOSTILE = "<script>alert('x')</script>"
FACE = Image.new("L", (48, 48), 120)


def answer(
    title: str, probabilities: list[float], temperature: float | None, seed: int = 0
) -> ExplainedPrediction:
    saliency = np.zeros((224, 224), np.float32)
    saliency[:60, :60] = 1
    return ExplainedPrediction(
        f"net-s{seed}", title, SEVEN_EMOTIONS, np.array(probabilities), temperature, "happy",
        saliency, "HiRes-CAM", BEATS, 0.0123456,
    )  # fmt: skip


@pytest.fixture
def answers():
    sure = [0.0, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0]
    torn = [0.0, 0.0, 0.0, 0.4, 0.35, 0.25, 0.0]
    return [answer(HOSTILE, sure, 2.0), answer("Plain", torn, None, 1)]


@pytest.fixture
def info(toy) -> BenchmarkInfo:
    return toy.benchmark.info()


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_html_export_shows_every_model_without_scripts(answers, info):
    page = predictions_html(answers, FACE, info, unsure_below=0.5)
    read = Tags(page)
    assert "script" not in read.tags
    assert read.tags.count("img") == 3
    assert HOSTILE in read.text
    assert "happy 75%" in read.text  # 0.9 and 0.1 at temperature 2 are 3 to 1
    assert "unsure (most likely happy 40%)" in read.text
    assert LIMITS in read.text
    assert read.text.count("HiRes-CAM: beats both baselines on deletion and insertion") == 2
    assert info.split_hash in read.text
    assert "http" not in page.replace("<!doctype html>", "")


def test_json_has_a_row_per_face_and_run_with_calibrated_probabilities(info):
    scores = np.array([[0.0, 0, 0, 0.9, 0.1, 0, 0], [0.0, 0, 0, 0.4, 0.35, 0.25, 0]])
    prediction = Prediction("net", "Net", SEVEN_EMOTIONS, scores, 2.0, Backend.TORCH, 0.01)
    box = DetectedFace(1, 2, 30, 40, 0.9)
    sightings = [
        Sighting("a.png", None, None, 0, box),
        Sighting("a.png", None, None, 1, box),
        Sighting("wall.png", None, None, None, None, NO_FACE),
    ]
    table = tabulate(sightings, {}, [prediction], unsure_below=0.5)
    read = json.loads(json.dumps(faces_json(table, info, unsure_below=0.5)))
    first, second, none = read["faces"]
    assert (first["file"], first["face"], first["run"]) == ("a.png", 0, "net")
    assert (first["answer"], first["temperature"]) == ("happy", 2.0)
    # 0.9 and 0.1 at temperature 2 are 3 to 1
    assert first["p_happy"] == first["confidence"] == pytest.approx(0.75, abs=1e-4)
    # 0.4, 0.35 and 0.25 at temperature 2
    assert (second["face"], second["answer"]) == (1, None)
    assert second["confidence"] == pytest.approx(0.3659, abs=1e-3)
    assert (none["file"], none["note"], none["answer"]) == ("wall.png", NO_FACE, None)
    assert none["p_happy"] is None
    assert (read["split_hash"], read["note"]) == (info.split_hash, LIMITS)


def test_the_png_shows_the_face_and_every_overlay(answers):
    image = Image.open(io.BytesIO(predictions_png(answers, FACE)))
    assert image.format == "PNG"
    assert image.width > 3 * 200


def test_the_png_shows_unsure_predictions(answers):
    """The second title takes two lines then, where it takes one otherwise."""
    torn = [answer("EfficientNet-Lite0", answers[1].probabilities.tolist(), None)]
    sure, unsure = (
        Image.open(io.BytesIO(predictions_png(torn, FACE, below))) for below in (0.0, 0.5)
    )
    assert unsure.height > sure.height
    plain, keyed = (
        Image.open(io.BytesIO(overlay_sheet([[FACE] * 2], [""], [""] * 2, bar=bar))).height
        for bar in (None, heat_bar())
    )
    bar = keyed - plain
    line = np.asarray(unsure)[sure.height - bar - 10 : unsure.height - bar, 230:]
    assert (line < 128).any()


def test_the_picture_of_many_models_has_rows(answers):
    many = [answer("Plain", [0.4, 0.6] + [0.0] * 5, None, seed) for seed in range(12)]
    image = Image.open(io.BytesIO(predictions_png(many, FACE)))
    assert image.width == 4 * 224
    assert image.height > 4 * 224  # 13 tiles


def test_seeds_of_a_recipe_have_distinct_titles(answers, info):
    seeds = [answer("Twin", [0.1] * 6 + [0.4], None, seed) for seed in (3, 4)]
    page = Tags(predictions_html(seeds, FACE, info)).text
    assert page.count("Twin") > page.count("Twin, seed 4") > 0
    assert "seed" not in Tags(predictions_html(answers, FACE, info)).text


def test_a_sweep_colours_predictions_and_marks_the_slider_values():
    probabilities = np.full((STEPS, 7), 0.05)
    probabilities[:, 3] = 0.7
    probabilities[-1] = 0.05
    probabilities[-1, 5] = 0.7
    names = SEVEN_EMOTIONS.names
    figure = sweep_chart({"A": probabilities}, names, CHANGES["blur"], 0.02)
    (row,) = figure.data
    assert list(row.x) == CHANGES["blur"].amounts.tolist()
    assert row.marker.color[0] == class_colour("happy", names)
    assert row.marker.color[-1] == class_colour("sad", names)
    assert figure.layout.shapes[0].x0 == 0.02
