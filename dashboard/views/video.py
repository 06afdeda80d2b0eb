"""Video: every person's expressions over time, by several models."""

import streamlit as st

from dashboard import theme
from dashboard.cache import video as cache
from dashboard.cache.uploads import UploadedFile
from dashboard.components import pickers
from dashboard.components.excluded import predicting_runs
from dashboard.components.text import plain
from dashboard.sections import video
from dashboard.work_queue import queued
from fer_core.predictor.export import LIMITS

MAX_MIB = 200
MAX_DEFAULT_MODELS = 2

theme.page_header(
    "Try",
    "Video",
    "Upload a video: the models predict every person's expression over time. Click a moment to "
    "see its frame.",
)
benchmark = pickers.benchmark_with_runs()
theme.class_chips(benchmark.info.labels)
runs = predicting_runs(benchmark)
uploaded = st.file_uploader("A video or an animated GIF with faces", key="video")
st.caption("Videos stay in this machine's memory for up to half an hour and are never saved.")
run_ids = pickers.models(benchmark, runs, runs[:MAX_DEFAULT_MODELS])
left, right = st.columns(2)
rate = left.slider("Frames per second", 1, 25, 10, key="rate")
smooth = right.slider("Smoothing (seconds)", 0.0, 2.0, 0.0, 0.1, key="smooth")
if uploaded is None or not run_ids:
    st.info("Upload a video and pick at least one model.")
    st.caption(LIMITS)
    st.stop()
upload = UploadedFile(uploaded.getvalue(), uploaded.name)
if len(upload.data) > MAX_MIB * 2**20:
    st.error(f"The video is larger than {MAX_MIB} MiB. Cut or compress it.")
    st.stop()
with queued("video", benchmark.info.name, *run_ids, rate, smooth, upload):
    bar = st.progress(0.0, text="Predicting faces ...")
    table = cache.predictions(
        benchmark,
        tuple(run_ids),
        upload,
        1 / rate,
        smooth,
        lambda share: bar.progress(share, text="Predicting faces ..."),
    )
    bar.empty()
if isinstance(table, str):
    st.error(plain(table), icon=":material/videocam_off:")
    st.stop()
if table["frame"].nunique() == cache.MAX_FRAMES:
    st.warning(
        f"Only the first {cache.MAX_FRAMES:,} frames ({table['seconds'].max():.0f} s) were "
        "analysed. Choose fewer frames per second to see more of the video."
    )
if table["face"].isna().all():
    st.warning("No face was detected in any frame.")
selected = video.timeline(benchmark, table, upload)
if selected is None:
    st.caption("Click a moment to see its frame.")
else:
    video.moment(benchmark, table, upload, selected)
st.markdown("**Changes of the predicted class**")
video.changes(benchmark, table)
video.offer_table(table, uploaded.name)
st.caption(LIMITS)
