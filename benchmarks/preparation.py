"""Preparation of a large data set: throughput and peak memory, in a separate process.

A few drawn faces are varied by light, shift and noise, so that drawing does not dominate the time.
`FERSCOPE_PREPARE_IMAGES` sets the number of images.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.result import Result

IMAGES = int(os.environ.get("FERSCOPE_PREPARE_IMAGES", "50000"))
SIDE, DRAWN, MEMORY_GIB = 112, 64, 1.5

_PREPARE = """
import json, resource, time
from pathlib import Path
import numpy as np
from fer_core.artifacts import BenchmarkDir
from fer_core.data.prepare import prepare, publish_facts
from fer_core.data.sources.base import Origin, Sample
from fer_core.data.sources.synthetic import SyntheticSource

drawn = [sample for _, sample in zip(range({drawn}), SyntheticSource({drawn}, 0, {side}))]

class Varied:
    origin, colour = Origin("varied", "Varied faces", "MIT", ""), True

    def __len__(self):
        return {images}

    def __iter__(self):
        for index in range({images}):
            random = np.random.default_rng(index)
            face = drawn[index % len(drawn)]
            image = np.roll(face.image, random.integers(-9, 10, 2), (0, 1))
            ramp = np.linspace(*random.uniform(0.3, 1.0, 2), {side})[:, None, None]
            noise = random.integers(0, 24, image.shape, dtype=np.uint8)
            yield Sample(f"{{index:06d}}", (image * ramp).astype(np.uint8) // 2 + noise,
                         face.label, None)

started = time.perf_counter()
dataset = prepare(Varied(), Path({folder!r}) / "data", name="varied", side={side})
prepared = time.perf_counter() - started
publish_facts(dataset, BenchmarkDir(Path({folder!r}) / "artifacts" / "varied"))
print(json.dumps({{
    "seconds": prepared,
    "published": time.perf_counter() - started - prepared,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}}))
"""


def measure() -> Iterator[Result]:
    """Measures the preparation of `IMAGES` colour images of 112 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        script = _PREPARE.format(images=IMAGES, side=SIDE, drawn=DRAWN, folder=folder)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    figures = json.loads(done.stdout.splitlines()[-1])
    yield Result(
        f"prepare, {IMAGES:,} colour images of {SIDE} px (statistics: "
        f"{figures['published']:.0f} s more)",
        f"{IMAGES / figures['seconds']:,.0f} images/s",
    )
    peak = figures["peak"] / 2**30
    yield Result(
        f"peak resident memory, preparing {IMAGES:,} images",
        f"{peak:.2f} GiB",
        "",
        f"{MEMORY_GIB} GiB",
        peak < MEMORY_GIB,
    )
