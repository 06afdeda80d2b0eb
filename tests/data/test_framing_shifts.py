"""Framing shifts: margins and rotations, worked by hand."""

import numpy as np
import pytest

from fer_core.data.framing_shifts import (
    FRAMING_SHIFTS,
    FramingChange,
    FramingShift,
    shift_framing,
)

MARGIN, ROTATION = FramingChange.MARGIN, FramingChange.ROTATION


def shifted(image, shift, seed=0, key=0):
    return shift_framing(image[None], shift, seed=seed, keys=[key])[0]


def test_the_list_of_framing_shifts():
    assert [shift.title for shift in FRAMING_SHIFTS] == [
        "unchanged",
        "margin -10%",
        "margin +10%",
        "margin +20%",
        "rotated 10°",
        "rotated 20°",
    ]


def test_a_zero_shift_keeps_the_images():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    assert shift_framing(images, FRAMING_SHIFTS[0], keys=[0, 1]) is images


@pytest.mark.parametrize("margin", [-0.1, 0.1, 0.2])
def test_a_ramp_becomes_steeper_or_flatter_around_its_centre(margin):
    side = 50
    ramp = np.tile(np.arange(side, dtype=np.uint8) + 100, (side, 1))
    result = shifted(ramp, FramingShift(MARGIN, margin))
    # output pixel x shows the stored place c + (x - c) * (1 + 2 margin), repeated beyond the edge
    centre = (side - 1) / 2
    places = centre + (np.arange(side) - centre) * (1 + 2 * margin)
    expected = 100 + np.clip(places, 0, side - 1)
    assert np.abs(result[25] - expected).max() <= 1
    np.testing.assert_array_equal(result, np.tile(result[25], (side, 1)))


def test_the_edge_is_repeated_beyond_the_image():
    image = np.full((10, 10), 50, dtype=np.uint8)
    image[:, 0] = 200
    result = shifted(image, FramingShift(MARGIN, 0.2))
    # 14 columns, the first three all 200, are shown in 10: the first spans 1.4 of them
    assert result[0, 0] == 200
    assert (result[:, 5:] == 50).all()


def test_a_negative_margin_cuts_off_the_edge():
    image = np.full((20, 20), 50, dtype=np.uint8)
    image[:, 0] = 200  # the crop begins after two columns
    assert (shifted(image, FramingShift(MARGIN, -0.1)) == 50).all()


def test_colour_channels_are_shifted_separately():
    image = np.zeros((10, 10, 3), dtype=np.uint8)
    image[..., 1] = 90
    for shift in FRAMING_SHIFTS:
        np.testing.assert_array_equal(shifted(image, shift), image)


def test_rotation_moves_a_point_by_the_angle():
    side = 41
    image = np.zeros((side, side), dtype=np.uint8)
    image[19:22, 34:37] = 255  # 15 pixels to the right of the centre (20, 20)
    seen = set()
    for key in range(12):
        result = shifted(image, FramingShift(ROTATION, 20.0), key=key).astype(float)
        row, column = (np.indices(result.shape) * result).sum(axis=(1, 2)) / result.sum()
        angle = np.degrees(np.arctan2(row - 20, column - 20))
        assert abs(angle) == pytest.approx(20, abs=1)
        assert np.hypot(row - 20, column - 20) == pytest.approx(15, abs=0.3)
        seen.add(angle > 0)
    assert seen == {True, False}


def test_an_images_direction_depends_on_its_key_and_the_seed_only():
    image = np.random.default_rng(1).integers(0, 256, (16, 16), dtype=np.uint8)
    images, shift = np.stack([image] * 6), FramingShift(ROTATION, 10.0)
    together = shift_framing(images, shift, keys=range(6))
    for key in range(6):
        np.testing.assert_array_equal(together[key], shifted(image, shift, key=key))
    other_seed = shift_framing(images, shift, seed=1, keys=range(6))
    assert (together != other_seed).any()
