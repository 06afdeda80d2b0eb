"""The video page on a tiny upload, and what the live page draws."""

import io

import numpy as np
import pytest
from PIL import Image

from dashboard.cache import benchmarks, live
from dashboard.cache import video as cache
from dashboard.sections.live import LiveFaces
from fer_core.predictor import Predictor
from tests.support.candidates import write_efficiency
from tests.support.uploads import QuarterDetector, png
from tests.support.video import write_video

NETWORK = "efficientnet_lite0-cpu-s0"


@pytest.fixture
def clip(tmp_path):
    bright = np.asarray(Image.open(io.BytesIO(png(1))).convert("RGB"))
    dark = np.full_like(bright, 30)
    return write_video(tmp_path / "clip.avi", [bright] * 4 + [dark] * 2 + [bright] * 4).read_bytes()


def test_the_video_page_shows_a_timeline_and_the_table(toy, open_page, monkeypatch, clip):
    monkeypatch.setattr(cache, "video_detector", QuarterDetector)
    app = open_page("video", toy.artifacts)
    assert not app.exception
    assert any("Upload a video" in info.value for info in app.info)
    app.file_uploader(key="video").set_value([("clip.avi", clip, "video/avi")]).run()
    assert not app.exception
    assert [caption.value for caption in app.caption if "Click a moment" in caption.value]
    assert app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    app.file_uploader(key="video").set_value([("notes.mp4", b"text", "video/mp4")]).run()
    assert not app.exception
    assert any("cannot be read as a video" in error.value for error in app.error)


def test_the_live_page_starts_with_the_fastest_measured_run(toy, benchmark_copy):
    run_ids = [run.run_id for run in benchmarks.benchmark(benchmark_copy).runs]
    measured = {run_ids[1]: 9.0, run_ids[2]: 7.5}
    for run_id, milliseconds in measured.items():
        write_efficiency(benchmark_copy.run(run_id), milliseconds)
    benchmark = benchmarks.benchmark(benchmark_copy)
    assert live.fastest_run(benchmark, run_ids) == [run_ids[2]]
    assert live.fastest_run(benchmark, run_ids[:2]) == [run_ids[1]]
    assert live.fastest_run(benchmark, run_ids[:1]) == run_ids[:1]


def test_live_frames_get_boxes_and_bars(toy):
    predictor = Predictor(toy.benchmark)
    faces = LiveFaces(predictor, QuarterDetector(), [])
    picture = Image.open(io.BytesIO(png(1, side=200))).convert("RGB")
    assert faces.draw(picture) is picture  # no model is chosen
    faces.choose([NETWORK])
    drawn = faces.draw(picture)
    assert drawn.size == picture.size
    assert drawn.tobytes() != picture.tobytes()
    dark = Image.new("RGB", (200, 200), (30, 30, 30))
    assert faces.draw(dark).tobytes() == dark.tobytes()
    assert faces.rate > 0


def test_a_run_that_cannot_predict_is_named_in_the_frame(toy):
    faces = LiveFaces(Predictor(toy.benchmark), QuarterDetector(), ["no-such-run"])
    picture = Image.open(io.BytesIO(png(1, side=200))).convert("RGB")
    assert faces.draw(picture).tobytes() != picture.tobytes()
