"""Figures of a dataset: what they hold, by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_core.figures import dataset

LABELS = ("happy", "sad")


def test_counts_by_class_and_group():
    counts = pd.DataFrame({"train": [3, 5], "test": [1, 2]}, index=["happy", "sad"])
    figure = dataset.class_counts(counts, LABELS)
    assert {bar.name: list(bar.y) for bar in figure.data} == {"train": [3, 5], "test": [1, 2]}
    assert figure.data[0].marker.color == dataset.SPLITS["train"]


def test_a_histogram_adds_up_to_all_images():
    values = {"happy": np.array([1.0, 2, 3, np.nan]), "sad": np.array([2.0, 2, 9])}
    figure = dataset.histogram(values, {"happy": "red", "sad": "blue"}, "x", log=False)
    for line, counted in zip(figure.data, (3, 3), strict=True):
        assert sum(line.y) == pytest.approx(counted / counted)


@pytest.mark.parametrize("log", [True, False])
def test_a_histogram_of_equal_values_or_none_is_drawn(log):
    equal = dataset.histogram({"a": np.array([5.0, 5, 0])}, {"a": "red"}, "x", log)
    assert len(equal.data) == 1
    assert not dataset.histogram({}, {}, "x", log).data


def test_the_map_has_a_point_per_image_and_the_region():
    points = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "x": [0.0, 1.0, 2.0],
            "y": [0.0, 1.0, 2.0],
            "label": ["happy", "sad", None],
        }
    )
    region = np.array([[0.0, 0], [1, 0], [1, 1]])
    figure = dataset.dataset_map(points, dataset.class_groups(points, LABELS), region, (0.2, 0.1))
    names = [trace.name for trace in figure.data]
    assert names[:3] == ["happy", "sad", "no class"]
    assert [list(trace.text) for trace in figure.data[:3]] == [["a"], ["b"], ["c"]]
    assert list(figure.data[3].x) == [0, 1, 1, 0]  # closed
    assert "20%" in figure.layout.xaxis.title.text


def test_annotations_are_shown_as_shares_of_rows():
    counts = pd.DataFrame([[3, 1], [0, 4]], index=LABELS, columns=LABELS)
    figure = dataset.annotation_heatmap(counts)
    np.testing.assert_allclose(figure.data[0].z, [[0.75, 0.25], [0, 1]])


def test_accuracy_without_suspects_is_drawn_from_hollow_to_solid():
    figure = dataset.cleared_chart([("A", "red", 0.7, 0.8)])
    assert list(figure.data[0].x) == [0.7, 0.8]
    assert list(figure.data[0].marker.symbol) == ["circle-open", "circle"]
