"""Batches depend on seed, epoch and step alone, and are shared out without loss."""

import numpy as np
import pytest
import torch

from fer_core.config import AugmentConfig
from fer_core.engine.batches import (
    ResidentBatches,
    TrainBatches,
    divisible,
    resident,
    step_seed,
)
from fer_core.errors import RecipeError

IMAGES = np.arange(30, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
ROWS = np.arange(2, 30)
TARGETS = np.eye(7, dtype=np.float32)[ROWS % 7]


def batches(**options) -> TrainBatches:
    return TrainBatches(IMAGES, ROWS, TARGETS, AugmentConfig(cutmix=0.5), 8, 3, **options)


def flat(parts) -> list:
    return [image for part in parts for image in part.images[:, 0, 0].tolist()]


def test_an_epoch_uses_each_sample_at_most_once_and_is_reshuffled():
    first, second = flat(batches().epoch(0)), flat(batches().epoch(1))
    assert len(first) == 24 == len(set(first))
    assert set(first) <= set(ROWS.tolist())
    assert first != second


def test_resuming_within_an_epoch_gives_the_same_batches():
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
def test_batches_are_divided_between_processes_in_cutmix_pairs(size, processes, expected):
    assert divisible(size, processes) == expected


def test_a_batch_too_small_for_the_processes_names_the_minimum():
    assert divisible(6, 3) == 6
    with pytest.raises(RecipeError, match=r"batch of 5 .* 3 processes.*train\.batch_size=6"):
        divisible(5, 3)


def test_targets_are_shuffled_with_their_images():
    for batch in batches().epoch(0):
        assert torch.equal(batch.targets.argmax(1), batch.images[:, 0, 0].long() % 7)


def test_step_seeds_do_not_collide():
    seeds = {
        step_seed(s, e, k, p) for s in (0, 1) for e in (0, 1) for k in range(20) for p in (0, 1)
    }
    assert len(seeds) == 160


def on_device(**options) -> ResidentBatches:
    return ResidentBatches(batches(**options), torch.from_numpy(IMAGES))


def test_resident_batches_have_the_same_images_in_the_same_order():
    for plain, held in zip(batches().epoch(1), on_device().epoch(1), strict=True):
        assert torch.equal(plain.images, held.images)
        assert torch.equal(plain.targets, held.targets)
        assert held.mixes == held.augmentation.mixes


def test_resident_batches_of_an_epoch_start_at_any_step():
    whole, rest = list(on_device().epoch(0)), list(on_device().epoch(0, first=2))
    assert len(whole) == 3
    assert torch.equal(whole[2].images, rest[0].images)
    assert torch.equal(whole[2].augmentation.matrices, rest[0].augmentation.matrices)
    steps = [batch.augmentation.matrices for batch in [*whole, *on_device().epoch(1)]]
    assert not any(torch.equal(a, b) for i, a in enumerate(steps) for b in steps[:i])


def test_two_processes_share_each_resident_batch():
    for whole, left, right in zip(
        on_device().epoch(0),
        on_device(process=0, processes=2).epoch(0),
        on_device(process=1, processes=2).epoch(0),
        strict=True,
    ):
        assert torch.equal(torch.cat([left.images, right.images]), whole.images)
        boxes = torch.cat([left.augmentation.boxes, right.augmentation.boxes])
        assert torch.equal(boxes, whole.augmentation.boxes)


def test_resident_regression_targets_are_shuffled_with_their_images():
    values = ROWS.astype(np.float32)
    for batch in on_device(regression_targets=values).epoch(0):
        assert batch.regression_targets is not None
        assert torch.equal(batch.regression_targets, batch.images[:, 0, 0].float())


def test_images_are_resident_only_on_a_gpu_with_enough_memory(monkeypatch):
    assert resident(IMAGES, torch.device("cpu")) is None
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (4 * IMAGES.nbytes - 1, 10**9))
    assert resident(IMAGES, gpu) is None
