"""What a network costs on the device at hand: operations, latency, memory."""

import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.engine.networks import Network, load_network
from fer_core.evaluation.efficiency import BATCH_SIZES, Efficiency, Latency
from fer_core.provenance import now, versions

WARM_UP, REPEATS, SECONDS = 3, 30, 3.0


def device_title(device: torch.device) -> str:
    """Returns how a record names a device: the GPU's model, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def measure_run(
    run: RunDir, stored: SampleFormat, device: torch.device, threads: int | None = None
) -> Efficiency:
    """Loads a network and measures it.

    Call it in a process of its own: peak memory is that of the process, and only grows.

    Args:
        run: A network's run.
        stored: Size and colour of the benchmark's images.
        device: Where it runs.
        threads: Threads that compute on a CPU; as many as torch takes by default.

    Raises:
        ArtifactError: If the run is an ensemble, or damaged.
        WeightsError: If its weights are missing or damaged.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    before = _peak_memory(device)
    network = load_network(run, stored)
    network.model.to(device).requires_grad_(False)
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (max(BATCH_SIZES), *stored.shape), dtype=np.uint8)
    images = torch.from_numpy(pictures).to(device)
    latency = tuple(_latency(network, images[:size]) for size in BATCH_SIZES)
    memory = _peak_memory(device)
    return Efficiency(
        run_id=run.run_id,
        parameters=sum(weight.numel() for weight in network.model.parameters()),
        flops=operations(network, images[:1]),
        weight_bytes=run.weights_path.stat().st_size,
        latency=latency,
        peak_memory_bytes=None if before is None or memory is None else max(0, memory - before),
        device=device_title(device),
        threads=torch.get_num_threads() if device.type == "cpu" else None,
        versions=versions(),
        measured=now(),
    )


def operations(network: Network, images: torch.Tensor) -> int:
    """Counts the floating-point operations of a forward pass, without the preprocessing.

    Attention is computed step by step for the count: fused kernels do the same work, but not all
    of them tell how much it is.
    """
    inputs = network.preprocessing(images)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        network.model(inputs)
    return int(counter.get_total_flops())


def _latency(network: Network, images: torch.Tensor) -> Latency:
    @torch.inference_mode()
    def forward() -> None:
        network.model(network.preprocessing(images))
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
    """Most memory that was ever in use, in bytes; None where the device does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, but on a Mac bytes
