"""Predictions in parts: the same table, resumed after a stop, begun anew for other inputs."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fer_core.errors import DataError
from fer_core.predictor import Predictor
from tests.support.video import write_video
from training.jobs import predict_parts
from training.jobs.predict import Files, PredictOptions, Tally, find_files, predict_part
from training.jobs.predict_parts import (
    PartsFolder,
    join,
    predict_in_parts,
    prediction_key,
    split_files,
)

NETWORK = "efficientnet_lite0-cpu-s0"
OPTIONS = PredictOptions(smooth=0.2)


def plain(items, length, title):
    return items


@pytest.fixture
def predictor(toy):
    return Predictor(toy.benchmark, torch.device("cpu"))


@pytest.fixture
def folder(tmp_path):
    """Five pictures, two videos, a damaged picture and one that cannot be read."""
    place = tmp_path / "mine"
    place.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        face = random.integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(face).save(place / f"{number}.png")
    frames = [random.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(3)]
    write_video(place / "a.avi", frames)
    write_video(place / "b.avi", frames[::-1])
    (place / "bad.jpg").write_bytes(b"\xff\xd8nothing")
    (place / "raw.cr2").write_bytes(b"II*\0")
    return place


@pytest.fixture
def predict(predictor, monkeypatch):
    """Predicts a part, and notes its files; parts have at most two pictures."""
    monkeypatch.setattr(predict_parts, "PICTURES", 2)
    seen: list[list[str]] = []

    def predict(part: Files, progress) -> Tally:
        seen.append([path.name for path in (*part.pictures, *part.videos)])
        return predict_part(part, predictor, [NETWORK], None, progress, OPTIONS)

    predict.seen = seen
    return predict


def test_parts_give_the_table_of_all_files_at_once(folder, predict, predictor, tmp_path):
    files = find_files(folder)
    whole = predict_part(files, predictor, [NETWORK], None, plain, OPTIONS)
    parts = PartsFolder(tmp_path / "a.parquet.parts", "key")
    shown: list[int] = []

    def progress(items, length, title):
        for item in items:
            yield item
            shown.append(length)

    joined = predict_in_parts(files, predict, parts, progress)
    pd.testing.assert_frame_equal(joined.table, whole.table)
    assert vars(joined).keys() == vars(whole).keys()
    assert (joined.pictures, joined.frames) == (whole.pictures, whole.frames) == (5, 6)
    assert joined.skipped == whole.skipped
    assert set(joined.skipped) == {"bad.jpg", "raw.cr2"}
    assert predict.seen == [
        [], ["0.png", "1.png"], ["2.png", "3.png"], ["4.png", "bad.jpg"], ["a.avi"], ["b.avi"],
    ]  # fmt: skip
    assert len(shown) == shown[0] - 1 == 11  # the last item ends with the bar


def test_a_stopped_prediction_goes_on_where_it_was(folder, predict, tmp_path):
    files = find_files(folder)
    parts = PartsFolder(tmp_path / "a.parquet.parts", "key")

    def stopping(part, progress):
        if len(predict.seen) == 4:
            raise KeyboardInterrupt
        return predict(part, progress)

    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(files, stopping, parts, plain)
    expected = predict_in_parts(files, predict, PartsFolder(tmp_path / "b", "key"), plain)
    predict.seen.clear()
    resumed = predict_in_parts(files, predict, parts, plain)
    assert predict.seen == [["a.avi"], ["b.avi"]]
    pd.testing.assert_frame_equal(resumed.table, expected.table, check_dtype=False)
    parts.remove()
    assert not parts.path.exists()


def test_a_damaged_part_and_another_prediction_are_computed_again(folder, predict, tmp_path):
    files = find_files(folder)
    path = tmp_path / "a.parquet.parts"
    predict_in_parts(files, predict, PartsFolder(path, "key"), plain)
    (path / "part-000002.parquet").write_bytes(b"PAR1")
    (path / "part-000004.json").unlink()
    predict.seen.clear()
    predict_in_parts(files, predict, PartsFolder(path, "key"), plain)
    assert predict.seen == [["2.png", "3.png"], ["a.avi"]]
    predict.seen.clear()
    predict_in_parts(files, predict, PartsFolder(path, "other"), plain)
    assert len(predict.seen) == 6


def test_the_key_names_files_options_and_calibration(folder, predictor, monkeypatch):
    def key(options=OPTIONS, *, cropped=True) -> str:
        return prediction_key(find_files(folder), predictor, [NETWORK], options, cropped=cropped)

    first = key()
    assert key() == first
    assert key(PredictOptions(jitter=True)) != first
    assert key(cropped=False) != first
    with monkeypatch.context() as patch:  # as an operating point changes it
        patch.setattr(predictor, "calibration", lambda _: (2.0, ()))
        assert key() != first
    assert key() == first
    (folder / "raw.cr2").unlink()  # unreadable files are a part of their own
    assert key() != first
    first = key()
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes() + b"\0")
    assert key() != first


def test_nothing_readable_is_refused_and_leaves_no_folder(tmp_path, predict):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8nothing")
    parts = PartsFolder(tmp_path / "parts", "key")
    with pytest.raises(DataError, match="None of 1 files could be read"):
        predict_in_parts(find_files(tmp_path), predict, parts, plain)
    assert not parts.path.exists()


def test_no_parts_join_to_an_empty_result():
    assert join([]).table.empty
    assert split_files(Files(None, (), ())) == []
