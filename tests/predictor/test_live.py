"""What is drawn into the frames of a camera."""

import io

from PIL import Image

from fer_core.predictor import Predictor
from fer_core.predictor.live import LiveFaces
from tests.support.uploads import QuarterDetector, png

NETWORK = "efficientnet_lite0-cpu-s0"


def test_live_frames_get_boxes_and_bars(toy):
    predictor = Predictor(toy.benchmark)
    faces = LiveFaces(predictor, QuarterDetector(), [])
    picture = Image.open(io.BytesIO(png(1, side=200))).convert("RGB")
    assert faces.draw(picture) is picture  # no model is chosen
    faces.choose([NETWORK])
    drawn = faces.draw(picture)
    assert drawn.size == picture.size
    assert drawn.tobytes() != picture.tobytes()
    dark = Image.new("RGB", (200, 200), (30, 30, 30))
    assert faces.draw(dark).tobytes() == dark.tobytes()
    assert faces.rate > 0


def test_a_run_that_cannot_predict_is_named_in_the_frame(toy):
    faces = LiveFaces(Predictor(toy.benchmark), QuarterDetector(), ["no-such-run"])
    picture = Image.open(io.BytesIO(png(1, side=200))).convert("RGB")
    assert faces.draw(picture).tobytes() != picture.tobytes()
