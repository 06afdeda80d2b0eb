"""Corruptions: what each does, that they grow, and that nothing but the seed decides them."""

import numpy as np
import pytest

from fer_core.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from tests.support.builders import drawn_face

FACE = np.asarray(drawn_face(48))
GREY = np.asarray(drawn_face(48).convert("L"))


def change(name: str, severity: int, image=GREY) -> float:
    after = corrupt(np.stack([image] * 4), name, severity)
    return float(np.abs(after.astype(float) - image).mean())


def test_the_list_of_corruptions():
    expected = {
        "noise", "blur", "motion_blur", "low_resolution", "jpeg", "brighter", "darker",
        "low_contrast", "rotation", "shift", "occluded_eyes", "occluded_mouth", "shadow",
    }  # fmt: skip
    assert expected <= set(CORRUPTIONS)
    assert all(len(kind.amounts) == len(SEVERITIES) for kind in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_changes_more_than_the_last(name):
    changes = [change(name, severity) for severity in SEVERITIES]
    assert changes[0] > 0.2
    assert changes == sorted(changes)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_depend_on_key_and_seed_only(name):
    batch = np.stack([GREY, GREY[:, ::-1], GREY])
    whole = corrupt(batch, name, 3, seed=5, keys=[10, 11, 12])
    alone = corrupt(batch[1:2], name, 3, seed=5, keys=[11])
    np.testing.assert_array_equal(whole[1], alone[0])
    np.testing.assert_array_equal(whole, corrupt(batch, name, 3, seed=5, keys=[10, 11, 12]))
    assert whole.dtype == np.uint8
    assert batch[0].tobytes() == GREY.tobytes()  # the pictures themselves stay


@pytest.mark.parametrize("name", ["noise", "specks", "motion_blur", "shift", "shadow"])
def test_images_are_corrupted_differently(name):
    first, second = corrupt(np.stack([GREY, GREY]), name, 4)
    assert (first != second).any()
    again = corrupt(GREY[None], name, 4, seed=1)[0]
    assert (first != again).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_colour_works_like_grey(name):
    assert corrupt(FACE[None], name, 3).shape == (1, 48, 48, 3)
    grey_as_colour = np.repeat(GREY[None, ..., None], 3, axis=-1)
    if name not in ("noise", "jpeg"):  # noise is drawn by channel; JPEG changes the colour space
        coloured = corrupt(grey_as_colour, name, 3)[0]
        plain = corrupt(GREY[None], name, 3)[0]
        assert np.abs(coloured[..., 0].astype(int) - plain).max() <= 1


def test_brightness_by_hand():
    flat = np.full((1, 16, 16), 100, dtype=np.uint8)
    assert (corrupt(flat, "brighter", 2) == 151).all()  # 100 + 0.2 * 255
    assert (corrupt(flat, "darker", 2) == 50).all()
    assert (corrupt(flat, "low_contrast", 5) == 100).all()
    assert (corrupt(np.full((1, 16, 16), 240, dtype=np.uint8), "brighter", 5) == 255).all()


def test_occlusions_leave_other_pixels_unchanged():
    for name, rows in (("occluded_eyes", slice(13, 22)), ("occluded_mouth", slice(30, 43))):
        after = corrupt(GREY[None], name, 5)[0]
        assert len(np.unique(after[rows])) == 1
        untouched = np.setdiff1d(np.arange(48), np.arange(10, 46))
        np.testing.assert_array_equal(after[untouched], GREY[untouched])
        np.testing.assert_array_equal(after[46:], GREY[46:])


def test_an_occlusion_has_the_mean_colour_of_the_image():
    image = np.zeros((48, 48, 3), dtype=np.uint8)
    image[:24] = (200, 100, 40)
    for name, row in (("occluded_eyes", 17), ("occluded_mouth", 36)):
        assert corrupt(image[None], name, 5)[0][row, 24].tolist() == [100, 50, 20]


def test_heads_are_tilted_to_both_sides():
    image = np.zeros((41, 41), dtype=np.uint8)
    image[19:22, 34:37] = 255  # 15 pixels to the right of the centre (20, 20)
    turned = corrupt(np.stack([image] * 12), "rotation", 3).astype(float)
    rows = (turned * np.arange(41)[:, None]).sum(axis=(1, 2)) / turned.sum(axis=(1, 2)) - 20
    # 23 degrees up or down
    assert np.abs(rows) == pytest.approx(np.full(12, 15 * np.sin(np.radians(23))), abs=0.3)
    assert rows.min() < 0 < rows.max()


def test_a_shadow_darkens_and_never_lightens():
    flat = np.full((1, 48, 48), 200, dtype=np.uint8)
    after = corrupt(flat, "shadow", 5)[0]
    assert after.max() <= 200
    assert after.min() < 40


def test_motion_blur_keeps_the_mean():
    flat = np.full((1, 32, 32), 77, dtype=np.uint8)
    assert (corrupt(flat, "motion_blur", 5) == 77).all()


def test_invalid_arguments_are_refused():
    with pytest.raises(KeyError):
        corrupt(GREY[None], "weather", 1)
    with pytest.raises(ValueError, match="1 to 5"):
        corrupt(GREY[None], "blur", 6)
