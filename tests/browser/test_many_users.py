"""Ten visitors at once: all are answered, each with the answer for the own picture."""

import io

import numpy as np
import torch
from PIL import Image

from benchmarks.visitor import Visitor
from fer_core.predictor import Predictor

USERS = 10


def level(user: int) -> int:
    """The brightness of a visitor's picture, which no other has."""
    return 20 + 22 * user


def picture(user: int) -> bytes:
    image = np.full((120, 120, 3), level(user), dtype=np.uint8)
    image[70:90, 30 + 5 * user : 60 + 5 * user] = 255 - level(user)  # not only the mean differs
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_ten_concurrent_users_get_their_own_predictions(address, served):
    visitors = [Visitor(address, "compare", "face=Upload") for _ in range(USERS)]
    for visitor in visitors:
        visitor.run()
    for visitor in visitors:
        visitor.wait()
    for user, visitor in enumerate(visitors):  # nobody waits for anybody
        visitor.upload(f"{user}.png", picture(user), tick="The picture is already a cropped face")
    predictor = Predictor(served.benchmark, torch.device("cpu"))
    for user, visitor in enumerate(visitors):
        visitor.wait()
        assert not visitor.failed
        _, seen, *overlays = visitor.pictures()
        grey = np.asarray(Image.open(io.BytesIO(seen)).convert("L"), dtype=float)
        assert abs(np.median(grey) - level(user)) < 3
        stored = predictor.format.convert(Image.open(io.BytesIO(picture(user))).convert("RGB"))
        answers = predictor.predict([stored], [info.run_id for info in predictor.runs()])
        headings = [text for text in visitor.markdown() if text.startswith("### ")]
        expected = [
            f"### {one.labels.names[one.calibrated[0].argmax()]} · {one.calibrated[0].max():.0%}"
            for one in answers
        ]
        assert sorted(headings) == sorted(expected)
        assert len(overlays) == len(headings)
        visitor.close()
