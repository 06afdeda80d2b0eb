"""Pictures of one person are not independent; few pictures say little about a person."""

import numpy as np
import pytest

from fer_core.evaluation.person_accuracy import accuracy_by_person, share_of
from fer_core.evaluation.report import Estimate


def persons(count: int, images: int) -> np.ndarray:
    return np.repeat([f"P{number:02d}" for number in range(count)], images).astype(object)


def test_persons_who_differ_widen_the_interval():
    of = persons(20, 10)
    right = np.repeat(np.arange(20) % 2 == 0, 10)  # all pictures of a person, or none
    alone, together = share_of(right, None), share_of(right, of)
    assert alone == Estimate.of_share(100, 200)
    assert together.value == alone.value
    # the standard error of 20 persons instead of 200 pictures: 11.2 points instead of 3.5
    assert together.high - together.low == pytest.approx(2 * 1.96 * 0.112, abs=0.05)


def test_persons_who_do_not_differ_never_narrow_it():
    right = np.tile([True, False], 100)
    assert share_of(right, persons(20, 10)) == Estimate.of_share(100, 200)
    assert share_of(np.ones(200, dtype=bool), persons(2, 100)) == Estimate.of_share(200, 200)


def test_images_without_a_person_are_persons_of_their_own():
    right = np.tile([True, False], 20)
    none = np.full(40, None, dtype=object)
    assert share_of(right, none) == share_of(right, None)
    assert share_of(right[:0], None) is None


def test_the_interval_over_persons_holds_the_accuracy():
    """Each person has another accuracy; Wilson's interval of the pictures holds in fewer cases."""
    random, held = np.random.default_rng(0), {"persons": 0, "pictures": 0}
    of = persons(30, 8)
    for _ in range(150):
        own = np.repeat(random.beta(1.5, 1.5, 30), 8)
        right = random.random(240) < own
        for name, ends in (("persons", share_of(right, of)), ("pictures", share_of(right, None))):
            held[name] += ends.low <= 0.5 <= ends.high
    assert held["persons"] / 150 > 0.9
    assert held["pictures"] < held["persons"] - 15


def test_the_table_has_counts_and_wilson_intervals():
    right = np.array([True, True, False, False, True])
    of = np.array(["a", "a", "b", "b", None], dtype=object)
    found = accuracy_by_person(right, of)
    assert list(found.table["person"]) == ["b", "a"]
    assert list(found.table["images"]) == [2, 2]
    assert list(found.table["right"]) == [0, 2]
    expected = Estimate.of_share(0, 2)
    assert (found.table["low"][0], found.table["high"][0]) == (expected.low, expected.high)
    # 2 right of 4: a has both in 1 of 6 shuffles, b in another one
    assert found.p_value == pytest.approx(1 / 3, abs=0.04)
    assert "2 persons with 2 labelled pictures each" in found.text
    assert "Chance can explain the differences" in found.text
    assert accuracy_by_person(right, ["a"] * 5) is None


def test_the_test_of_persons_keeps_its_level_and_finds_large_differences():
    random, of = np.random.default_rng(1), persons(12, 5)
    values = [accuracy_by_person(random.random(60) < 0.6, of).p_value for _ in range(100)]
    assert np.mean(np.array(values) < 0.05) <= 0.1
    right = np.repeat(np.arange(12) % 2 == 0, 5)
    found = accuracy_by_person(right, of)
    assert found.p_value < 0.001
    assert "differ more than chance explains" in found.text
