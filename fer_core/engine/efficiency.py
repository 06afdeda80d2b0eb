"""Measuring a network's FLOPs, latency and memory on a device."""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fer_core.abilities import model_file
from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.engine.classifiers import Classifier, load_fastest
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx_flops import count_onnx_flops
from fer_core.engine.onnx_network import OnnxNetwork
from fer_core.evaluation.efficiency import BATCH_SIZES, Efficiency, Latency
from fer_core.provenance import now, versions
from fer_core.records import RunInfo

WARM_UP, REPEATS, SECONDS = 3, 30, 3.0


def device_title(device: torch.device) -> str:
    """Returns a device's name in records: the GPU's model, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def measure_run(
    run: RunDir, stored: SampleFormat, device: torch.device, threads: int | None = None
) -> Efficiency:
    """Loads what a run predicts with and measures it.

    On a CPU, ONNX Runtime runs a network that has an ONNX copy of its weights, as in `predict`, the
    service and the dashboard. Imported ONNX files always run on the CPU. Call it in a new process:
    peak memory is that of the whole process and never falls.

    Args:
        run: A network's run, or an imported ONNX file's.
        stored: Format of the benchmark's images.
        device: The device to measure on.
        threads: Threads on a CPU; torch's default if None.

    Raises:
        ArtifactError: If the run is an ensemble, holds predictions only, or is damaged.
        WeightsError: If its weights are missing or damaged.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    info = run.info()
    device = torch.device("cpu") if info.backend == "onnx" else device
    before = _peak_memory(device)
    model = load_fastest(run, stored, device, threads)
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (max(BATCH_SIZES), *stored.shape), dtype=np.uint8)
    images = torch.from_numpy(pictures).to(device)
    latency = tuple(_latency(model, images[:size]) for size in BATCH_SIZES)
    memory = _peak_memory(device)
    cost = _cost(run, info, model, stored)
    return Efficiency(
        run_id=run.run_id,
        parameters=cost.parameters,
        flops=cost.flops,
        weight_bytes=model_file(run, info).stat().st_size,
        latency=latency,
        peak_memory_bytes=None if before is None or memory is None else max(0, memory - before),
        device=device_title(device),
        runtime="onnxruntime" if isinstance(model, OnnxNetwork) else "torch",
        threads=(threads or torch.get_num_threads()) if device.type == "cpu" else None,
        versions=versions(),
        measured_at=now(),
    )


class _Cost(NamedTuple):
    parameters: int
    flops: int | None


def _cost(run: RunDir, info: RunInfo, model: Classifier, stored: SampleFormat) -> _Cost:
    """Counts a network's cost by PyTorch, and that of an imported ONNX file by its graph."""
    if isinstance(model, OnnxNetwork) and info.backend == "onnx":
        size = model.preprocessing.image_size
        shape = model.layout.arrange(np.zeros((1, 3, size, size), np.float32)).shape
        return _Cost(model.parameters or 0, count_onnx_flops(run.onnx_path, shape))
    network = model if isinstance(model, Network) else load_network(run, stored)
    weights = list(network.model.parameters())
    image = torch.zeros((1, *stored.shape), dtype=torch.uint8, device=weights[0].device)
    return _Cost(sum(weight.numel() for weight in weights), count_flops(network, image))


def count_flops(network: Network, images: torch.Tensor) -> int:
    """Counts the floating-point operations of a forward pass, without the preprocessing.

    Attention is computed without fused kernels, because the counter does not know all of them.
    """
    inputs = network.preprocessing(images)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        network.model(inputs)
    return int(counter.get_total_flops())


def _latency(model: Classifier, images: torch.Tensor) -> Latency:
    @torch.inference_mode()
    def forward() -> None:
        model.logits(model.preprocessing(images))
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)

    times = timed(forward)
    return Latency(
        batch_size=len(images),
        milliseconds=1000 * statistics.median(times),
        repeats=len(times),
    )


def timed(call: Callable[[], None]) -> list[float]:
    """Times a call after warming up: `REPEATS` times, or at least 5 within `SECONDS`."""
    for _ in range(WARM_UP):
        call()
    times: list[float] = []
    while len(times) < REPEATS and (len(times) < 5 or sum(times) < SECONDS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def _peak_memory(device: torch.device) -> int | None:
    """Peak memory in bytes; None if the device does not report it."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, but bytes on macOS
