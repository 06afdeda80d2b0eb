"""One face changed by degrees, and where answers turn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data.whatif import CHANGES, STEPS, Turn, changed, sweep, turns


@pytest.fixture(scope="module")
def face():
    return np.random.default_rng(0).integers(60, 200, (48, 48), dtype=np.uint8)


@pytest.mark.parametrize("name", CHANGES)
def test_an_amount_of_zero_changes_nothing(face, name):
    amounts = CHANGES[name].amounts
    assert len(amounts) == STEPS
    assert (np.diff(amounts) > 0).all()
    images = sweep(face, name)
    assert images.shape == (STEPS, 48, 48)
    np.testing.assert_array_equal(images[list(amounts).index(0.0)], face)
    for place in {0, STEPS - 1} - {list(amounts).index(0.0)}:
        assert not np.array_equal(images[place], face)


def test_brightness_and_contrast_worked_by_hand():
    face = np.full((16, 16), 100, dtype=np.uint8)
    face[:, 8:] = 200  # mean 150
    darker = changed(face, {"brightness": -0.5})
    assert (darker[0, 0], darker[0, 15]) == (50, 100)
    brighter = changed(face, {"brightness": 0.2})
    assert (brighter[0, 0], brighter[0, 15]) == (151, 251)
    faded = changed(face, {"contrast": -0.5})
    assert (faded[0, 0], faded[0, 15]) == (125, 175)
    harder = changed(face, {"contrast": 0.5})
    assert (harder[0, 0], harder[0, 15]) == (75, 225)


def test_rotation_above_zero_is_clockwise():
    face = np.zeros((49, 49), dtype=np.uint8)
    face[4:8, 22:27] = 255  # a mark at the top
    turned = changed(face, {"rotation": 45})
    _, columns = np.nonzero(turned > 100)
    assert columns.mean() > 35  # it went to the right


def test_the_occlusion_covers_the_mouth(face):
    rows = np.nonzero((changed(face, {"mouth": 1.0}) != face).any(axis=1))[0]
    assert 0.55 * 48 < rows.min() < rows.max() < 0.95 * 48


def test_changes_are_applied_in_a_fixed_order(face):
    both = changed(face, {"eyes": 1.0, "brightness": -0.5})
    expected = changed(changed(face, {"brightness": -0.5}), {"eyes": 1.0})
    assert np.abs(both.astype(int) - expected).max() <= 1  # rounded once and not twice
    swept = sweep(face, "eyes", {"brightness": -0.5, "eyes": 0.3})
    np.testing.assert_array_equal(swept[-1], both)


def test_colour_keeps_its_shape_and_amounts_their_range():
    face = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert changed(face, {"rotation": 20, "noise": 0.1}).shape == (32, 32, 3)
    np.testing.assert_array_equal(changed(face, {"rotation": 900}), changed(face, {"rotation": 45}))
    with pytest.raises(KeyError, match="Unknown change 'moustache'"):
        changed(face, {"moustache": 1})


def test_turns_are_the_first_changed_predictions_on_either_side():
    amounts = [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    assert turns(amounts, [4, 3, 3, 3, 5, 6]) == (Turn(-2.0, 4), Turn(2.0, 5))
    assert turns(amounts, [3] * 6) == (None, None)
    assert turns([0.0, 0.5, 1.0], [1, 1, 0]) == (None, Turn(1.0, 0))


@given(st.lists(st.integers(0, 6), min_size=STEPS, max_size=STEPS))
def test_before_a_turn_the_prediction_does_not_change(answers):
    amounts = CHANGES["rotation"].amounts
    down, up = turns(amounts, answers)
    unchanged = answers[STEPS // 2]
    low = -np.inf if down is None else down.amount
    high = np.inf if up is None else up.amount
    stays = [answer == unchanged for amount, answer in zip(amounts, answers, strict=True)
             if low < amount < high]  # fmt: skip
    assert all(stays)
    assert down is None or down.predicted != unchanged
    assert up is None or up.predicted != unchanged
