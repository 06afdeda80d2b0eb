"""The table of predictions: persons of videos and their smoothed predictions, by hand."""

import numpy as np
import pytest

from fer_core.data.faces import DetectedFace
from fer_core.labels import LabelSet
from fer_core.predictor.predictions import Backend, Prediction
from fer_core.predictor.table import NO_FACE, TOO_SMALL, Sighting, face_numbers, tabulate

FACE = DetectedFace(10, 10, 50, 50, 0.9)


def prediction(name: str, *happy: float) -> Prediction:
    rows = np.array([[share, 1 - share] for share in happy])
    return Prediction(name, name, LabelSet.of(["happy", "sad"]), rows, None, Backend.TORCH, 0.1)


def test_predictions_are_smoothed_by_video_and_person_over_seconds():
    looked = {"a.mp4": [0, 1], "b.mp4": [0, 1]}
    sightings = [
        Sighting(file, frame, 2.0 * frame, 0, FACE) for file in looked for frame in looked[file]
    ]
    table = tabulate(sightings, looked, [prediction("net", 1.0, 0.0, 0.0, 1.0)], smooth=2.0)
    assert table["face"].tolist() == [0] * 4
    # after two seconds the first frame has a weight of 1/e
    earlier = 1 / (1 + np.e)
    assert table["smoothed_happy"].tolist() == pytest.approx([1, earlier, 0, 1 - earlier])
    assert table["smoothed_answer"].tolist() == ["happy", "sad", "sad", "happy"]


def test_faces_without_a_prediction_keep_their_place():
    sightings = [
        Sighting("a.png", None, None, 0, FACE, TOO_SMALL),
        Sighting("b.png", None, None, 0, FACE),
        Sighting("c.png", None, None, None, None, NO_FACE),
    ]
    assert [seen.has_prediction for seen in sightings] == [False, True, False]
    table = tabulate(sightings, {}, [prediction("one", 0.9), prediction("two", 0.2)])
    assert table["run"].tolist() == ["one", "two"] * 3
    assert table["answer"].fillna("").tolist() == ["", "", "happy", "sad", "", ""]
    assert table["p_happy"].isna().tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize(("rate", "number"), [(25, 0), (10, 1)])
def test_a_person_keeps_the_number_for_half_a_second(rate, number):
    """Ten frames pass without the face: 0.44 seconds at 25 frames a second, 1.1 at 10."""
    sightings = [
        Sighting("a.mp4", frame, frame / rate, *((0, FACE) if frame in (0, 11) else (None, None)))
        for frame in range(12)
    ]
    numbers = face_numbers(sightings, {"a.mp4": range(12)})
    assert (numbers[0], numbers[-1]) == (0, number)
    assert set(numbers[1:-1]) == {None}
