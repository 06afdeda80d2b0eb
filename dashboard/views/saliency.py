"""Saliency lab: maps of several methods and models for one face, and their faithfulness."""

import streamlit as st

from dashboard import theme
from dashboard.components import pickers
from dashboard.components.face_input import stored_face
from dashboard.sections import saliency

theme.page_header(
    "Explain",
    "Saliency lab",
    "Rows are methods, columns are models, all on one face. Explain one class instead of another, "
    "and test whether the prediction changes when salient regions are removed.",
)
benchmark = pickers.benchmark_with_runs()
left, right = st.columns([2, 3], gap="large")
with left:
    face = stored_face(benchmark)
with right:
    runs, methods = saliency.run_and_method_pickers(benchmark)
    request = saliency.request_picker(benchmark.info.labels, methods, face.label)
    style = saliency.overlay_style()
    tested = saliency.wants_test()
if not runs or not methods:
    st.info("Pick at least one model and one method.")
    st.stop()
with st.spinner("Running the models ..."):
    cells = saliency.compute(benchmark, runs, methods, face.pixels, request)
    tests = saliency.test(benchmark, runs, methods, face.pixels, request) if tested else {}
saliency.show(benchmark, saliency.Grid(runs, methods, cells, style), tests, face.pixels)
if tested:
    saliency.faithfulness(benchmark, runs, tests)
