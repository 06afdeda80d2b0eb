"""Training batches that do not depend on the number of processes and can start at any step."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_core.config import AugmentConfig
from fer_core.data.transforms import Augmentation
from fer_core.errors import RecipeError


@dataclass(frozen=True)
class Batch:
    """One process's share of a global batch, on the CPU or, from `ResidentBatches`, on a GPU.

    Attributes:
        images: uint8, shape (n, H, W) or (n, H, W, 3).
        targets: Class distributions, shape (n, K).
        augmentation: The augmentations drawn for the share.
        mixes: Whether CutMix changes an image; known without waiting for a GPU.
        regression_targets: Shape (n, T), NaN where missing; None without a regression head.
    """

    images: Tensor
    targets: Tensor
    augmentation: Augmentation
    mixes: bool
    regression_targets: Tensor | None = None


@dataclass(frozen=True)
class TrainBatches:
    """Shuffled batches of a training split.

    Random numbers depend on (seed, epoch, step) only, so that a resumed training and one on more
    processes see the same batches.

    Attributes:
        images: The whole dataset's uint8 images.
        rows: Rows of the training samples, shape (n,).
        targets: Class distributions of the images, shape (n, K).
        augment: Augmentations to draw for each image.
        batch_size: Images per step over all processes.
        seed: Seed of shuffling and augmentation.
        process: This process's index.
        processes: Number of processes; divides `batch_size`.
        regression_targets: Shape (n, T), NaN where missing; None without a regression head.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    targets: NDArray[np.float32]
    augment: AugmentConfig
    batch_size: int
    seed: int
    process: int = 0
    processes: int = 1
    regression_targets: NDArray[np.float32] | None = None

    @property
    def steps(self) -> int:
        """Batches per epoch; an incomplete last batch is dropped after shuffling."""
        return len(self.rows) // self.batch_size

    @property
    def share(self) -> slice:
        """This process's part of each global batch."""
        size = self.batch_size // self.processes
        return slice(self.process * size, (self.process + 1) * size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Returns the epoch's order of the training samples, shape (n,)."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from step `first` on, and reads one batch ahead."""
        order = self.order(epoch)
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = None
            for step in range(first, self.steps):
                following = reader.submit(self._read, order, epoch, step)
                if ahead is not None:
                    yield ahead.result()
                ahead = following
            if ahead is not None:
                yield ahead.result()

    def _read(self, order: NDArray[np.int64], epoch: int, step: int) -> Batch:
        part, regression = self.share, self.regression_targets
        samples = order[step * self.batch_size : (step + 1) * self.batch_size][part]
        generator = torch.Generator().manual_seed(step_seed(self.seed, epoch, step))
        augmentation = Augmentation.draw(self.batch_size, self.augment, generator)
        augmentation = augmentation.share(part, torch.device("cpu"))
        return Batch(
            torch.from_numpy(np.asarray(self.images[self.rows[samples]])),
            torch.from_numpy(self.targets[samples]),
            augmentation,
            augmentation.mixes,
            None if regression is None else torch.from_numpy(regression[samples]),
        )


class ResidentBatches:
    """Batches as of `TrainBatches`, from images that are on the GPU: none is copied per batch.

    The order of the samples is that of `TrainBatches`. An epoch's augmentations are drawn and
    copied at once, so their random numbers are others than those of `TrainBatches`, of the same
    distribution. They depend on (seed, epoch) only.

    Args:
        source: Rows, targets, augmentations and shares.
        images: All stored images on the device, uint8, shape (N, H, W) or (N, H, W, 3).
    """

    def __init__(self, source: TrainBatches, images: Tensor) -> None:
        self.source, self.images = source, images
        self.batch_size, self.steps = source.batch_size, source.steps
        regression = source.regression_targets
        self._rows = torch.from_numpy(source.rows).to(images.device)
        self._targets = torch.from_numpy(source.targets).to(images.device)
        self._regression = (
            None if regression is None else torch.from_numpy(regression).to(images.device)
        )

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from step `first` on."""
        device, shape = self.images.device, (self.steps, self.batch_size)
        used = self.steps * self.batch_size
        share = self.source.share
        positions = torch.arange(used).view(shape)[:, share].flatten()
        samples = torch.from_numpy(self.source.order(epoch)[:used]).view(shape)[:, share].to(device)
        # the seed of a step that no epoch has
        generator = torch.Generator().manual_seed(step_seed(self.source.seed, epoch, self.steps))
        drawn = Augmentation.draw(used, self.source.augment, generator).share(
            positions, torch.device("cpu")
        )
        mixed = drawn.mixed.view(self.steps, -1).any(dim=1).tolist()
        drawn = drawn.share(slice(None), device)
        size = samples.shape[1]
        for step in range(first, self.steps):
            batch = samples[step]
            yield Batch(
                self.images[self._rows[batch]],
                self._targets[batch],
                drawn.share(slice(step * size, (step + 1) * size), device),
                mixed[step],
                None if self._regression is None else self._regression[batch],
            )


LARGEST_SHARE = 0.25
"""Share of a GPU's free memory that images may take; networks need the rest."""


def resident(images: NDArray[np.uint8], device: torch.device) -> Tensor | None:
    """Returns the images as one tensor on a GPU; None on a CPU, or if they are too large.

    Args:
        images: All stored images, uint8; may be a memory map.
        device: Device of the training.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    if images.nbytes > LARGEST_SHARE * free:
        return None
    return torch.from_numpy(np.array(images)).to(device)


def divisible(batch_size: int, processes: int) -> int:
    """Returns the largest batch size up to a limit that all processes can share evenly.

    Each process gets an even number of images, so that pairs mixed by CutMix stay together.

    Raises:
        RecipeError: If a process would get fewer than two images.
    """
    if processes == 1:
        return batch_size
    if batch_size < 2 * processes:
        raise RecipeError(
            f"A batch of {batch_size} is too small for {processes} processes, which need two "
            f"images each. Pass --set train.batch_size={2 * processes} or more."
        )
    return batch_size - batch_size % (2 * processes)


def step_seed(seed: int, epoch: int, step: int, process: int = 0) -> int:
    """Returns a 63-bit seed for one step."""
    state = np.random.SeedSequence([seed, epoch, step, process]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
