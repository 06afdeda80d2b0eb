"""Boxes of faces in tables."""

import pandas as pd
import pytest

from fer_core.data.sources.box_columns import box_columns


def boxes(columns, *rows):
    table = pd.DataFrame(rows, columns=columns, dtype="str")
    found = box_columns(table, {name.lower().replace("_", ""): name for name in columns})
    return found and [found.of(row) for row in table.to_dict("records")]


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        (("xmin", "ymin", "xmax", "ymax"), "10 20 30 40", ((10, 20, 30, 40), None)),
        (("x1", "y1", "x2", "y2"), "0 10 20 20", ((0, 5, 20, 25), None)),  # made square
        (("face_x", "face_y", "face_width", "face_height"), "5 6 10 10", ((5, 6, 15, 16), None)),
        (("left", "top", "right", "bottom"), ".1 .2 .3 .4", (None, (0.1, 0.2, 0.3, 0.4))),
        (("x", "y", "w", "h"), "9 9 0 5", (None, None)),  # empty
    ],
)
def test_usual_columns_are_boxes(columns, row, expected):
    assert boxes(columns, row.split()) == [expected]


@pytest.mark.parametrize("cells", ["a b c d", "1 2 3"])
def test_other_columns_are_none(cells):
    names = ("x1", "y1", "x2", "y2")[: len(cells.split())]
    assert boxes(names, cells.split()) is None


def test_the_map_and_the_size_of_an_image_are_no_box():
    assert boxes(("x", "y", "width", "height"), ["0.1", "0.2", "48", "48"]) is None


def test_a_row_without_a_box_is_the_whole_picture():
    names = ("x1", "y1", "x2", "y2")
    assert boxes(names, ["1", "1", "9", "9"], ["", "", "", ""]) == [
        ((1, 1, 9, 9), None),
        (None, None),
    ]
