"""Compare on a face: every model's answer for the visitor's own face, with what speaks for it."""

import streamlit as st

from dashboard import data_access, theme
from dashboard.components import answers, pick
from dashboard.components.face_input import face_input
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.data.imaging import SampleFormat

OWN = "each model's answer"

theme.page_header(
    "Try",
    "Compare on a face",
    "Bring a face: all models answer side by side, and each shows which parts of the face speak "
    "for its answer.",
)
chosen = pick.benchmark()
pick.need_runs(chosen)
theme.class_chips(chosen.info.labels)
source, seen = st.columns([2, 3], gap="large")
with source:
    found = face_input()
if found is None:
    st.stop()
stored = SampleFormat(chosen.info.side, chosen.info.colour).convert(found.crop)
with seen:
    picture, model_input = st.columns(2)
    picture.image(found.crop.resize((320, 320)), caption="the face that was found", width="stretch")
    model_input.image(
        stored,
        caption=f"what the models see: {chosen.info.side} x {chosen.info.side} pixels",
        width="stretch",
    )
    if found.others:
        st.caption(f"{found.others} more faces were found; the nearest one is used.")

titles = chosen.titles
runs = [run for run in chosen.runs if run.info.kind != "imported"]  # those have no network
left, right = st.columns([3, 2])
with left:
    asked = st.pills(
        "Models",
        [run.run_id for run in runs],
        default=[run.run_id for run in runs],
        selection_mode="multi",
        format_func=titles.__getitem__,
        key=Key.RUNS,
        bind=BIND,
        wrap=True,
    )
with right:
    explain = st.selectbox(
        "Explain", [OWN, *chosen.info.labels], key=Key.EXPLAIN, bind=BIND,
        help="The class whose evidence is shown: each model's own answer, or one for all.",
    )  # fmt: skip
target = None if explain == OWN else explain

given = []
with st.spinner("Asking the models ..."):
    for run in runs:
        if run.run_id in asked:
            result = data_access.answer(chosen, run, stored, target)
            if isinstance(result, str):
                st.warning(f"{titles[run.run_id]} cannot answer. {plain(result)}")
            else:
                given.append(result)
if not given:
    st.info("Pick at least one model.")
    st.stop()
st.markdown(f"#### {answers.agreement(given)}")
answers.side_by_side(given, stored, target)
st.caption(
    "Bright parts speak for the named emotion; where nothing does, the face stays grey. A map "
    "shows what moved a model, which is not always what a person would look at. A model names the "
    "expression that annotators would most likely see, not what the person feels."
)
answers.downloads(given, stored)
