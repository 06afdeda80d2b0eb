"""Throughput of the input pipeline, compared with torchvision transforms on PIL images."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.result import Result, seconds
from fer_core.config import AugmentConfig
from fer_core.data.transforms import Preprocessing
from fer_core.engine.batches import TrainBatches

IMAGES, BATCH, TARGET = 1024, 128, 10
HALF = (0.5, 0.5, 0.5)
CONFIG = AugmentConfig()


class PilDataset(Dataset[torch.Tensor]):
    """Reference pipeline: torchvision transforms on one PIL image at a time."""

    def __init__(self, images: NDArray[np.uint8], size: int) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [
                transforms.Grayscale(3),
                transforms.Resize((size, size)),
                transforms.RandomHorizontalFlip(CONFIG.flip),
                transforms.RandomAffine(
                    CONFIG.rotation,
                    (CONFIG.shift, CONFIG.shift),
                    (1 - CONFIG.scale, 1 + CONFIG.scale),
                    interpolation=transforms.InterpolationMode.BILINEAR,
                ),
                transforms.ColorJitter(CONFIG.brightness, CONFIG.contrast, CONFIG.saturation),
                transforms.ToTensor(),
                transforms.Normalize(HALF, HALF),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        augmented: torch.Tensor = self.transform(Image.fromarray(self.images[index]))
        return augmented


def measure() -> Iterator[Result]:
    """Measures both pipelines on the same images, at the sizes of the cpu profiles."""
    images = np.random.default_rng(0).integers(0, 255, (IMAGES, 48, 48), dtype=np.uint8)
    targets = np.zeros((IMAGES, 7), dtype=np.float32)
    batches = TrainBatches(images, np.arange(IMAGES), targets, CONFIG, BATCH, seed=0)
    for size in (48, 64, 96):
        preprocessing = Preprocessing(48, False, size, HALF, HALF)

        def batched(preprocessing: Preprocessing = preprocessing) -> None:
            for batch in batches.epoch(0):
                images = preprocessing.augmented(batch.images, batch.augmentation)
                preprocessing.normalise(images)

        def per_image(workers: int, size: int = size) -> None:
            loader = DataLoader(PilDataset(images, size), BATCH, shuffle=True, num_workers=workers)
            for _ in loader:
                pass

        rate = IMAGES / seconds(batched)
        reference = IMAGES / min(seconds(lambda: per_image(0), 3), seconds(lambda: per_image(2), 3))
        yield Result(
            f"input pipeline, 48 to {size} px",
            f"{rate:,.0f} images/s",
            f"{reference:,.0f} images/s (torchvision on PIL, the faster of 0 and 2 workers): "
            f"{rate / reference:.1f} times",
            f"{TARGET} times",
            rate / reference >= TARGET,
        )
