"""Compare on a face: every model's answer for the visitor's own face, with what speaks for it."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks, results
from dashboard.components import change_face, look_alikes, pickers
from dashboard.components.face_cards import pick_face
from dashboard.components.face_input import face_input
from dashboard.components.text import plain
from dashboard.sections import compare
from dashboard.state import BIND, Key
from fer_core.data.whatif import CHANGES, sweep
from fer_core.predictor.export import LIMITS

OWN = "each model's answer"
ANSWERS, WHAT_IF, LOOK_ALIKES = "answers", "what-if", "look-alikes"
NEIGHBOURS = 8

theme.page_header(
    "Try",
    "Compare on a face",
    "Bring a face: all models answer side by side, and each shows which parts of the face speak "
    "for its answer.",
)
chosen = pickers.benchmark_with_runs()
theme.class_chips(chosen.info.labels)
titles = chosen.titles
runs = [run for run in chosen.runs if benchmarks.answers_faces(run)]
source, seen = st.columns([2, 3], gap="large")
with source:
    found = face_input(chosen, several=True)
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
if not found:
    st.caption(LIMITS)
    st.stop()
if not asked:
    st.info("Pick at least one model.")
    st.stop()

face = pick_face(chosen, found, asked)
with st.expander("Change the face: crop, light, what covers it", icon=":material/tune:"):
    crop, changes = st.columns([1, 2], gap="large")
    with crop:
        frame = change_face.crop_sliders(face)
        change_face.reset_button()
    with changes:
        amounts = change_face.change_sliders()
with seen:
    stored = change_face.show_face(chosen, face, frame, amounts)

view = pickers.switch(
    "Show",
    {ANSWERS: "Answers", WHAT_IF: "What if", LOOK_ALIKES: "Look-alikes"},
    Key.VIEW,
)
if view == ANSWERS:
    left, right = st.columns(2, gap="large")
    explain = left.selectbox(
        "Explain", [OWN, *chosen.info.labels], key=Key.EXPLAIN, bind=BIND,
        help="The class whose evidence is shown: each model's own answer, or one for all.",
    )  # fmt: skip
    unsure_below = right.slider(
        "Unsure below", 0, 95, 0, 5, format="%d%%", key=Key.UNSURE, bind=BIND,
        help="A model whose calibrated confidence lies below this gives no answer. The Trust page "
        "shows what share of faces that costs, and how much accuracy it brings.",
    ) / 100  # fmt: skip
    given = []
    with st.spinner("Asking the models ..."):
        for run in runs:
            if run.run_id in asked:
                target = None if explain == OWN else explain
                result = benchmarks.answer(chosen, run, stored, target)
                if isinstance(result, str):
                    st.warning(f"{plain(titles[run.run_id])} cannot answer. {plain(result)}")
                else:
                    given.append(result)
    if given:
        st.markdown(f"#### {compare.agreement(given, unsure_below)}")
        compare.at_a_glance(given, titles)
        compare.side_by_side(given, titles, stored, unsure_below)
        compare.downloads(given, stored, chosen.info, unsure_below)
elif view == WHAT_IF:
    name = pickers.switch(
        "Change", {key: change.title for key, change in CHANGES.items()}, Key.CHANGE
    )
    images = sweep(change_face.cut(chosen, face, frame), name, amounts)
    compare.turning(chosen, asked, images, name, amounts[name])
else:
    pictures = benchmarks.pictures(chosen)
    for split, title in (("train", "Training"), ("test", "Test")):
        st.markdown(f"**{title} pictures that look most like this face**")
        if pictures is None:
            look_alikes.need_pictures(chosen)
        else:
            nearest = results.nearest(chosen, pictures, stored, NEIGHBOURS, split)
            look_alikes.show(chosen, pictures, nearest)
    st.caption(look_alikes.SAYS)
st.caption(LIMITS)
