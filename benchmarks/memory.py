"""Throughput with and without keeping freed memory in the process."""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from benchmarks.result import Result, seconds
from fer_core.config import ModelConfig
from fer_core.models import build_model
from training.allocator import keep_freed_memory

IMAGES, SIDE = 128, 112


def measure() -> Iterator[Result]:
    """Measures a network's inference in two fresh processes."""
    if sys.platform != "linux":
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as process:
        default_rate = process.submit(_rate, keep=False).result()
        rate = process.submit(_rate, keep=True).result()
    yield Result(
        f"inference of EfficientNet-Lite0, {SIDE} px, batch {IMAGES}, CPU",
        f"{rate:.0f} images/s",
        f"{default_rate:.0f} images/s (freed memory returned): {rate / default_rate:.2f} times",
    )


def _rate(*, keep: bool) -> float:
    if keep:
        keep_freed_memory()
    model = build_model(ModelConfig(architecture="efficientnet_lite0", image_size=SIDE), 7).eval()
    images = torch.zeros(IMAGES, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    model.to(memory_format=torch.channels_last)
    with torch.no_grad():
        return IMAGES / seconds(lambda: model(images))
