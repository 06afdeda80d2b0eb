"""Persons of images, and resamples of persons by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_core.evaluation.persons import (
    have_several_images,
    person_numbers,
    persons_at,
    persons_of,
    resampled_cells,
    resampled_sums,
    resampled_units,
    sums_by_person,
)


def of(*names):
    return np.array(names, dtype=object)


def test_persons_come_from_the_table_of_samples():
    table = pd.DataFrame({"id": ["a", "b", "c", "d"], "group": ["x", "y", None, "-1"]})
    assert list(persons_of(table)) == ["x", "y", None, None]
    assert persons_of(table.assign(group="x")) is None
    assert persons_of(table.drop(columns="group")) is None
    by_id = table.set_index("id")
    assert list(persons_at(by_id, of("c", "b", "a"))) == [None, "y", "x"]
    assert persons_at(by_id, of("a", "c")) is None  # one person among these images


@pytest.mark.parametrize(
    ("persons", "expected"),
    [
        (None, False),
        (of("a", "b", None, None), False),
        (of("a", "a"), False),
        (of("a", "a", "b"), True),
    ],
)
def test_two_persons_and_several_images_of_one_are_needed(persons, expected):
    assert have_several_images(persons) == expected
    for transferred, unit in ((True, "persons"), (False, "persons or sources")):
        found = resampled_units(persons, transferred=transferred)
        assert found == (unit if expected else "images")


def test_images_without_a_person_are_persons_of_their_own():
    assert person_numbers(of("a", None, "a", "b", None)).tolist() == [0, 2, 0, 1, 3]


def test_a_resample_draws_as_many_persons_with_all_their_images():
    sums = resampled_sums(np.array([[1, 10], [0, 100]]))
    drawn = {tuple(row) for row in sums.astype(int).tolist()}
    assert drawn == {(2, 20), (1, 110), (0, 200)}  # the first twice, both, the second twice
    assert (sums[:, 0] == 1).mean() == pytest.approx(0.5, abs=0.05)


def test_values_are_summed_by_person():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert sums_by_person(values, of("a", None, "b", "a")).tolist() == [9, 4, 2]
    assert sums_by_person(values, of("a", "b", None, None)).tolist() == values.tolist()
    assert sums_by_person(values, None).tolist() == values.tolist()


def test_a_table_is_resampled_over_images_and_over_persons():
    cells = np.array([0, 0, 2])
    (images,) = resampled_cells(cells, 3, of("a", "b", "c"))
    assert (images.sum(axis=1) == 3).all()
    assert {tuple(row) for row in images.astype(int)} == {
        (3, 0, 0), (2, 0, 1), (1, 0, 2), (0, 0, 3),
    }  # fmt: skip
    again, persons = resampled_cells(cells, 3, of("a", "a", "b"))
    np.testing.assert_array_equal(again, images)
    assert {tuple(row) for row in persons.astype(int)} == {(4, 0, 0), (2, 0, 1), (0, 0, 2)}
