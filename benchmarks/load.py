"""Load and soak test of the service with Locust, for `make load` and `make soak`.

Starts the service with the published runs on a free port of this machine, sends drawn faces from
each number of clients in turn, and prints one row for each.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer

from benchmarks.service import serving
from fer_core.provenance import hardware
from fer_core.serving.settings import Settings

_LOCUST_FILE = Path(__file__).with_name("locustfile.py")
_HEAD = "| clients | requests | errors | requests/s | median | 95% | 99% | memory | grown |"


@dataclass(frozen=True)
class Row:
    """Figures of one number of clients.

    Attributes:
        clients: Concurrent clients.
        times: Latency of each request in ms, rounded by Locust to two digits.
        errors: Requests without status 200.
        lasted: Seconds from the start to the last response.
        memory: Resident memory of the service in bytes, once a second.
    """

    clients: int
    times: list[int]
    errors: int
    lasted: float
    memory: list[int]

    @property
    def grown(self) -> float:
        """Growth of the memory after the first fifth of the time, in MiB."""
        return (self.memory[-1] - self.memory[len(self.memory) // 5]) / 2**20

    def line(self) -> str:
        """Returns the row of the table in Markdown."""
        milliseconds = [f"{value:.0f} ms" for value in np.percentile(self.times, (50, 95, 99))]
        cells = [str(self.clients), str(len(self.times)), str(self.errors)]
        cells += [f"{len(self.times) / self.lasted:.1f}", *milliseconds]
        cells += [f"{self.memory[-1] / 2**20:.0f} MiB", f"{self.grown:+.1f} MiB"]
        return "| " + " | ".join(cells) + " |"


def rows(clients: list[int], seconds: int) -> Iterator[Row]:
    """Measures each number of clients in turn against one service."""
    with serving(Settings().open_benchmark()) as (port, process):
        _locust(port, process, 1, 5)  # loads the models
        for number in clients:
            yield _locust(port, process, number, seconds)


def _locust(port: int, process: psutil.Process, clients: int, seconds: int) -> Row:
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "locust", "-f", str(_LOCUST_FILE), "--headless"]
        command += ["-u", str(clients), "-r", str(clients), "-t", f"{seconds}s"]
        command += ["--host", f"http://127.0.0.1:{port}", "--json", "--only-summary"]
        command += ["--loglevel", "ERROR", "--exit-code-on-error", "0", "--stop-timeout", "60"]
        memory = []
        with subprocess.Popen(command, stdout=output, stderr=log) as locust:
            while locust.poll() is None:
                memory.append(process.memory_info().rss)
                time.sleep(1)
        if locust.returncode:
            log.seek(0)
            raise SystemExit(f"Locust failed; is it installed? pip install locust\n{log.read()}")
        output.seek(0)
        (stats,) = json.load(output)  # one entry per path
    times = [int(float(ms)) for ms, count in stats["response_times"].items() for _ in range(count)]
    lasted = stats["last_request_timestamp"] - stats["start_time"]
    return Row(clients, times, stats["num_failures"], lasted, memory)


def main(
    clients: Annotated[list[int] | None, typer.Option(help="May be repeated.")] = None,
    seconds: Annotated[int, typer.Option(min=5, help="For each number of clients.")] = 100,
) -> None:
    """Measure throughput, latency, errors and memory of the service."""
    print(_HEAD)
    print("|" + " --- |" * _HEAD.count(" | ") + " --- |")
    failed = 0
    for row in rows(clients or [1, 8, 32], seconds):
        print(row.line(), flush=True)
        failed += row.errors
    print(", ".join(f"{key} {value}" for key, value in hardware("cpu").items()))
    if failed:
        raise SystemExit(f"{failed} requests failed.")


if __name__ == "__main__":
    typer.run(main)
