"""The confusion matrix's chart, by hand."""

import numpy as np
import pytest

from fer_core.figures.confusion import (
    ANY,
    INTERVAL,
    SELECTION,
    Normalisation,
    confusion_chart,
    count_table,
    most_confused,
    normalise,
)

MATRIX = np.array([[3, 1], [2, 4]])


LABELS = ("angry", "happy")


def cells_of(spec):
    return [row for row in spec["data"]["values"] if not row["head"]]


def texts_of(spec):
    return [row["text"] for row in cells_of(spec)]


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


def test_shares_of_a_class_without_images_are_shown_as_undefined():
    empty = np.array([[0, 0], [1, 3]])
    assert np.isnan(normalise(empty, Normalisation.BY_TRUTH)[0]).all()
    assert texts_of(confusion_chart(empty, LABELS, Normalisation.BY_TRUTH)) == [
        "n/a", "n/a", "25%", "75%",
    ]  # fmt: skip
    assert texts_of(confusion_chart(empty, LABELS, Normalisation.COUNTS)) == ["0", "0", "1", "3"]


def test_a_difference_from_an_undefined_share_is_undefined_and_has_no_colour():
    never_happy = np.array([[4, 0], [6, 0]])
    chart = confusion_chart(
        never_happy, LABELS, Normalisation.BY_PREDICTION, minus=np.array([[3, 1], [2, 4]])
    )
    assert texts_of(chart) == ["-20.0", "n/a", "+20.0", "n/a"]
    shades = [row["shade"] for row in cells_of(chart)]
    assert [shade == 0 for shade in shades] == [False, True, False, True]


def test_most_confused_lists_errors_most_frequent_first():
    table = most_confused(MATRIX, LABELS)
    assert table.to_dict("records") == [
        {"true": "happy", "predicted": "angry", "images": 2, "share of true class": 2 / 6},
        {"true": "angry", "predicted": "happy", "images": 1, "share of true class": 1 / 4},
    ]


def test_the_confusion_chart_is_clickable_and_shows_counts():
    spec = confusion_chart(MATRIX, LABELS, Normalisation.COUNTS, ("happy", "angry"))
    assert [param["name"] for param in spec["params"]] == [SELECTION]
    rows = spec["data"]["values"]
    cells = {(row["truth"], row["predicted"]): row for row in rows}
    assert cells["happy", "angry"]["text"] == "2"
    assert [pair for pair, row in cells.items() if row["selected"]] == [("happy", "angry")]
    assert cells["happy", "happy"]["shade"] > 0 > cells["happy", "angry"]["shade"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Normalisation.COUNTS, ["75%", "25%", "33%", "67%"]),
        (Normalisation.BY_TRUTH, ["3", "1", "2", "4"]),
        (Normalisation.BY_PREDICTION, ["3", "1", "2", "4"]),
    ],
)
def test_a_second_line_has_the_counts_of_shares_and_the_shares_of_counts(how, expected):
    spec = confusion_chart(MATRIX, LABELS, how)
    assert [row["second"] for row in cells_of(spec)] == expected
    assert spec["layer"][-1]["encoding"]["text"]["field"] == "second"
    assert {row["second"] for row in spec["data"]["values"] if row["head"]} == {""}


def test_the_second_line_of_a_difference_is_a_difference():
    spec = confusion_chart(MATRIX, LABELS, Normalisation.BY_TRUTH, minus=np.array([[2, 2], [1, 5]]))
    assert [row["second"] for row in cells_of(spec)] == ["+1", "-1", "+1", "-1"]


def test_the_tooltip_has_wilsons_interval_of_the_share_of_the_true_class():
    spec = confusion_chart(np.array([[3, 1], [0, 0]]), LABELS, Normalisation.BY_PREDICTION)
    # 3 of 4: centre (0.75 + z^2 / 8) / (1 + z^2 / 4) = 0.6275, half width 0.3269
    assert [row[INTERVAL] for row in cells_of(spec)] == [
        "30.1% to 95.4%", "4.6% to 69.9%", "n/a", "n/a",
    ]  # fmt: skip
    assert INTERVAL in [item["field"] for item in spec["encoding"]["tooltip"]]


def test_counts_as_a_table_have_true_classes_in_rows():
    table = count_table(MATRIX, LABELS)
    assert table.to_csv(index=False) == "true class,angry,happy\nangry,3,1\nhappy,2,4\n"


def test_rows_and_columns_have_clickable_headers():
    spec = confusion_chart(MATRIX, LABELS, Normalisation.COUNTS, ("happy", ANY))
    rows = spec["data"]["values"]
    heads = {(row["truth"], row["predicted"]): row for row in rows if row["head"]}
    assert set(heads) == {(name, ANY) for name in LABELS} | {(ANY, name) for name in LABELS}
    assert heads["happy", ANY]["count"] == 6
    assert heads[ANY, "happy"]["count"] == 5
    assert heads["happy", ANY]["selected"]
    assert heads[ANY, "happy"]["text"] == "happy"


def test_improvements_are_green():
    other = np.array([[2, 2], [1, 5]])
    spec = confusion_chart(MATRIX, LABELS, Normalisation.COUNTS, minus=other)
    cells = {(row["truth"], row["predicted"]): row for row in cells_of(spec)}
    assert {pair: row["text"] for pair, row in cells.items()} == {
        ("angry", "angry"): "+1", ("angry", "happy"): "-1",
        ("happy", "angry"): "+1", ("happy", "happy"): "-1",
    }  # fmt: skip
    assert cells["angry", "angry"]["shade"] > 0  # more right
    assert cells["angry", "happy"]["shade"] > 0  # fewer mistakes
    assert cells["happy", "angry"]["shade"] < 0
    assert cells["happy", "happy"]["shade"] < 0
    shares = confusion_chart(MATRIX, LABELS, Normalisation.BY_TRUTH, minus=other)
    assert texts_of(shares) == ["+25.0", "-25.0", "+16.7", "-16.7"]
