"""Load test of the service with the published runs: latency, errors, throughput, memory.

`FERSCOPE_SERVICE_SECONDS` sets the duration, `FERSCOPE_SERVICE_CLIENTS` the number of clients.
"""

import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from statistics import median

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.result import Result, seconds
from fer_core.artifacts import BenchmarkDir
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.imaging import open_picture
from fer_core.engine.networks import load_network
from fer_core.engine.predict import predict_logits
from fer_core.predictor import Predictor
from fer_core.serving.settings import Settings
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import render

SECONDS = float(os.environ.get("FERSCOPE_SERVICE_SECONDS", "60"))
CLIENTS = int(os.environ.get("FERSCOPE_SERVICE_CLIENTS", "8"))
RATIO, REQUESTS, FLAT_MIB = 2.0, 1000, 20
FACES, SIDE = 24, 64
_CROPPED = "/predict?cropped=true"


@dataclass
class Load:
    """Requests of a load test.

    Attributes:
        times: Latency of each successful request in seconds.
        errors: Number of requests without status 200.
        lasted: Duration of the test in seconds.
    """

    times: list[float] = field(default_factory=list)
    errors: int = 0
    lasted: float = 0.0

    @property
    def rate(self) -> float:
        """Successful requests per second."""
        return len(self.times) / self.lasted


def measure() -> Iterator[Result]:
    """Measures the service in a separate process with the published runs, over loopback."""
    benchmark = Settings().open_benchmark()
    yield from throughput(benchmark, "shipped runs", SECONDS)
    bodies = [form(face) for face in drawn_faces()]
    with serving(benchmark) as (port, process):
        early = late = 0
        for number in range(REQUESTS):
            _ask(port, bodies[number % len(bodies)])
            if number == REQUESTS // 5:
                early = process.memory_info().rss
        late = process.memory_info().rss
    grown = (late - early) / 2**20
    yield Result(
        f"resident memory over {REQUESTS:,} requests",
        f"{late / 2**20:.0f} MiB, grown by {grown:+.1f} MiB after the first fifth",
        "",
        f"{FLAT_MIB} MiB",
        grown < FLAT_MIB,
    )
    detector, picture = CenterFaceDetector(), open_picture(drawn_faces()[0]).resize((640, 640))
    yield Result(
        "additional face detection in an image of 640 pixels",
        f"{1000 * seconds(lambda: detector.detect(picture)):.0f} ms",
    )


def throughput(benchmark: BenchmarkDir, what: str, lasting: float = 15.0) -> Iterator[Result]:
    """Compares a service under load with its models run on one image at a time.

    Args:
        benchmark: Benchmark to serve.
        what: Name of the benchmark in the table.
        lasting: Duration of the load in seconds.
    """
    faces = drawn_faces()
    bodies = [form(face) for face in faces]
    with serving(benchmark) as (port, process):
        under_load(port, bodies, 2.0)
        before = process.cpu_times()
        load = under_load(port, bodies, lasting)
        after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    times = np.array(load.times) * 1000
    yield Result(
        f"service ({what}), {CLIENTS} clients for {lasting:g} s, cropped faces",
        f"median {np.median(times):.0f} ms, 95th percentile {np.percentile(times, 95):.0f} ms",
    )
    yield Result("errors under this load", str(load.errors), "", "0", load.errors == 0)
    single_rate, single_cpu = one_at_a_time(benchmark, faces)
    yield Result(
        "CPU time per image, including HTTP",
        f"{1000 * spent / max(1, len(load.times)):.1f} ms",
        f"{1000 * single_cpu:.1f} ms",
    )
    yield Result(
        f"throughput of the service ({what}) against PyTorch models one image at a time",
        f"{load.rate:.1f} images/s, {load.rate / single_rate:.1f} times",
        f"{single_rate:.1f} images/s",
        f"{RATIO:g} times",
        load.rate >= RATIO * single_rate,
    )


def drawn_faces() -> list[bytes]:
    """Returns drawn faces as PNG files."""
    emotions = list(PROTOTYPES)
    files = []
    for number in range(FACES):
        image = Image.fromarray(render(number, emotions[number % len(emotions)]).image)
        buffer = io.BytesIO()
        image.resize((SIDE, SIDE)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def form(content: bytes) -> bytes:
    """Returns a multipart body with one file."""
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    return head + content + b"\r\n--edge--\r\n"


def one_at_a_time(benchmark: BenchmarkDir, faces: list[bytes]) -> tuple[float, float]:
    """Measures a loop that runs each network on one image at a time.

    It uses the same PNG files, networks, decoding and preprocessing as the service, without HTTP.

    Returns:
        Images per second, and CPU seconds per image.
    """
    predictor = Predictor(benchmark, torch.device("cpu"))
    runs = [info.run_id for info in predictor.runs() if info.kind == "network"]
    networks = [load_network(benchmark.run(run), predictor.format) for run in runs]

    def predict(face: bytes) -> None:
        stored = predictor.format.convert(open_picture(face))[None]
        for network in networks:
            predict_logits(network.model, stored, network.preprocessing, batch_size=1)

    for face in faces:
        predict(face)
    times = []
    processor = time.process_time()
    for _ in range(3):
        started = time.perf_counter()
        for face in faces:
            predict(face)
        times.append(time.perf_counter() - started)
    return len(faces) / median(times), (time.process_time() - processor) / (3 * len(faces))


@contextmanager
def serving(benchmark: BenchmarkDir) -> Iterator[tuple[int, psutil.Process]]:
    """Starts the service of a benchmark on a free port; yields the port and the process."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "fer_core.serving.app:app", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--log-level", "warning"]
    root = Path(__file__).resolve().parent.parent
    environment = os.environ | {
        "FERSCOPE_ARTIFACTS": str(benchmark.store.root.resolve()),
        "FERSCOPE_BENCHMARK": benchmark.name,
    }
    with subprocess.Popen(command, cwd=root, env=environment) as started:
        try:
            _wait(port, started)
            yield port, psutil.Process(started.pid)
        finally:
            started.terminate()


def under_load(port: int, bodies: list[bytes], lasting: float) -> Load:
    """Runs all clients for some seconds; each sends its requests sequentially."""
    loads = [Load() for _ in range(CLIENTS)]
    started = time.perf_counter()
    threads = [
        threading.Thread(
            target=_client, args=(port, bodies[n:] + bodies[:n], load, started + lasting)
        )
        for n, load in enumerate(loads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [latency for load in loads for latency in load.times]
    return Load(times, sum(load.errors for load in loads), time.perf_counter() - started)


def _client(port: int, bodies: list[bytes], load: Load, until: float) -> None:
    number = 0
    while time.perf_counter() < until:
        started = time.perf_counter()
        try:
            sound = _ask(port, bodies[number % len(bodies)])
        except OSError:
            sound = False
        if sound:
            load.times.append(time.perf_counter() - started)
        else:
            load.errors += 1
        number += 1


def _ask(port: int, body: bytes) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "multipart/form-data; boundary=edge"}
        connection.request("POST", _CROPPED, body, headers)
        response = connection.getresponse()
        content = json.loads(response.read())
        return response.status == 200 and bool(content["images"][0]["faces"][0]["models"])
    finally:
        connection.close()


def _wait(port: int, started: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and started.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the service did not start")
