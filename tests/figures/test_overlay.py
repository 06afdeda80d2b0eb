"""Saliency overlays on a face."""

import io

import numpy as np
import pytest
from PIL import Image

from fer_core.figures.overlay import (
    AGAINST,
    FOR,
    heat_bar,
    heat_overlay,
    overlay_sheet,
    signed_bar,
)

FACE = Image.fromarray(np.full((48, 48, 3), 100, dtype=np.uint8))


def test_without_positive_evidence_the_face_stays_grey():
    for nothing in (np.zeros((8, 8), np.float32), np.full((8, 8), -3, np.float32)):
        np.testing.assert_array_equal(np.asarray(heat_overlay(FACE, nothing)), 100)


def test_the_heatmap_is_where_the_map_is_positive():
    saliency = np.full((48, 48), -1.0, dtype=np.float32)
    saliency[:, 32:] = 2.0
    overlay = np.asarray(heat_overlay(FACE, saliency)).astype(int)
    assert (overlay[:, :24] == 100).all()
    assert (np.abs(overlay[:, 40:] - 100).sum(axis=2) > 50).all()


def test_the_overlay_has_the_larger_of_both_sizes():
    assert heat_overlay(FACE, np.ones((224, 224), np.float32)).size == (224, 224)
    assert heat_overlay(FACE.resize((300, 300)), np.ones((7, 7), np.float32)).size == (300, 300)


def test_a_map_of_nan_leaves_the_face_unchanged():
    broken = np.full((8, 8), np.nan, dtype=np.float32)
    np.testing.assert_array_equal(np.asarray(heat_overlay(FACE, broken)), 100)


def test_the_colour_bar_has_the_colours_of_the_overlay():
    faint, strong = (np.asarray(heat_bar(opacity).colours)[7] for opacity in (0.5, 1))
    assert faint[0].tolist() == strong[0].tolist() == [128, 128, 128]
    level = np.array([[1.0]], np.float32)
    strongest = heat_overlay(Image.new("L", (1, 1), 128), level, opacity=0.5)
    assert faint[-1].tolist() == list(strongest.getpixel((0, 0)))
    assert strong[-1].tolist() != faint[-1].tolist()
    signed = np.asarray(signed_bar(1).colours)[7]
    np.testing.assert_allclose([signed[0], signed[-1]], [AGAINST, FOR], atol=2)


@pytest.mark.parametrize("columns", [1, 3])
def test_a_sheet_has_its_colour_bar_and_the_meaning_below(columns):
    def sheet(bar):
        tiles = [[FACE] * columns]
        return Image.open(io.BytesIO(overlay_sheet(tiles, [""], [""] * columns, bar=bar)))

    plain, keyed = np.asarray(sheet(None)), np.asarray(sheet(heat_bar(1)))
    np.testing.assert_array_equal(keyed[: len(plain)], plain)
    below = keyed[len(plain) :]
    width = min(320, 224 * columns - 20)
    ends = below[15, [10, 10 + width - 1]]
    np.testing.assert_allclose(ends, np.asarray(heat_bar(1).colours)[7, [0, -1]], atol=8)
    assert (below[15, 10 + width :] == 255).all()
    assert below[26:41, 10 + width // 2 :].min() < 128  # the label of the right end
    assert below[41:-10].min() < 128  # the meaning
    assert (below[:, -3:] == 255).all()
