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
    """One process's share of a global batch, still on the CPU.

    Attributes:
        images: uint8, shape (n, H, W) or (n, H, W, 3).
        targets: Class distributions, shape (n, K).
        augmentation: The augmentations drawn for the share.
        regression_targets: Shape (n,), NaN for images without one; None without a regression head.
    """

    images: Tensor
    targets: Tensor
    augmentation: Augmentation
    regression_targets: Tensor | None = None


@dataclass(frozen=True)
class TrainBatches:
    """Shuffled batches of a training split.

    Random numbers depend on (seed, epoch, step) only, so that a resumed training and one on more
    processes see the same batches.

    Attributes:
        images: The whole dataset's uint8 images.
        rows: Rows of the training samples, shape (n,).
        targets: Their class distributions, shape (n, K).
        augment: Augmentations to draw for each image.
        batch_size: Images per step over all processes.
        seed: Seed of shuffling and augmentation.
        process: This process's index.
        processes: Number of processes; divides `batch_size`.
        regression_targets: Shape (n,), NaN for images without one; None without a regression head.
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

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from step `first` on, and reads one batch ahead."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))
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
        share, regression = self.batch_size // self.processes, self.regression_targets
        part = slice(self.process * share, (self.process + 1) * share)
        samples = order[step * self.batch_size : (step + 1) * self.batch_size][part]
        generator = torch.Generator().manual_seed(step_seed(self.seed, epoch, step))
        augmentation = Augmentation.draw(self.batch_size, self.augment, generator)
        return Batch(
            torch.from_numpy(np.asarray(self.images[self.rows[samples]])),
            torch.from_numpy(self.targets[samples]),
            augmentation.share(part, torch.device("cpu")),
            None if regression is None else torch.from_numpy(regression[samples]),
        )


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
