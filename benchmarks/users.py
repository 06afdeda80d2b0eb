"""Many visitors of one dashboard: page changes per second, waiting time and memory.

Visitors speak Streamlit's websocket protocol. Each opens a random page, waits until it is complete,
thinks, and opens the next. Server and visitors share this machine.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks.pages import HOME
from benchmarks.result import Result
from benchmarks.visitor import Visitor
from dashboard.pages import in_section

PAGES = (
    "overview",
    *in_section("Data"),
    *in_section("Results"),
    "run",
    "monitor",
)
"""Pages that need no model."""

RATE, P95_S, MEMORY_GIB = 10.0, 1.0, 1.0

Server = tuple[str, psutil.Process]
"""Address and process of a dashboard."""


def measure(users: int = 50, think: float = 5.0, seconds: float = 20.0) -> Iterator[Result]:
    """Measures the dashboard with the published runs, warm.

    Args:
        users: Number of visitors.
        think: Mean seconds between a complete page and the next click, exponentially distributed.
        seconds: Length of each measurement.
    """
    with tempfile.TemporaryDirectory() as state, served(Path(state)) as (address, server):
        _visit_each(address)
        quick = _visits([address], 4, 0.0, seconds)
        rate = quick.in_time / seconds
        yield Result(
            "page changes, 4 visitors who do not think",
            f"{rate:.1f}/s",
            f"median {_milliseconds(quick.waits, 50)}",
            f"{RATE:.0f}/s",
            rate >= RATE,
        )
        yield _waiting(_visits([address], users, think, seconds), users, think, seconds)
        memory = server.memory_info().rss / 2**30
    yield Result(
        f"resident memory of the dashboard with {users} visitors, no model loaded",
        f"{memory:.2f} GiB",
        "",
        f"{MEMORY_GIB:.0f} GiB",
        memory < MEMORY_GIB,
    )
    with (
        tempfile.TemporaryDirectory() as state,
        served(Path(state)) as (first, _),
        served(Path(state)) as (second, _),
    ):
        _visit_each(first)
        _visit_each(second)
        visits = _visits([first, second], users, think, seconds)
        yield _waiting(visits, users, think, seconds, " of two replicas")


def _waiting(
    visits: "_Visits", users: int, think: float, seconds: float, where: str = ""
) -> Result:
    late = float(np.percentile(visits.waits, 95))
    return Result(
        f"waiting time, {users} visitors{where} with {think:.0f} s to think (95th percentile)",
        _milliseconds(visits.waits, 95),
        f"median {_milliseconds(visits.waits, 50)}, {visits.in_time / seconds:.1f} page changes/s",
        f"{1000 * P95_S:.0f} ms",
        late < P95_S,
    )


@dataclass
class _Visits:
    """Page changes of all visitors.

    Attributes:
        waits: Seconds from click to complete page, also of those that ended too late.
        in_time: Number of changes that ended within the measurement.
        failed: Pages that showed an exception.
    """

    waits: list[float] = field(default_factory=list)
    in_time: int = 0
    failed: set[str] = field(default_factory=set)


@contextmanager
def served(state: Path, warm_gib: float = 0.0, artifacts: str = "") -> Iterator[Server]:
    """Serves the dashboard until the end of the context.

    Args:
        state: Folder of what visitors write.
        warm_gib: Memory up to which models are loaded in the background; 0 for none.
        artifacts: Folder of benchmarks; by default that of the project.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"port": str(port), "address": "127.0.0.1", "headless": "true"}
    options |= {"fileWatcherType": "none"}
    command = [sys.executable, "-m", "streamlit", "run", str(HOME)]
    command += [f"--server.{name}={value}" for name, value in options.items()]
    environment = os.environ | {"FERSCOPE_STATE": str(state), "FERSCOPE_WARM_MODELS": str(warm_gib)}
    if artifacts:
        environment["FERSCOPE_ARTIFACTS"] = artifacts
    root = HOME.parent.parent
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, cwd=root, stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        yield address, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("The dashboard did not start within a minute.")


def _visit_each(address: str) -> None:
    """Opens each page once, which fills the caches."""
    for page in PAGES:
        visitor = Visitor(address, page)
        visitor.run()
        visitor.wait()
        visitor.close()


def _visits(addresses: Sequence[str], users: int, think: float, seconds: float) -> _Visits:
    """Lets visitors open pages for some time, and waits for the pages that they asked for.

    Each stays with one of the addresses, as behind a proxy with sticky sessions.
    """
    visits = _Visits()
    until = time.monotonic() + seconds

    def use(user: int) -> None:
        random = np.random.default_rng(user)
        visitor = Visitor(addresses[user % len(addresses)], PAGES[0])
        time.sleep(random.exponential(think) if think else 0)  # they were thinking before, too
        while time.monotonic() < until:
            visitor.page = str(random.choice(PAGES))
            started = time.monotonic()
            visitor.run()
            visitor.wait()
            if visitor.failed:
                visits.failed.add(visitor.page)
            visits.waits.append(time.monotonic() - started)
            visits.in_time += time.monotonic() < until
            time.sleep(random.exponential(think) if think else 0)
        visitor.close()

    threads = [threading.Thread(target=use, args=(user,)) for user in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if visits.failed:
        raise RuntimeError(f"These pages failed: {', '.join(sorted(visits.failed))}.")
    return visits


def _milliseconds(waits: list[float], percentile: float) -> str:
    return f"{1000 * float(np.percentile(waits, percentile)):.0f} ms"
