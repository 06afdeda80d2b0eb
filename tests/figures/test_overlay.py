"""Saliency overlays on a face."""

import numpy as np
from PIL import Image

from fer_core.figures.overlay import heat_overlay

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
