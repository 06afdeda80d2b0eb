"""Predictions of a video over time, and boxes drawn into pictures."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.data.faces import DetectedFace
from fer_core.errors import DataError
from fer_core.figures.boxes import BoxLabel, draw_boxes
from fer_core.predictor import Predictor
from fer_core.predictor.table import prediction_changes
from fer_core.predictor.video import VideoOptions, predict_video
from tests.support.uploads import QuarterDetector, png
from tests.support.video import write_video

RUNS = ["efficientnet_lite0-cpu-s0", "resnet34-cpu-s0"]


@pytest.fixture(scope="module")
def predictor(toy):
    return Predictor(toy.benchmark)


def plain(items, length, title):
    return iter(items)


def test_a_video_gives_a_row_a_frame_face_and_run(tmp_path, predictor):
    bright = np.asarray(Image.open(io.BytesIO(png(1))).convert("RGB"))
    frames = [bright, np.full_like(bright, 30), bright]
    data = write_video(tmp_path / "a.avi", frames).read_bytes()
    table = predict_video(
        (io.BytesIO(data), "a.avi"), predictor, RUNS, QuarterDetector(), VideoOptions(None), plain
    )
    assert list(table["frame"]) == [0, 0, 1, 1, 2, 2]
    assert list(table["run"]) == RUNS * 3
    assert table["face"].isna().tolist() == [False, False, True, True, False, False]
    assert set(table["face"].dropna()) == {0}
    short = predict_video(
        (io.BytesIO(data), "a.avi"), predictor, RUNS[:1], QuarterDetector(),
        VideoOptions(None, max_frames=2), plain,
    )  # fmt: skip
    assert list(short["frame"]) == [0, 1]
    with pytest.raises(DataError, match="cannot be read as a video"):
        predict_video(
            (io.BytesIO(b"text"), "a.avi"),
            predictor,
            RUNS,
            QuarterDetector(),
            VideoOptions(),
            plain,
        )  # fmt: skip


def test_changes_are_detected_by_person_and_run():
    table = pd.DataFrame(
        {
            "frame": [0, 0, 1, 2, 2, 3, 3],
            "seconds": [0.0, 0.0, 0.1, 0.2, 0.2, 0.3, 0.3],
            "face": pd.array([0, 1, None, 0, 1, 0, 1], dtype="Int64"),
            "run": "a",
            "answer": ["happy", "sad", None, "happy", "fear", "sad", None],
        }
    )
    changes = prediction_changes(table)
    assert changes[["frame", "face", "before", "after"]].to_numpy().tolist() == [
        [2, 1, "sad", "fear"],
        [3, 0, "happy", "sad"],
    ]
    assert prediction_changes(table.assign(answer=None)).empty


def test_boxes_and_bars_are_drawn_into_a_copy():
    picture = Image.new("RGB", (400, 300), (50, 50, 50))
    label = BoxLabel(
        DetectedFace(100, 80, 200, 180, 0.9), "happy 90%", "happy", {"happy": 0.9, "sad": 0.1}
    )
    drawn = draw_boxes(picture, [label], ("happy", "sad"))
    assert np.asarray(picture).std() == 0
    pixels = np.asarray(drawn)
    assert tuple(pixels[130, 100]) == (0xE6, 0x9F, 0x00)  # happy's colour at the box's left edge
    changed = np.any(pixels != 50, axis=2)
    assert changed[184:210, 100:200].mean() > 0.5  # bars below the box
    assert not changed[:50].any()
    assert draw_boxes(picture, [], ("happy",)).tobytes() == picture.tobytes()
