"""Time and memory of transferring all runs to a folder of photographs, from a cold start."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.result import Result
from fer_core.abilities import abilities_of
from fer_core.artifacts import ArtifactStore
from fer_core.project import artifacts_root
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import render

BENCHMARK = "ferplus"
PICTURES = 5000
TARGET_MINUTES = 12
TARGET_GIB = 3
_SIDE = 640
_FACE = 320


def measure() -> list[Result]:
    """Transfers every run that can predict to pictures with a drawn face each."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        origin = ArtifactStore(artifacts_root()).benchmark(BENCHMARK)
        ignored = shutil.ignore_patterns("transfers", "cache", "state")
        shutil.copytree(origin.root, root / "artifacts" / BENCHMARK, ignore=ignored)
        _draw(root / "pictures")
        seconds = _transfer(root)
    runs = sum(abilities_of(run, run.info()).predicts for run in origin.runs())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    minutes = seconds / 60
    return [
        Result(
            f"transfer of {runs} runs to {PICTURES:,} pictures",
            f"{minutes:.1f} min",
            target=f"below {TARGET_MINUTES} min on two cores",
            reached=minutes < TARGET_MINUTES,
        ),
        Result(
            "peak memory",
            f"{peak:.2f} GiB",
            target=f"below {TARGET_GIB} GiB",
            reached=peak < TARGET_GIB,
        ),
    ]


def _draw(folder: Path) -> None:
    """Writes pictures of 640 x 640 pixels, in which one drawn face has half the side."""
    folder.mkdir()
    emotions = list(PROTOTYPES)
    for seed in range(PICTURES):
        face = Image.fromarray(render(seed, emotions[seed % len(emotions)]).image).convert("RGB")
        picture = Image.new("RGB", (_SIDE, _SIDE), (118, 122, 128))
        picture.paste(face.resize((_FACE, _FACE)), (140 + seed % 40, 150))
        picture.save(folder / f"{seed:04d}.jpg", quality=90)


def _transfer(root: Path) -> float:
    """Runs the command in a process of its own and returns its seconds."""
    environment = {
        **os.environ,
        "FERSCOPE_ARTIFACTS": str(root / "artifacts"),
        "FERSCOPE_DATA": str(root / "data"),
    }
    command = (sys.executable, "-m", "training", "transfer", BENCHMARK, str(root / "pictures"))
    started = time.perf_counter()
    subprocess.run(
        [*command, "--name", "speed"], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started
