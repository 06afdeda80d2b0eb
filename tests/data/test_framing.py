"""Where a detector's box falls on the images that a benchmark consists of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data import framing
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import CropSquare, DetectedFace, picture_faces
from fer_core.data.framing import measure_framing
from fer_core.data.prepare import prepare
from fer_core.data.sources.synthetic import SyntheticSource
from fer_core.labels import Emotion
from fer_core.synthetic.face import portrait

FRAME = 128


class BrightSpotDetector:
    """Answers with a box around the bright square of a test picture, if there is one."""

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        rows, columns = np.nonzero(np.asarray(image.convert("L")) > 200)
        if not len(rows):
            return ()
        left, top = int(columns.min()), int(rows.min())
        return (DetectedFace(left, top, int(columns.max()) + 1, int(rows.max()) + 1, 1.0),)


def squares(count: int, left: int, top: int, side: int) -> np.ndarray:
    images = np.full((count, FRAME, FRAME), 128, dtype=np.uint8)
    images[:, top : top + side, left : left + side] = 255
    return images


def test_the_measured_framing_is_independent_of_size_and_border() -> None:
    # 64 of 128 wide; its centre in row 72, 8 below the middle: a sixteenth
    images = squares(60, left=32, top=40, side=64)
    result = measure_framing(images, np.arange(60), BrightSpotDetector())
    assert result is not None
    assert result.box == pytest.approx(0.5, abs=0.02)
    assert result.drop == pytest.approx(1 / 16, abs=0.01)
    assert (result.images, result.detected) == (60, 60)
    assert result.margin == pytest.approx(0.5, abs=0.04)
    assert result.rise == pytest.approx(0.125, abs=0.02)


def test_cropping_with_the_measured_framing_returns_the_image() -> None:
    images = squares(60, left=32, top=40, side=64)
    result = measure_framing(images, np.arange(60), BrightSpotDetector())
    place = Image.fromarray(np.add.outer(np.arange(300), np.zeros(300)).clip(0, 255).astype("u1"))
    crop = CropSquare.around(DetectedFace(100, 100, 164, 164, 1), result).cut(place)
    assert crop.width == pytest.approx(FRAME, abs=3)
    assert np.asarray(crop)[0, 0] == pytest.approx(60, abs=3)  # 132 - 8 - 64


def test_only_the_selected_rows_are_measured() -> None:
    images = np.concatenate([squares(40, 32, 32, 64), squares(40, 16, 16, 96)])
    result = measure_framing(images, np.arange(40, 80), BrightSpotDetector())
    assert result is not None
    assert result.box == pytest.approx(0.75, abs=0.02)


def test_too_few_faces_give_no_framing() -> None:
    images = np.concatenate([squares(29, 32, 32, 64), np.full((31, FRAME, FRAME), 99, np.uint8)])
    assert measure_framing(images, np.arange(60), BrightSpotDetector()) is None


def test_the_measurement_stops_early_without_faces() -> None:
    seen = []
    blank = np.full((150, 48, 48), 99, dtype=np.uint8)

    class Counting:
        def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
            seen.append(1)
            return ()

    assert measure_framing(blank, np.arange(150), Counting()) is None
    assert len(seen) == framing.PATIENCE


def test_crops_of_drawn_photographs_have_the_training_framing() -> None:
    """The framing of photographs equals that of training within 3%.

    Training images are cut tightly out of drawn portraits, as data sets cut theirs. The same
    portraits then stand in scenes, where they are found at other sizes and with all of their head.
    """
    detector, window = CenterFaceDetector(), 0.62
    people = [portrait(number, list(Emotion)[number % 7], 384).image for number in range(40)]
    cut = round(384 * window)
    left, top = (384 - cut) // 2, round(384 * 0.24)
    stored = [
        Image.fromarray(image[top : top + cut, left : left + cut]).resize((64, 64))
        for image in people
    ]
    measured = measure_framing(np.stack([np.asarray(s) for s in stored]), np.arange(40), detector)
    assert measured is not None
    sides, middles = [], []
    for index, image in enumerate(people):
        side = 150 + 12 * index
        scene = Image.new("RGB", (900, 700), (140, 150, 135))
        scene.paste(Image.fromarray(image).resize((side, side)), (100, 60))
        crops = picture_faces(scene, detector, measured).crops
        if crops:
            frame, by = crops[0].frame, side / 384
            sides.append(frame.side / (cut * by))
            middle = frame.left + frame.side / 2 - 100, frame.top + frame.side / 2 - 60
            true = (left + cut / 2) * by, (top + cut / 2) * by
            middles.append([(a - b) / (cut * by) for a, b in zip(middle, true, strict=True)])
    assert len(sides) >= 38
    assert np.median(sides) == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(np.median(middles, axis=0), 0, atol=0.03)


def test_preparation_records_the_framing(measured_framing: None, tmp_path: Path) -> None:
    dataset = prepare(SyntheticSource(60, 0, 64), tmp_path / "drawn", name="drawn", side=64)
    assert dataset.info.framing is not None
    assert 0.5 < dataset.info.framing.box < 1.2
