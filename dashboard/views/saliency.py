"""Saliency lab: methods against models on one face, and whether their maps can be believed."""

import streamlit as st

from dashboard import theme
from dashboard.components import pickers
from dashboard.components.face_choice import stored_face
from dashboard.sections import saliency

theme.page_header(
    "Explain",
    "Saliency lab",
    "Rows are methods, columns are models, all on one face. Ask why one class and not another, and "
    "test each map: does the model change its mind when the marked places go?",
)
chosen = pickers.benchmark_with_runs()
left, right = st.columns([2, 3], gap="large")
with left:
    face = stored_face(chosen)
with right:
    runs, methods = saliency.pickers(chosen)
    question = saliency.question(chosen.info.labels, methods, face.label)
    look = saliency.look()
    tested = saliency.wants_test()
if not runs or not methods:
    st.info("Pick at least one model and one method.")
    st.stop()
with st.spinner("Asking the models ..."):
    cells = saliency.compute(chosen, runs, methods, face.pixels, question)
    tests = saliency.test(chosen, runs, methods, face.pixels, question) if tested else {}
saliency.show(chosen, runs, methods, cells, tests, face.pixels, look)
if tested:
    saliency.scores(chosen, runs, tests)
