"""Colours of classes and models."""

from itertools import combinations

import numpy as np
import pytest

from fer_core.figures.palette import (
    EMOTIONS,
    class_colour,
    model_colours,
    model_dashes,
    model_patterns,
    model_symbols,
)
from fer_core.labels import SEVEN_EMOTIONS

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def seen(colour: str) -> np.ndarray:
    """Returns a colour as someone without green cones sees it, in CIELAB."""
    values = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    ratio = TO_XYZ @ np.clip(DEUTERANOPIA @ linear, 0, 1) / WHITE
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(first: str, second: str) -> float:
    return float(np.linalg.norm(seen(first) - seen(second)))


def test_the_distance_of_colours():
    assert abs(distance("#000000", "#ffffff") - 100) < 0.1  # CIELAB: black is 0, white 100
    assert distance("#ff0000", "#808000") < 25 < distance("#0000ff", "#ffff00")


def test_colour_blind_readers_tell_emotions_apart():
    assert min(distance(*pair) for pair in combinations(EMOTIONS.values(), 2)) > 15


CUES = pytest.mark.parametrize("cue", [model_dashes, model_symbols, model_patterns])


@CUES
def test_each_of_many_models_has_a_look_of_its_own(cue):
    names = [f"run{number:02}" for number in range(48)]
    colours, cues = model_colours(names), cue(names)
    assert len({(colours[name], cues[name]) for name in names}) == 48


@CUES
def test_colour_blind_readers_tell_models_apart(cue):
    names = [f"run{number:02}" for number in range(16)]
    colours, cues = model_colours(names), cue(names)
    alike = [pair for pair in combinations(names, 2) if cues[pair[0]] == cues[pair[1]]]
    assert min(distance(colours[a], colours[b]) for a, b in alike) > 12


def test_emotions_have_distinct_colours():
    assert set(EMOTIONS) == set(SEVEN_EMOTIONS.names)
    assert len(set(EMOTIONS.values())) == 7


def test_other_classes_get_colours_too():
    labels = ("angry", "bored", "tired")
    colours = [class_colour(label, labels) for label in labels]
    assert len(set(colours)) == 3


def test_a_model_keeps_its_colour_whatever_the_order():
    assert model_colours(["b", "a"]) == model_colours(["a", "b"])
    assert len(set(model_colours([str(i) for i in range(16)]).values())) == 16
