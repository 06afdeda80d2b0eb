"""Distances in an embedding whose distribution is known."""

import numpy as np
import pytest

from fer_core.evaluation.embedding_distance import FeatureSpace


def cloud(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, (1.0, 5.0, 0.1), (count, 3))


def test_one_percent_of_like_faces_lie_outside():
    space = FeatureSpace.fit(cloud(5000), cloud(5000, seed=1))
    distances = space.distances(cloud(5000, seed=2))
    assert space.share_outside(distances) == pytest.approx(0.01, abs=0.005)
    assert np.sqrt((distances**2).mean()) == pytest.approx(1, abs=0.05)


def test_a_small_move_along_a_narrow_axis_counts():
    space = FeatureSpace.fit(cloud(2000), cloud(2000, seed=1))
    moved = cloud(500, seed=2) + np.array([0, 0, 1.0])
    assert space.share_outside(space.distances(moved)) > 0.95


def test_more_dimensions_than_faces_still_work():
    random = np.random.default_rng(0)
    space = FeatureSpace.fit(random.normal(size=(10, 200)), random.normal(size=(5, 200)))
    assert space.axes.shape[1] <= 10
    assert np.isfinite(space.distances(random.normal(size=(3, 200)))).all()
    assert np.isnan(space.share_outside(np.empty(0)))
