"""Uploaded videos and their predictions, in memory for a while.

The key is the content of the upload and the weight files behind the runs.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st
from PIL import Image

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.uploads import UploadedFile
from fer_core.errors import FerscopeError

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    import pandas as pd

    from fer_core.predictor.video import VideoOptions

VIDEO_SIDE = 640
"""Longer side of frames in the single detection pass; small distant faces are not found."""


MAX_FRAMES = 6000
"""Limit of frames per video: ten minutes at ten frames per second."""


@dataclass
class _Kept:
    """The table of a video's predictions, or why there is none; None before it is computed."""

    table: "pd.DataFrame | str | None" = None


@st.cache_resource(
    max_entries=2,
    ttl=1800,
    show_spinner=False,
    hash_funcs={Benchmark: inference.all_weight_stamps},
)
def _kept(
    benchmark: Benchmark,
    run_ids: tuple[str, ...],
    upload: UploadedFile,
    options: "VideoOptions",
) -> _Kept:
    return _Kept()


def predictions(
    benchmark: Benchmark,
    run_ids: tuple[str, ...],
    upload: UploadedFile,
    every: float,
    smooth: float,
    progress: Callable[[float], object],
) -> "pd.DataFrame | str":
    """Returns the table of a video's predictions, or the reason why there is none.

    It is computed outside the cached function: Streamlit would repeat the calls of `progress` on
    each later run, when the progress bar no longer exists.

    Args:
        benchmark: The benchmark.
        run_ids: The runs.
        upload: The video.
        every: Seconds between frames.
        smooth: Time constant of the smoothing in seconds; 0 for none.
        progress: Called with the share that is done, 0 to 1.
    """
    from fer_core.predictor.video import VideoOptions

    options = VideoOptions(every, smooth, MAX_FRAMES)
    kept = _kept(benchmark, run_ids, upload, options)
    if kept.table is None:
        kept.table = _predict(benchmark, run_ids, upload, options, progress)
    return kept.table


def _predict(
    benchmark: Benchmark,
    run_ids: tuple[str, ...],
    upload: UploadedFile,
    options: "VideoOptions",
    progress: Callable[[float], object],
) -> "pd.DataFrame | str":
    from fer_core.predictor.video import predict_video

    def shown(items: Iterable[Any], length: int, title: str) -> Iterator[Any]:
        for count, item in enumerate(items, start=1):
            yield item
            progress(min(1.0, count / max(1, length)))

    try:
        return predict_video(
            (io.BytesIO(upload.data), upload.name),
            inference.predictor(benchmark),
            run_ids,
            inference.face_detector(VIDEO_SIDE),
            options,
            shown,
        )
    except FerscopeError as error:
        return str(error)


@st.cache_resource(max_entries=16, ttl=600, show_spinner="Opening the frame ...")
def frame(upload: UploadedFile, number: int) -> Image.Image | None:
    """Returns one frame of an uploaded video; None if it cannot be read."""
    from fer_core.data.video import read_frame

    try:
        found = read_frame(io.BytesIO(upload.data), number, upload.name)
    except FerscopeError:
        return None
    return None if found is None else found.image
