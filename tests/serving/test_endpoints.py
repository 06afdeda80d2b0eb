"""What the service answers to requests that it can meet, and to those that it cannot."""

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from starlette.testclient import TestClient

from fer_core.data.faces import picture_faces
from fer_core.data.imaging import open_picture
from fer_core.errors import ArtifactError
from fer_core.evaluation.operating_points import calibrated_splits, operating_point
from fer_core.evaluation.predictions import Predictions
from fer_core.predictor import Predictor
from fer_core.serving.app import create_app
from fer_core.serving.settings import Settings
from tests.support.uploads import QuarterDetector, files, png

NETWORKS = ["efficientnet_lite0-cpu-s0", "efficientnet_lite0-cpu-s1", "resnet34-cpu-s0"]


def test_health_and_models(client, toy):
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert (health["benchmark"], health["models_available"]) == ("toy", 4)
    models = {model["id"]: model for model in client.get("/models").json()["models"]}
    assert set(models) == {*NETWORKS, "pair-cpu"}
    first = models[NETWORKS[0]]
    assert first["kind"] == "network"
    assert first["family"] == "cnn"
    assert first["test_accuracy"]["low"] <= first["test_accuracy"]["value"]
    assert first["protocol"]["split_hash"] == toy.dataset.info.split_hash
    assert first["temperature"] > 0


def test_every_model_predicts_every_face_largest_first(client, toy):
    response = client.post("/predict", files=files(png(0, 3), png(2)))
    assert response.status_code == 200
    assert client.get("/health").json()["models_loaded"] == 3
    first, second = response.json()["images"]
    assert (first["name"], first["width"], first["height"]) == ("0.png", 96, 96)
    assert [len(first["faces"]), len(second["faces"])] == [2, 1]
    sizes = [face["box"]["right"] - face["box"]["left"] for face in first["faces"]]
    assert sizes == [46, 34]  # the detector names the smaller one first
    expected = Predictor(toy.benchmark).predict(
        [face.crop for face in picture_faces(open_picture(png(0, 3)), QuarterDetector()).crops],
        [*NETWORKS, "pair-cpu"],
    )
    for row, face in enumerate(first["faces"]):
        assert [model["id"] for model in face["models"]] == NETWORKS
        assert face["ensemble"]["id"] == "pair-cpu"
        for model, prediction in zip([*face["models"], face["ensemble"]], expected, strict=True):
            np.testing.assert_allclose(
                list(model["uncalibrated"].values()), prediction.probabilities[row], atol=1e-5
            )
            np.testing.assert_allclose(
                list(model["probabilities"].values()), prediction.calibrated[row], atol=1e-5
            )
            assert model["calibrated"] == model["probabilities"]  # its former name
            assert model["confidence"] == max(model["probabilities"].values())
            assert model["label"] == max(model["probabilities"], key=model["probabilities"].get)


def test_cropped_uses_the_whole_image(client):
    answer = client.post("/predict?cropped=true&runs=resnet34-cpu-s0", files=files(png()))
    (face,) = answer.json()["images"][0]["faces"]
    assert face["box"] == {"left": 0, "top": 0, "right": 96, "bottom": 96}
    assert face["score"] is None
    assert face["ensemble"] is None
    assert [model["id"] for model in face["models"]] == ["resnet34-cpu-s0"]


def test_an_unsure_prediction_has_no_label(client):
    address = "/predict?cropped=1&unsure_below="
    for threshold, named in (("0", True), ("1", False)):
        (face,) = client.post(address + threshold, files=files(png())).json()["images"][0]["faces"]
        assert all((model["label"] is not None) == named for model in face["models"])


def test_an_image_without_a_face_does_not_affect_the_others(client):
    images = client.post("/predict", files=files(png(), png(1), b"text")).json()["images"]
    assert [len(image["faces"]) for image in images] == [0, 1, 0]
    assert "No face was found in 0.png" in images[0]["problem"]
    assert "cropped=true" in images[0]["problem"]
    assert images[1]["problem"] is None
    assert "not a picture" in images[2]["problem"]
    alone = client.post("/predict", files=files(png()))
    assert (alone.status_code, alone.json()["error"]) == (422, "no_face")


def test_explain_returns_a_png(client):
    for run, query in ((NETWORKS[0], "&target=sad&method=grad_cam"), ("pair-cpu", "&face=1")):
        answer = client.post(f"/explain?run={run}{query}", files=files(png(0, 1), field="file"))
        assert answer.status_code == 200, answer.text
        assert Image.open(io.BytesIO(answer.content)).size == (224, 224)
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-faces"] == "2"
        assert unquote(answer.headers["x-evidence"]) == "not measured"
        assert answer.headers["x-evidence-images"] == "0"
    assert answer.headers["x-explained-class"] in ("angry", "disgust", "fear", "happy", "neutral",
                                                   "sad", "surprise")  # fmt: skip


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        ("run=nobody", "unknown_run", "Known: efficientnet_lite0-cpu-s0"),
        ("run=../../../etc/passwd", "unknown_run", "There is no run"),
        ("run=%2e%2e%2f%00", "unknown_run", "There is no run"),
        ("run=resnet34-cpu-s0&target=bored", "unknown_target", "Known: angry"),
        ("run=resnet34-cpu-s0&method=magic", "unknown_method", "Known: grad_cam"),
        ("run=resnet34-cpu-s0&method=chefer", "unsuited_method", "does not support"),
        ("run=resnet34-cpu-s0&face=7", "no_such_face", "has 1 faces"),
        ("run=resnet34-cpu-s0&face=-1", "invalid_parameter", "face"),
        ("target=happy", "invalid_parameter", "run: Field required"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(client, query, error, says):
    answer = client.post(f"/explain?{query}", files=files(png(0), field="file"))
    assert answer.status_code == 422
    assert answer.json()["error"] == error
    assert says in answer.json()["detail"]


def test_a_run_id_is_never_used_as_a_path(client, toy, tmp_path):
    """Not even one that leads to a real run by a detour."""
    for name in ("../runs/resnet34-cpu-s0", str(toy.benchmark.run(NETWORKS[0]).root), ".", ""):
        answer = client.post("/predict", params={"runs": name}, files=files(png(0)))
        assert answer.status_code == 422


def test_file_names_are_escaped_shortened_and_not_logged(client, caplog):
    caplog.set_level(logging.DEBUG)
    name = "private-\u202e" + "n" * 500 + ".png"
    answer = client.post("/predict", files=[("files", (name, png(0)))])
    shown = answer.json()["images"][0]["name"]
    assert len(shown) == 60
    assert shown.isprintable()
    client.post("/predict", files=[("files", (name, b"damaged"))])
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "asyncio"))]
    assert "private" not in " ".join(record.getMessage() for record in ours)


def test_a_damaged_model_is_reported_and_the_others_predict(tmp_path, caplog, artifacts_copy):
    settings = Settings(artifacts=artifacts_copy)
    broken = settings.open_benchmark().run(NETWORKS[2])
    broken.weights_path.write_bytes(broken.weights_path.read_bytes()[:3000])
    with TestClient(create_app(settings, QuarterDetector())) as client:
        for _ in range(2):
            answer = client.post("/predict", files=files(png(0)))
            assert answer.status_code == 200
            (face,) = answer.json()["images"][0]["faces"]
            assert [model["id"] for model in face["models"]] == NETWORKS[:2]
            assert face["ensemble"] is None
            problems = answer.json()["problems"]
            assert set(problems) == {NETWORKS[2], "pair-cpu"}
            assert str(tmp_path) not in answer.text
        shown = client.post(f"/explain?run={NETWORKS[2]}", files=files(png(0), field="file"))
        assert (shown.status_code, shown.json()["error"]) == (503, "damaged_model")
    assert len([r for r in caplog.records if " cannot " in r.getMessage()]) == 3


def test_concurrent_clients_get_their_own_predictions(client):
    """Distinct pictures from 8 threads at once get what each gets alone."""
    pictures = [png(index % 4, seed=index) for index in range(8)]
    address = f"/predict?runs={NETWORKS[0]}&runs=pair-cpu"

    def ask(index):
        (image,) = client.post(
            address, files=[("files", (f"own-{index}.png", pictures[index]))]
        ).json()["images"]
        assert image["name"] == f"own-{index}.png"
        face = image["faces"][0]
        return [*face["box"].values(), *face["ensemble"]["probabilities"].values()]

    alone = [ask(index) for index in range(8)]
    assert len({tuple(answer) for answer in alone}) == 8
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(ask, list(range(8)) * 4))
    for index, answer in enumerate(together):
        np.testing.assert_allclose(answer, alone[index % 8], atol=2e-5)


def test_settings_are_read_from_the_environment(toy):
    result = Settings.from_environment(
        {
            "FERSCOPE_ARTIFACTS": str(toy.artifacts),
            "FERSCOPE_MAX_FILES": "3",
            "FERSCOPE_BENCHMARK": "",
            "FERSCOPE_DATA": "elsewhere",
        }
    )
    assert result.max_files == 3
    assert result.open_benchmark().name == "toy"
    with pytest.raises(ArtifactError, match="Known: toy"):
        Settings(artifacts=toy.artifacts, benchmark="none").open_benchmark()
    with pytest.raises(ArtifactError, match="FERSCOPE_ARTIFACTS"):
        Settings(artifacts=toy.data / "empty").open_benchmark()


def test_the_operating_point_decides_for_its_run(toy, tmp_path):
    run = toy.benchmark.run("resnet34-cpu-s0")
    read = Predictions.read(run.predictions_path, toy.dataset.labels)
    splits = calibrated_splits(read.split("validation"), read.split("test"))
    path = tmp_path / "operating_point.json"
    everything = dict.fromkeys(toy.dataset.labels.names, 1.0)
    operating_point("toy", run.info(), splits, everything).write(path)
    settings = Settings(artifacts=toy.artifacts, operating_point=path)
    address = "/predict?cropped=1&runs=resnet34-cpu-s0&runs=efficientnet_lite0-cpu-s0"
    with TestClient(create_app(settings, QuarterDetector())) as client:

        def labels(query=""):
            images = client.post(address + query, files=files(png())).json()["images"]
            return [model["label"] is None for model in images[0]["faces"][0]["models"]]

        assert labels() == [True, False]
        assert labels("&unsure_below=0") == [False, False]  # the request decides
    other = TestClient(create_app(settings.model_copy(update={"runs": ("pair-cpu",)})))
    with pytest.raises(ArtifactError, match="resnet34-cpu-s0, which clients cannot use"), other:
        pass
    info = run.info().model_copy(update={"created": "2020-01-01T00:00:00+00:00"})
    operating_point("toy", info, splits, everything).write(path)
    service = TestClient(create_app(settings, QuarterDetector()))
    with pytest.raises(ArtifactError, match="another training"), service:
        pass


def test_only_the_runs_of_the_settings_can_be_used(toy):
    only = ("resnet34-cpu-s0", "pair-cpu")
    settings = Settings(artifacts=toy.artifacts, runs=only)
    with TestClient(create_app(settings, QuarterDetector())) as client:
        assert {model["id"] for model in client.get("/v1/models").json()["models"]} == set(only)
        assert client.get("/v1/health").json()["models_available"] == 2
        images = client.post("/v1/predict?cropped=1", files=files(png())).json()["images"]
        (face,) = images[0]["faces"]
        assert [model["id"] for model in face["models"]] == ["resnet34-cpu-s0"]
        assert face["ensemble"]["id"] == "pair-cpu"  # clients cannot use its members
        for path, query in (("predict", "runs"), ("explain", "run")):
            field = "files" if path == "predict" else "file"
            answer = client.post(
                f"/v1/{path}?{query}=efficientnet_lite0-cpu-s0", files=files(png(), field=field)
            )
            assert (answer.status_code, answer.json()["error"]) == (422, "unknown_run")
            assert answer.json()["detail"] == (
                "There is no run 'efficientnet_lite0-cpu-s0'. Known: pair-cpu, resnet34-cpu-s0."
            )


def test_a_run_of_the_settings_that_is_unknown_is_an_error_at_the_start(toy):
    runs = "resnet34-cpu-s0, nobody,"
    environment = {"FERSCOPE_ARTIFACTS": str(toy.artifacts), "FERSCOPE_RUNS": runs}
    settings = Settings.from_environment(environment)
    assert settings.runs == ("resnet34-cpu-s0", "nobody")
    service = TestClient(create_app(settings, QuarterDetector()))
    with pytest.raises(ArtifactError, match=r"id 'nobody'\. Known: efficientnet_lite0"), service:
        pass
    with pytest.raises(ValidationError, match="FERSCOPE_RUNS has no run"):
        Settings.from_environment(environment | {"FERSCOPE_RUNS": " , "})
