"""Speed from photographs to predictions: detection, networks, a video and a camera's frames.

The pictures are drawn, and the networks are the members of the shipped ensemble of all networks.
The comparison is the CPU time of the whole process, which other programs on the machine change less
than the wall-clock time.
"""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.detection import drawn_portrait, hopper, scene
from benchmarks.result import Result
from dashboard.cache import benchmarks
from dashboard.cache.live import fastest_run
from dashboard.cache.video import VIDEO_SIDE
from fer_core.artifacts import ArtifactStore
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.centerface.detector import DetectionSettings
from fer_core.data.progress import silent
from fer_core.predictor import Predictor
from fer_core.predictor.live import SIDE, LiveFaces
from fer_core.predictor.video import VideoOptions, predict_video
from fer_core.project import artifacts_root
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import render

BENCHMARK, NETWORKS = "ferplus", "all_ensemble-cpu"
DETECT_MS, PREDICT_MS, OVERLAYS_MS, LIVE_RATE = 30, 120, 700, 8
_REPEATS = 9
_CLIP_SECONDS, _CLIP_RATE = 6, 30


@dataclass(frozen=True)
class Times:
    """Median seconds of a call: wall clock, and CPU time of the process."""

    wall: float
    processor: float

    @property
    def against(self) -> str:
        """The CPU time, for the table."""
        return f"CPU time {1000 * self.processor:.0f} ms"


def measure() -> Iterator[Result]:
    """Measures detection, predictions, overlays, a video and camera frames."""
    yield from _detection()
    predictor = Predictor(ArtifactStore(artifacts_root()).benchmark(BENCHMARK))
    networks = list(predictor.benchmark.run(NETWORKS).info().members)
    yield from _predictions(predictor, networks)
    fastest = fastest_run(benchmarks.benchmark(predictor.benchmark), networks)
    yield from _video(predictor, networks[:2])
    yield from _live(predictor, fastest)


def timed(calls: Iterable[Callable[[], object]]) -> Times:
    """Returns the medians over calls; the first one only warms up."""
    wall, processor = [], []
    for call in calls:
        started, busy = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
    return Times(median(wall[1:]), median(processor[1:]))


def _within(what: str, times: Times, bar: int) -> Result:
    """Returns a row for a call that should take less than `bar` milliseconds."""
    wall = 1000 * times.wall
    return Result(what, f"{wall:.0f} ms", times.against, f"{bar} ms", wall < bar)


def _detection() -> Iterator[Result]:
    detector = CenterFaceDetector()
    photograph = Image.new("RGB", (1200, 833), (150, 155, 160))
    photograph.paste(hopper(), (344, 100))
    drawn = scene(1, [60, 80, 100, 120], np.random.default_rng(0))[0].resize((1155, 866))
    for what, picture in (("a portrait", photograph), ("four drawn faces", drawn)):
        times = timed([partial(detector.detect, picture)] * (_REPEATS + 1))
        yield _within(f"detection in 1 megapixel, {what}", times, DETECT_MS)


def _predictions(predictor: Predictor, networks: list[str]) -> Iterator[Result]:
    emotions = list(PROTOTYPES)
    faces = [
        predictor.format.convert(render(700 + n, emotions[n % len(emotions)]).image)
        for n in range(_REPEATS + 1)
    ]
    times = timed(partial(predictor.predict, [face], networks) for face in faces)
    yield _within(f"one new face, {len(networks)} networks, distributions, warm", times, PREDICT_MS)

    def overlays(face: NDArray[np.uint8]) -> None:
        for run_id in networks:
            predictor.predict_and_explain(face, run_id)

    times = timed(partial(overlays, face) for face in faces)
    yield _within(f"one new face, {len(networks)} networks with overlays, warm", times, OVERLAYS_MS)


def _video(predictor: Predictor, run_ids: list[str]) -> Iterator[Result]:
    """Measures the path of the page Video, with its detector and ten frames per second."""
    detector = CenterFaceDetector(DetectionSettings(side=VIDEO_SIDE, max_tiles=0))
    clip = io.BytesIO(_clip())

    def predict() -> None:
        predict_video((clip, "clip.mp4"), predictor, run_ids, detector, VideoOptions(0.1), silent)

    times = timed([predict] * 2)
    yield Result(
        f"a video of {_CLIP_SECONDS} s, 1280 x 720, 10 frames per second, {len(run_ids)} networks",
        f"{times.wall:.1f} s",
        times.against,
        f"{_CLIP_SECONDS} s",
        times.wall < _CLIP_SECONDS,
    )


def _live(predictor: Predictor, run_ids: list[str]) -> Iterator[Result]:
    """Measures the callback of the page Live: decoded frame to drawn frame."""
    detector = CenterFaceDetector(DetectionSettings(side=SIDE, max_tiles=0))
    live = LiveFaces(predictor, detector, run_ids)
    frames = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in _images(640, 480, 31)]
    times = timed(partial(live, frame) for frame in frames)
    yield Result(
        f"live frames of 640 x 480, {', '.join(run_ids)}",
        f"{1 / times.wall:.1f} frames/s",
        times.against,
        f"{LIVE_RATE} frames/s",
        1 / times.wall >= LIVE_RATE,
    )


def _clip() -> bytes:
    """Returns an MP4 with two drawn people who move."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=_CLIP_RATE)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.bit_rate = 8_000_000
        for image in _images(1280, 720, _CLIP_SECONDS * _CLIP_RATE):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _images(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yields frames of two drawn people who move sideways."""
    side = round(height * 0.45)
    people = [
        Image.fromarray(drawn_portrait(number).image).resize((side, side)) for number in (1, 4)
    ]
    for number in range(count):
        frame = Image.new("RGB", (width, height), (140, 145, 150))
        shift = round(0.1 * width * np.sin(number / 12))
        for place, person in enumerate(people):
            frame.paste(person, (round(width * (0.12 + 0.45 * place)) + shift, height // 4))
        yield np.asarray(frame)
