"""The search on drawn faces with planted copies."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_core.data.transformed_copies.changes import CHANGES
from fer_core.data.transformed_copies.search import find_transformed_copies
from fer_core.data.transformed_copies.table import COPY
from fer_core.labels import Emotion
from fer_core.synthetic.face import render

PEOPLE, EACH = 60, 6
ALL = [(name,) for name in CHANGES] + list(combinations(CHANGES, 2))

Planted = tuple[NDArray[np.uint8], dict[tuple[str, ...], NDArray[np.int64]]]


@pytest.fixture(scope="module")
def people() -> NDArray[np.uint8]:
    """Different people, in any pose and light; then the same people with another expression."""
    emotions = list(Emotion)
    return np.stack(
        [
            render(1000 * turn + person, emotions[(person + turn) % 7], side=48, identity=person)
            .image
            for turn in range(2)
            for person in range(PEOPLE)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted(people: NDArray[np.uint8]) -> Planted:
    """People and their changed copies; rows of original and copy by changes."""
    random = np.random.default_rng(0)
    images, rows = list(people), {}
    for changes in ALL:
        originals = random.choice(len(people), EACH, replace=False)
        rows[changes] = np.stack([originals, len(images) + np.arange(EACH)], axis=1)
        for original in originals:
            image = people[original]
            for name in changes:
                image = CHANGES[name](image, random)
            images.append(image)
    return np.stack(images), rows


@pytest.fixture(scope="module")
def found(planted: Planted) -> set[tuple[int, int]]:
    return set(map(tuple, find_transformed_copies(planted[0]).of_kind(COPY).tolist()))


def test_at_least_95_percent_of_copies_are_found(
    planted: Planted, found: set[tuple[int, int]]
) -> None:
    """Alone and any two at once; the few misses are noise on dark copies."""
    hits = {
        changes: [tuple(pair) in found for pair in pairs.tolist()]
        for changes, pairs in planted[1].items()
    }
    for name in CHANGES:
        with_it = [hit for changes, each in hits.items() if name in changes for hit in each]
        assert np.mean(with_it) >= 0.95, name
    single = [hit for changes, each in hits.items() if len(changes) == 1 for hit in each]
    assert np.mean(single) >= 0.97


def test_the_fitted_change_is_the_one_that_was_made(people: NDArray[np.uint8]) -> None:
    mirrored = np.ascontiguousarray(people[:10, :, ::-1])
    result = find_transformed_copies(np.concatenate([people[:10], mirrored]))
    facts = {tuple(pair): row for pair, (_, row) in zip(
        result.pairs.tolist(), result.facts.iterrows(), strict=True
    )}  # fmt: skip
    for row in range(10):
        fact = facts[row, row + 10]
        assert fact["kind"] == COPY
        assert fact["mirrored"]
        assert abs(fact["degrees"]) < 0.5
        assert fact["scale"] == pytest.approx(1, abs=0.01)


def test_other_people_and_other_expressions_are_hardly_ever_copies(
    people: NDArray[np.uint8],
) -> None:
    """Drawn faces share few head shapes: they are harder to tell apart than photographs."""
    pairs = find_transformed_copies(people).of_kind(COPY) % PEOPLE
    other = pairs[pairs[:, 0] != pairs[:, 1]]
    same = pairs[pairs[:, 0] == pairs[:, 1]]
    assert len(other) <= 0.1 * len(people)
    assert len(same) <= 0.05 * PEOPLE


def test_rows_that_are_not_asked_for_are_in_no_pair(people: NDArray[np.uint8]) -> None:
    images = np.concatenate([people[:6], people[:6, :, ::-1]])
    rows = np.array([0, 1, 2, 3, 4, 5, 8, 9])
    pairs = find_transformed_copies(images, rows).of_kind(COPY)
    assert {tuple(pair) for pair in pairs.tolist()} == {(2, 8), (3, 9)}


@pytest.mark.parametrize("images", [
    np.empty((0, 48, 48), np.uint8),
    np.full((1, 48, 48), 9, np.uint8),
    np.full((5, 48, 48), 128, np.uint8),
])  # fmt: skip
def test_flat_and_few_images_give_no_pairs(images: NDArray[np.uint8]) -> None:
    assert len(find_transformed_copies(images).pairs) == 0


def test_equal_input_gives_equal_pairs(people: NDArray[np.uint8]) -> None:
    images = np.concatenate([people[:20], people[:20, :, ::-1]])
    first, again = find_transformed_copies(images), find_transformed_copies(images)
    np.testing.assert_array_equal(first.pairs, again.pairs)
    assert first.facts.equals(again.facts)
