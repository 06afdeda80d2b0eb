"""The video page on a tiny upload, and the runs of the live page."""

import io

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from PIL import Image

from dashboard.cache import benchmarks, inference, live
from dashboard.components import download
from dashboard.sections import video
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
    monkeypatch.setattr(inference, "face_detector", lambda side: QuarterDetector())
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


def clicks(monkeypatch, app, *frames):
    """Lets the timeline report a click on a frame, as the browser does before the page runs."""
    chart = st.vega_lite_chart

    def clicked(*args, on_select, key, **options):
        if frames:
            points = [{"frame": frame} for frame in frames]
            st.session_state[key] = {"selection": {"moment": points}}
            on_select()
            del st.session_state[key]
        return chart(*args, on_select=on_select, key=key, **options)

    monkeypatch.setattr(st, "vega_lite_chart", clicked)
    app.run()
    monkeypatch.setattr(st, "vega_lite_chart", chart)
    assert not app.exception


def frame_picker(app):
    (picker,) = [box for box in app.selectbox if box.label == "Or pick a frame"]
    return picker


def shown_frames(app):
    return [image.proto.imgs[0].caption.partition(",")[0] for image in app.get("image")]


def test_the_last_of_click_and_pick_chooses_the_frame(toy, open_page, monkeypatch, clip):
    monkeypatch.setattr(inference, "face_detector", lambda side: QuarterDetector())
    app = open_page("video", toy.artifacts)
    app.file_uploader(key="video").set_value([("clip.avi", clip, "video/avi")]).run()
    clicks(monkeypatch, app, 2)
    assert shown_frames(app) == ["Frame 2"]
    (before,) = [chart.proto.id for chart in app.get("vega_lite_chart")]
    frame_picker(app).set_value(7).run()
    assert not app.exception
    assert shown_frames(app) == ["Frame 7"]
    (chart,) = app.get("vega_lite_chart")
    assert chart.proto.id != before  # without a selection, so that frame 2 can be clicked again
    clicks(monkeypatch, app, 3)
    assert shown_frames(app) == ["Frame 3"]
    assert frame_picker(app).value == 3
    app.file_uploader(key="video").set_value([("clip.avi", clip + b" ", "video/avi")]).run()
    assert not app.exception
    assert shown_frames(app) == []
    assert frame_picker(app).value is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my_clip (1).avi", "my_clip (1).csv"),
        ("C:\\films\\a.b.mp4", "a.b.csv"),
        ("../../x.gif", "x.csv"),
        ("", "video.csv"),
    ],
)
def test_the_table_is_named_after_the_video(monkeypatch, name, expected):
    offered = []
    monkeypatch.setattr(download, "button", lambda *arguments: offered.append(arguments[-1]))
    video.offer_table(pd.DataFrame({"frame": [0]}), name)
    assert offered == [expected]


def test_the_live_page_starts_with_the_fastest_measured_run(toy, benchmark_copy):
    run_ids = [run.run_id for run in benchmarks.benchmark(benchmark_copy).runs]
    measured = {run_ids[1]: 9.0, run_ids[2]: 7.5}
    for run_id, milliseconds in measured.items():
        write_efficiency(benchmark_copy.run(run_id), milliseconds)
    benchmark = benchmarks.benchmark(benchmark_copy)
    assert live.fastest_run(benchmark, run_ids) == [run_ids[2]]
    assert live.fastest_run(benchmark, run_ids[:2]) == [run_ids[1]]
    assert live.fastest_run(benchmark, run_ids[:1]) == run_ids[:1]


def test_the_live_drawing_uses_runs_that_were_trained_again(benchmark_copy):
    state = {}
    benchmark = benchmarks.benchmark(benchmark_copy)
    faces = live.live_faces(benchmark, state)
    faces.choose([NETWORK])
    assert live.live_faces(benchmark, state) is faces
    run = benchmark_copy.run(NETWORK)
    run.info().model_copy(update={"created": "2030-01-01T00:00:00+00:00"}).write(run.info_path)
    again = live.live_faces(benchmarks.benchmark(benchmark_copy), state)
    assert again is not faces
    assert again.predictor is not faces.predictor
    assert live.live_faces(benchmarks.benchmark(benchmark_copy), state) is again
