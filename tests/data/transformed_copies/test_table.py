import pytest

from fer_core.data.transformed_copies.table import TransformedCopies, changes_made, describe_change

UNCHANGED = {
    "mirrored": False, "degrees": 0.4, "scale": 1.01, "shift_x": 0.01, "shift_y": -0.01,
    "gain": 1.0, "gamma": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "re-encoded, nothing else"),
        ({"mirrored": True, "degrees": 7.2}, "mirrored, rotated by 7° clockwise"),
        ({"degrees": -12.0}, "rotated by 12° anticlockwise"),
        ({"scale": 1.18, "shift_x": 0.06, "shift_y": 0.08}, "enlarged to 118%, shifted by 10%"),
        ({"scale": 0.8}, "reduced to 80%"),
        ({"gamma": 2.0}, "darker"),
        ({"gain": 1.4}, "brighter"),
    ],
)
def test_a_change_in_words(change: dict[str, float], text: str) -> None:
    assert describe_change(UNCHANGED | change) == text


def test_kinds_of_change() -> None:
    assert changes_made(UNCHANGED) == ()
    assert changes_made(UNCHANGED | {"mirrored": True, "scale": 1.2}) == (
        "mirrored",
        "cropped or rescaled",
    )


def test_no_pairs_have_a_table_with_all_columns() -> None:
    table = TransformedCopies.none().table(["a", "b"])
    assert len(table) == 0
    assert {"id", "other", "kind", "mirrored", "correlation"} <= set(table.columns)
