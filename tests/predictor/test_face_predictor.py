"""Faces of many pictures, in batches that fit into memory, and those of long animations."""

import io

import pytest
from PIL import Image

from fer_core.data import imaging
from fer_core.data.progress import silent
from fer_core.predictor import Predictor, face_predictor
from fer_core.predictor.face_predictor import FacePredictor, Moment
from fer_core.predictor.video import VideoOptions, predict_video
from tests.support.uploads import QuarterDetector, png

NETWORK = "efficientnet_lite0-cpu-s0"


@pytest.fixture(scope="module")
def predictor(toy):
    return Predictor(toy.benchmark)


def test_large_pictures_are_detected_in_smaller_batches(predictor, monkeypatch):
    sizes = []
    monkeypatch.setattr(face_predictor, "_PIXELS", 1000)
    monkeypatch.setattr(
        face_predictor,
        "detect_all",
        lambda images, _: sizes.append(len(images)) or [()] * len(images),
    )
    sides = [20, 20, 20, 40, 10, 10, *[1] * 9]  # 400, 400, 400, 1600, 100, 100 pixels, then 1 each
    moments = [Moment(str(n), Image.new("RGB", (side, side))) for n, side in enumerate(sides)]
    faces = FacePredictor(predictor, [NETWORK], QuarterDetector())
    seen = [moment.file for moment, _ in faces.detect(moments)]
    assert seen == [moment.file for moment in moments]
    assert sizes == [2, 1, 1, 8, 3]


def test_a_run_that_is_given_twice_has_one_prediction(predictor):
    faces = FacePredictor(predictor, [NETWORK, NETWORK], None)
    list(faces.detect([Moment("a", Image.open(io.BytesIO(png(0))).convert("RGB"))]))
    assert [prediction.run_id for prediction in faces.predictions()] == [NETWORK]


@pytest.mark.parametrize(("every", "numbers"), [(None, [0, 1, 2]), (0.4, [0, 2, 4])])
def test_frames_after_the_limit_are_not_decoded(predictor, monkeypatch, every, numbers):
    decoded, real = [], imaging._decoded
    monkeypatch.setattr(
        imaging, "_decoded", lambda image, *rest: decoded.append(image.tell()) or real(image, *rest)
    )
    frames = [Image.open(io.BytesIO(png(seed))).convert("RGB") for seed in range(9)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=200)
    table = predict_video(
        (file, "a.gif"), predictor, [NETWORK], QuarterDetector(),
        VideoOptions(every, max_frames=3), silent,
    )  # fmt: skip
    assert sorted(set(table["frame"])) == numbers
    assert decoded == list(range(numbers[-1] + 1))
