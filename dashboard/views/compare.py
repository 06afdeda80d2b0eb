"""Compare on a face: every model's prediction for the visitor's own face, with saliency maps."""

import streamlit as st

from dashboard import theme
from dashboard.components import pickers
from dashboard.components.excluded import predicting_runs
from dashboard.components.face_cards import pick_face
from dashboard.components.face_input import face_input
from dashboard.sections import compare
from dashboard.sections.compare_downloads import Faces
from dashboard.state import Key
from fer_core.predictor.export import LIMITS

VIEWS = {
    "predictions": "Predictions",
    "what-if": "Change one property",
    "look-alikes": "Similar pictures",
}

theme.page_header(
    "Try",
    "Compare on a face",
    "Pick a face to see every model's prediction side by side, each with a saliency map of the "
    "evidence for it.",
)
benchmark = pickers.benchmark_with_runs()
theme.class_chips(benchmark.info.labels)
runs = predicting_runs(benchmark)
source, preview = st.columns(2, gap="large")
with source:
    pictures = face_input(benchmark, several=True)
run_ids = pickers.models(benchmark, runs, runs)
if not pictures:
    st.caption(LIMITS)
    st.stop()
if not run_ids:
    st.info("Pick at least one model.")
    st.stop()
with_faces = [picture for picture in pictures if picture.crops]
if not with_faces:
    st.stop()

face, cards = pick_face(benchmark, with_faces)
compare.reset_for_another_face(face)
with st.expander(
    "Change the face: crop, light, occlusion",
    icon=":material/tune:",
    expanded=bool(face.source.problem),
):
    crop, changes = st.columns([1, 2], gap="large")
    with crop:
        frame = compare.crop_sliders(face)
        compare.reset_button()
    with changes:
        amounts = compare.change_sliders()
with preview:
    stored = compare.show_face(benchmark, face, frame, amounts)

view = pickers.switch("Show", VIEWS, Key.VIEW)
if view == "predictions":
    faces = Faces(pictures, face, stored)
    compare.predictions(benchmark, [run_id for run_id in runs if run_id in run_ids], faces)
elif view == "what-if":
    compare.sweep_one_change(benchmark, run_ids, compare.cut(benchmark, face, frame), amounts)
else:
    compare.similar_pictures(benchmark, stored)
if cards is not None:
    cards.add_predictions(benchmark, run_ids)
st.caption(LIMITS)
