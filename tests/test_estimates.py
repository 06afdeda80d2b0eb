"""Estimates of a regression head for two targets: table, training, page, `predict` and service."""

import io

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from fer_core.evaluation.regression import CAVEAT, RegressionReport, margins
from fer_core.predictor import Predictor
from fer_core.predictor.export import predictions_html
from fer_core.serving.app import create_app
from fer_core.serving.settings import Settings
from tests.support.regression import TARGETS, drawn_regression
from training.__main__ import app


@pytest.fixture(scope="module")
def estimating(tmp_path_factory):
    return drawn_regression(tmp_path_factory.mktemp("drawn"))


def test_both_targets_are_measured_by_person(estimating):
    toy, run = estimating
    report = RegressionReport.read(run.regression_report_path)
    assert tuple(report.targets) == TARGETS
    people = toy.dataset.samples.query("split == 'test'")["group"].nunique()
    for target in report.targets.values():
        assert target.frames["test"].count == 20
        assert target.clips["test"].count == people < 20
        assert target.frames["test"].mae.low <= target.frames["test"].mae.value
        assert 0 <= target.test_coverage.value <= 1
    assert run.info().recipe["regression"]["targets"] == list(TARGETS)
    # a linear head on the pixels of 70 images beats the mean at least where the mouth moves
    smile = report.targets["lip_corner_pull"].frames["validation"]
    assert smile.mae.value < smile.mae_of_mean


def test_a_face_has_the_estimates_of_the_report(estimating):
    toy, run = estimating
    saved = pd.read_parquet(run.regression_path).query("split == 'test'")
    predictor = Predictor(toy.benchmark)
    rows = toy.dataset.rows("test")
    faces = list(toy.dataset.images[rows])
    (prediction,) = predictor.predict(faces, [run.run_id], batch_size=7)
    ids = toy.dataset.samples["id"].to_numpy()[rows]
    for name in TARGETS:
        expected = saved[saved["target"] == name].set_index("id")["estimated"].loc[ids]
        np.testing.assert_allclose(
            prediction.estimates[name].values, expected, rtol=1e-4, atol=1e-5
        )
        assert prediction.estimates[name].margin == margins(run)[name]
    answer = predictor.predict_and_explain(faces[0], run.run_id)
    for name, item in answer.estimates.items():
        assert item.values[0] == pytest.approx(prediction.estimates[name].values[0], abs=1e-5)
    page = predictions_html([answer], Image.fromarray(faces[0]), toy.benchmark.info())
    assert answer.estimates["brow_lower"].text() in page
    assert CAVEAT in page


def test_predict_writes_estimates_with_their_interval(estimating, tmp_path):
    toy, run = estimating
    for index in range(3):
        Image.fromarray(toy.dataset.images[index]).save(tmp_path / f"{index}.png")
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(
        app, ["predict", str(tmp_path), "--benchmark", "drawn", "--cropped", "--out", str(out),
              "--artifacts", str(toy.artifacts), "--device", "cpu"], catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert " ".join(CAVEAT.split()) in " ".join(result.output.split())
    table = pd.read_csv(out)
    for name in TARGETS:
        middle = table[f"estimate_{name}"]
        half = margins(run)[name]
        np.testing.assert_allclose(table[f"estimate_{name}_low"], middle - half, atol=1e-5)
        np.testing.assert_allclose(table[f"estimate_{name}_high"], middle + half, atol=1e-5)


def test_the_service_returns_estimates(estimating):
    toy, run = estimating
    buffer = io.BytesIO()
    Image.fromarray(toy.dataset.images[0]).save(buffer, "PNG")
    with TestClient(create_app(Settings(artifacts=toy.artifacts, benchmark="drawn"))) as client:
        reply = client.post(
            "/predict", params={"cropped": True}, files={"files": ("a.png", buffer.getvalue())}
        )
    (model,) = reply.json()["images"][0]["faces"][0]["models"]
    estimate = model["estimates"]["lip_corner_pull"]
    half = margins(run)["lip_corner_pull"]
    assert estimate["high"] - estimate["value"] == pytest.approx(half, abs=1e-6)
    assert set(model["estimates"]) == set(TARGETS)
