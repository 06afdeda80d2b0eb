"""Live: predictions on the visitor's own camera."""

import json
import os
from importlib.util import find_spec

import streamlit as st

from dashboard import theme
from dashboard.cache import live as cache
from dashboard.components import pickers
from dashboard.components.excluded import predicting_runs
from fer_core.predictor.export import LIMITS

ICE_SERVERS = "FERSCOPE_ICE_SERVERS"

theme.page_header(
    "Try",
    "Live",
    "Start the camera: boxes and bars show what the models predict for each face, frame by frame. "
    "Nothing is recorded.",
)
benchmark = pickers.benchmark_with_runs()
theme.class_chips(benchmark.info.labels)
runs = predicting_runs(benchmark)
fastest = cache.fastest_run(benchmark, runs)
run_ids = pickers.models(benchmark, runs, fastest, "Models (bars show their mean)")
if find_spec("streamlit_webrtc") is None:
    st.error("The live page needs streamlit-webrtc. Install it with: pip install streamlit-webrtc")
    st.stop()
try:
    # Without a list, the component would ask a public server for the visitor's address.
    servers = json.loads(os.environ.get(ICE_SERVERS) or "[]")
except ValueError:
    st.error(f'{ICE_SERVERS} is not a JSON list. Use for example [{{"urls": ["stun:host:3478"]}}].')
    st.stop()

from streamlit_webrtc import webrtc_streamer  # noqa: E402 (heavy, and only needed here)

faces = cache.live_faces(benchmark, st.session_state)
faces.choose(run_ids)
webrtc_streamer(
    key="live-camera",
    video_frame_callback=faces,
    rtc_configuration={"iceServers": servers},
    media_stream_constraints={
        "video": {"width": {"ideal": 640}, "frameRate": {"ideal": 15}},
        "audio": False,
    },
    async_processing=True,
)


@st.fragment(run_every=2.0)
def _rate() -> None:
    st.caption(f"{faces.rate:.1f} frames per second. Frames stay in memory and are never saved.")


_rate()
st.caption(
    "The camera needs a connection from your browser to this machine. Across networks, set "
    f"{ICE_SERVERS} to a JSON list of STUN or TURN servers."
)
st.caption(LIMITS)
