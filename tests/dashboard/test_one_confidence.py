"""One face has one confidence: on every page, in `predict`, in exports and in the service.

The face and its network are those that the project ships.
"""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from dashboard.cache import benchmarks
from dashboard.components.face_cards import PickedFace
from dashboard.components.face_input import DetectedPicture
from dashboard.sections.compare_downloads import Faces, faces_table
from fer_core.artifacts import ArtifactStore
from fer_core.data.faces import whole_picture
from fer_core.evaluation.calibration import fit_temperature, scale_confidence
from fer_core.evaluation.predictions import Predictions
from fer_core.predictor import Predictor
from fer_core.project import ROOT
from fer_core.serving.app import create_app
from fer_core.serving.settings import Settings
from tests.support.pages import galleries, texts
from training.jobs.predict import find_files, predict_part

RUN, TITLE = "efficientnet_lite0-cpu-s0", "EfficientNet-Lite0"
CLOSE = 0.005
"""Predictions are stored in single precision, weights in half precision."""


@pytest.fixture(scope="module")
def case():
    """A test image that the network gets wrong confidently, and its calibrated answer."""
    benchmark = ArtifactStore(ROOT / "artifacts").benchmark("synthetic")
    labels = benchmark.info().label_set
    predictions = Predictions.read(benchmark.run(RUN).predictions_path, labels)
    temperature = fit_temperature(predictions.split("validation"))
    test = predictions.split("test")
    scaled = scale_confidence(test.probabilities, temperature)
    confidence = scaled.max(axis=1)
    # else the test would not notice uncalibrated numbers
    changed = np.abs(confidence - test.probabilities.max(axis=1)) > 2 * CLOSE
    wrong = np.flatnonzero((test.predicted != test.truth) & changed)
    row = wrong[np.argmax(confidence[wrong])]
    pixels = np.asarray(benchmarks.pictures(benchmarks.benchmark(benchmark)).get(test.ids[row]))
    return {
        "benchmark": benchmark,
        "id": test.ids[row],
        "true": labels.names[test.truth[row]],
        "predicted": labels.names[test.predicted[row]],
        "confidence": float(scaled[row].max()),
        "pixels": pixels,
    }


def shown(case) -> str:
    return f"{case['confidence']:.0%}"


def test_lists_of_samples_show_it(case, open_page):
    artifacts = ROOT / "artifacts"
    cell = {"true": case["true"], "predicted": case["predicted"]}
    for page, query in (
        ("errors", {}),
        ("confusion", cell),
        ("head_to_head", {"change": "Both wrong"}),
    ):
        app = open_page(page, artifacts, benchmark="synthetic", run=RUN, **query)
        tables = [table.value for table in app.dataframe if "confidence" in table.value.columns]
        (row,) = tables[-1].query("id == @case['id']").to_dict("records") or [{}]
        if page == "head_to_head" and not row:
            continue  # the other model has it right
        assert row["confidence"] == pytest.approx(case["confidence"]), page
        faces = "".join(galleries(app))
        assert f"{case['predicted']}, {shown(case)}" in faces, page


def test_the_viewer_shows_it(case, open_page):
    app = open_page("errors", ROOT / "artifacts", benchmark="synthetic", run=RUN, sample=case["id"])
    assert not app.exception
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    (heat,) = figure["data"]
    row = list(heat["y"]).index(TITLE)
    values = heat["z"]
    if isinstance(values, dict):  # plotly packs arrays
        packed = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
        values = packed.reshape([int(side) for side in values["shape"].split(",")])
    assert max(values[row]) == pytest.approx(case["confidence"], abs=1e-6)


def test_pages_that_run_the_network_show_it(case, open_page):
    query = {"benchmark": "synthetic", "runs": TITLE, "picture": case["id"]}
    app = open_page("compare", ROOT / "artifacts", face="Test sample", **query)
    assert not app.exception
    (verdict,) = [text.value for text in app.markdown if text.value.startswith("### ")]
    label, percent = re.fullmatch(r"### (\w+) · (\d+)%", verdict).groups()
    assert label == case["predicted"]
    assert int(percent) / 100 == pytest.approx(case["confidence"], abs=0.01)
    app = open_page("saliency", ROOT / "artifacts", source="Test sample", **query)
    assert not app.exception
    percent = re.search(rf"{case['predicted']} · (\d+)%", texts(app)).group(1)
    assert int(percent) / 100 == pytest.approx(case["confidence"], abs=0.01)


def png(case) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(case["pixels"]).save(buffer, "PNG")
    return buffer.getvalue()


def test_predict_and_the_service_answer_it(case, tmp_path):
    (tmp_path / "face.png").write_bytes(png(case))
    predictor = Predictor(case["benchmark"])
    files = find_files(tmp_path / "face.png")
    (row,) = predict_part(files, predictor, [RUN], None, lambda items, *_: items).table.to_dict(
        "records"
    )
    assert row["answer"] == case["predicted"]
    assert row["confidence"] == pytest.approx(case["confidence"], abs=CLOSE)
    assert row[f"p_{case['predicted']}"] == row["confidence"]
    settings = Settings(artifacts=ROOT / "artifacts", benchmark="synthetic")
    with TestClient(create_app(settings)) as client:
        response = client.post(
            "/predict",
            params={"runs": RUN, "cropped": True},
            files={"files": ("face.png", png(case))},
        )
    (answer,) = response.json()["images"][0]["faces"][0]["models"]
    assert answer["confidence"] == pytest.approx(case["confidence"], abs=CLOSE)
    assert answer["probabilities"][case["predicted"]] == answer["confidence"]


def test_exports_cover_every_face_with_it(case):
    benchmark = benchmarks.benchmark(case["benchmark"])
    picture = Image.fromarray(case["pixels"])
    crop = whole_picture(picture)
    pictures = [
        DetectedPicture("a.png", picture, (crop, whole_picture(picture))),
        DetectedPicture("b.png", picture, (whole_picture(picture),)),
        DetectedPicture("wall.png", picture, (), "No face."),
    ]
    faces = Faces(pictures, PickedFace(pictures[0], crop), case["pixels"])
    table = faces_table(benchmark, faces, (RUN,), 0.0)
    assert table["file"].tolist() == ["a.png", "a.png", "b.png", "wall.png"]
    assert table["face"].fillna(-1).tolist() == [0, 1, 0, -1]
    assert table["note"].tolist() == ["", "", "", "no face found"]
    np.testing.assert_allclose(table["confidence"][:3], case["confidence"], atol=CLOSE)
    assert np.isnan(table["confidence"].iloc[3])
