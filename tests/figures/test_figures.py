"""Figures: what they hold, by hand."""

import numpy as np
import pytest
from PIL import Image

from fer_core.evaluation.report import Estimate
from fer_core.figures.charts import class_balance, history_chart, interval_chart, probability_bars
from fer_core.figures.confusion import (
    ANY,
    SELECTION,
    Normalisation,
    confusion_chart,
    most_confused,
    normalise,
)
from fer_core.figures.overlay import heat_overlay
from fer_core.figures.palette import EMOTIONS, class_colour, model_colours
from fer_core.labels import SEVEN_EMOTIONS

MATRIX = np.array([[3, 1], [2, 4]])
LABELS = ("angry", "happy")


def test_every_emotion_has_a_colour_of_its_own():
    assert set(EMOTIONS) == set(SEVEN_EMOTIONS.names)
    assert len(set(EMOTIONS.values())) == 7


def test_other_classes_get_colours_too():
    labels = ("angry", "bored", "tired")
    colours = [class_colour(label, labels) for label in labels]
    assert len(set(colours)) == 3


def test_a_model_keeps_its_colour_whatever_the_order():
    assert model_colours(["b", "a"]) == model_colours(["a", "b"])
    assert len(set(model_colours([str(i) for i in range(16)]).values())) == 16


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Normalisation.COUNTS, [[3, 1], [2, 4]]),
        (Normalisation.BY_TRUTH, [[0.75, 0.25], [1 / 3, 2 / 3]]),
        (Normalisation.BY_PREDICTION, [[0.6, 0.2], [0.4, 0.8]]),
    ],
)
def test_normalisation_by_hand(how, expected):
    np.testing.assert_allclose(normalise(MATRIX, how), expected)


def test_an_empty_class_gives_zeros_not_errors():
    assert normalise(np.array([[0, 0], [1, 1]]), Normalisation.BY_TRUTH)[0].tolist() == [0, 0]


def test_most_confused_lists_mistakes_only_most_frequent_first():
    table = most_confused(MATRIX, LABELS)
    assert table.to_dict("records") == [
        {"true": "happy", "predicted": "angry", "images": 2, "share of true class": 2 / 6},
        {"true": "angry", "predicted": "happy", "images": 1, "share of true class": 1 / 4},
    ]


def test_the_matrix_chart_can_be_clicked_and_shows_its_numbers():
    spec = confusion_chart(MATRIX, LABELS, Normalisation.COUNTS, ("happy", "angry"))
    assert [param["name"] for param in spec["params"]] == [SELECTION]
    rows = spec["data"]["values"]
    cells = {(row["truth"], row["predicted"]): row for row in rows}
    assert cells["happy", "angry"]["text"] == "2"
    assert [pair for pair, row in cells.items() if row["selected"]] == [("happy", "angry")]
    assert cells["happy", "happy"]["shade"] > 0 > cells["happy", "angry"]["shade"]


def test_rows_and_columns_have_headers_to_click():
    spec = confusion_chart(MATRIX, LABELS, Normalisation.COUNTS, ("happy", ANY))
    rows = spec["data"]["values"]
    heads = {(row["truth"], row["predicted"]): row for row in rows if row["head"]}
    assert set(heads) == {(name, ANY) for name in LABELS} | {(ANY, name) for name in LABELS}
    assert heads["happy", ANY]["count"] == 6
    assert heads[ANY, "happy"]["count"] == 5
    assert heads["happy", ANY]["selected"]
    assert heads[ANY, "happy"]["text"] == "happy"


def test_a_difference_is_green_where_it_is_better():
    other = np.array([[2, 2], [1, 5]])
    spec = confusion_chart(MATRIX, LABELS, Normalisation.COUNTS, minus=other)
    rows = spec["data"]["values"]
    cells = {(row["truth"], row["predicted"]): row for row in rows if not row["head"]}
    assert {pair: row["text"] for pair, row in cells.items()} == {
        ("angry", "angry"): "+1", ("angry", "happy"): "-1",
        ("happy", "angry"): "+1", ("happy", "happy"): "-1",
    }  # fmt: skip
    assert cells["angry", "angry"]["shade"] > 0  # more right
    assert cells["angry", "happy"]["shade"] > 0  # fewer mistakes
    assert cells["happy", "angry"]["shade"] < 0
    assert cells["happy", "happy"]["shade"] < 0
    shares = confusion_chart(MATRIX, LABELS, Normalisation.BY_TRUTH, minus=other)
    texts = [row["text"] for row in shares["data"]["values"] if not row["head"]]
    assert texts == ["+25.0", "-25.0", "+16.7", "-16.7"]


def test_bars_keep_canonical_order_and_colours():
    bars = probability_bars(np.array([0.3, 0.7]), LABELS).data[0]
    assert list(bars.y) == ["angry", "happy"]
    assert list(bars.x) == [0.3, 0.7]
    assert list(bars.marker.color) == [EMOTIONS["angry"], EMOTIONS["happy"]]


def test_class_balance_shows_shares():
    figure = class_balance({"train": {"angry": 3, "happy": 1}}, LABELS)
    assert [trace.x[0] for trace in figure.data] == [0.75, 0.25]


def test_intervals_put_the_best_on_top():
    estimates = {
        "a": Estimate(value=0.7, low=0.6, high=0.8),
        "b": Estimate(value=0.9, low=0.8, high=0.95),
        "c": Estimate(value=0.5, low=0.4, high=0.6),
    }
    figure = interval_chart(estimates, dict.fromkeys(estimates, "x"), dict.fromkeys("abc", "#000"))
    values = [trace.x[0] for trace in figure.data]
    assert values == [0.5, 0.7, 0.9]  # plotly draws the last on top
    assert figure.data[2].error_x.array[0] == pytest.approx(0.05)


def test_histories_are_one_line_a_run(toy):
    run = toy.benchmark.run("resnet34-cpu-s0")
    figure = history_chart({"r": run.history()}, {"r": "R"}, {"r": "#123456"}, "accuracy")
    assert list(figure.data[0].y) == [0.3, 0.5]
    assert figure.data[0].line.color == "#123456"


FACE = Image.fromarray(np.full((48, 48, 3), 100, dtype=np.uint8))


def test_where_nothing_speaks_for_the_class_the_face_stays_grey():
    for nothing in (np.zeros((8, 8), np.float32), np.full((8, 8), -3, np.float32)):
        np.testing.assert_array_equal(np.asarray(heat_overlay(FACE, nothing)), 100)


def test_heat_lies_where_the_map_is_positive():
    saliency = np.full((48, 48), -1.0, dtype=np.float32)
    saliency[:, 32:] = 2.0
    overlay = np.asarray(heat_overlay(FACE, saliency)).astype(int)
    assert (overlay[:, :24] == 100).all()
    assert (np.abs(overlay[:, 40:] - 100).sum(axis=2) > 50).all()


def test_the_overlay_has_the_larger_of_both_sizes():
    assert heat_overlay(FACE, np.ones((224, 224), np.float32)).size == (224, 224)
    assert heat_overlay(FACE.resize((300, 300)), np.ones((7, 7), np.float32)).size == (300, 300)


def test_a_map_that_is_not_a_number_does_not_break_the_picture():
    broken = np.full((8, 8), np.nan, dtype=np.float32)
    np.testing.assert_array_equal(np.asarray(heat_overlay(FACE, broken)), 100)
