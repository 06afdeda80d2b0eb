"""Batches depend on seed, epoch and step alone, and are shared out without loss."""

import numpy as np
import pytest
import torch

from fer_core.config import AugmentConfig
from fer_core.engine.batches import TrainBatches, divisible, step_seed
from fer_core.errors import RecipeError

IMAGES = np.arange(30, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
ROWS = np.arange(2, 30)
TARGETS = np.eye(7, dtype=np.float32)[ROWS % 7]


def batches(**options) -> TrainBatches:
    return TrainBatches(IMAGES, ROWS, TARGETS, AugmentConfig(cutmix=0.5), 8, 3, **options)


def flat(parts) -> list:
    return [image for part in parts for image in part.images[:, 0, 0].tolist()]


def test_an_epoch_meets_each_sample_at_most_once_and_differs_from_the_next():
    first, second = flat(batches().epoch(0)), flat(batches().epoch(1))
    assert len(first) == 24 == len(set(first))
    assert set(first) <= set(ROWS.tolist())
    assert first != second


def test_starting_later_gives_the_same_batches():
    whole, rest = list(batches().epoch(0)), list(batches().epoch(0, first=1))
    assert len(rest) == 2
    for one, other in zip(whole[1:], rest, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.augmentation.matrices, other.augmentation.matrices)


def test_two_processes_share_each_batch():
    for whole, left, right in zip(
        batches().epoch(0),
        batches(process=0, processes=2).epoch(0),
        batches(process=1, processes=2).epoch(0),
        strict=True,
    ):
        assert torch.equal(torch.cat([left.images, right.images]), whole.images)
        assert torch.equal(torch.cat([left.targets, right.targets]), whole.targets)
        boxes = torch.cat([left.augmentation.boxes, right.augmentation.boxes])
        assert torch.equal(boxes, whole.augmentation.boxes)


@pytest.mark.parametrize(
    ("size", "processes", "expected"), [(33, 1, 33), (64, 2, 64), (64, 3, 60), (66, 2, 64)]
)
def test_processes_share_a_batch_in_pairs(size, processes, expected):
    assert divisible(size, processes) == expected


def test_a_batch_too_small_for_the_processes_names_the_least():
    assert divisible(6, 3) == 6
    with pytest.raises(RecipeError, match=r"batch of 5 .* 3 processes.*train\.batch_size=6"):
        divisible(5, 3)


def test_targets_stay_with_their_images():
    for batch in batches().epoch(0):
        assert torch.equal(batch.targets.argmax(1), batch.images[:, 0, 0].long() % 7)


def test_step_seeds_do_not_collide():
    seeds = {
        step_seed(s, e, k, p) for s in (0, 1) for e in (0, 1) for k in range(20) for p in (0, 1)
    }
    assert len(seeds) == 160
