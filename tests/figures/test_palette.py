"""Colours of classes and models."""

from fer_core.figures.palette import EMOTIONS, class_colour, model_colours
from fer_core.labels import SEVEN_EMOTIONS


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
