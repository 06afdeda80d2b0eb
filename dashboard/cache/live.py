"""The drawing of live predictions, one for each visit."""

from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.state import SessionStateProxy

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    from dashboard.sections.live import LiveFaces
    from fer_core.data.faces import FaceDetector


def live_faces(benchmark: Benchmark, state: SessionStateProxy) -> "LiveFaces":
    """Returns this visit's drawing of predictions; a new one for another benchmark."""
    from dashboard.sections.live import LiveFaces

    key = f"live-faces-{benchmark.info.name}"
    if key not in state:
        state[key] = LiveFaces(inference.predictor(benchmark), _detector(), [])
    drawing: LiveFaces = state[key]
    return drawing


@st.cache_resource(show_spinner=False)
def _detector() -> "FaceDetector":
    from dashboard.sections.live import SIDE
    from fer_core.data.centerface import CenterFaceDetector
    from fer_core.data.centerface.detector import Looks

    return CenterFaceDetector(Looks(side=SIDE, most_tiles=0))
