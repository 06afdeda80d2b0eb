"""Nearest pictures: against numpy's own correlation, and what cannot be compared."""

import numpy as np

from fer_core.data.nearest_images import NeighbourIndex
from tests.support.helpers import noise


def smooth(count: int, seed: int = 0) -> np.ndarray:
    """Pictures that differ in large patches, as faces do."""
    return np.kron(noise(count, seed=seed, side=12), np.ones((4, 4), dtype=np.uint8))


def test_nearest_images_are_ordered_by_correlation():
    images = smooth(300)
    index = NeighbourIndex.of(images)
    flat = images.reshape(300, -1).astype(float)
    expected = np.corrcoef(flat)[7]
    among = np.arange(1, 300)
    result = index.nearest(images[7], 5, among)
    order = among[np.argsort(-expected[among])][:5]
    assert [row for row, _ in result] == order.tolist()
    np.testing.assert_allclose(
        [alike for _, alike in result], [expected[row] for row, _ in result], atol=1e-5
    )


def test_only_the_requested_rows_are_searched():
    images = smooth(20)
    index = NeighbourIndex.of(images)
    assert {row for row, _ in index.nearest(images[3], 4, np.array([5, 9]))} == {5, 9}
    assert index.nearest(images[3], 4, np.array([], dtype=np.int64)) == []


def test_brightness_and_contrast_do_not_change_the_correlation():
    images = smooth(10)
    index = NeighbourIndex.of(images)
    changed = (images[4] * 0.5 + 60).astype(np.uint8)
    row, alike = index.nearest(changed, 1, np.arange(10))[0]
    assert row == 4
    assert alike > 0.99


def test_a_flat_image_has_no_nearest_images():
    images = smooth(5)
    flat = np.full((48, 48), 100, dtype=np.uint8)
    assert all(alike == 0 for _, alike in NeighbourIndex.of(images).nearest(flat, 3, np.arange(5)))


def test_colour_images_are_compared_in_grey():
    grey = smooth(6)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    row, alike = NeighbourIndex.of(colour).nearest(colour[2], 1, np.arange(6))[0]
    assert (row, round(alike, 4)) == (2, 1.0)
