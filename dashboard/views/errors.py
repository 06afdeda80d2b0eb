"""Error explorer: the mistakes of a model one by one, the surest ones first."""

import numpy as np
import streamlit as st

from dashboard import data_access, results_access, theme
from dashboard.components import faces, pick, sample, samples, scope
from dashboard.components.text import plain
from dashboard.state import BIND, Key

EVERY = "every class"
KINDS = {
    "errors": "Its errors",
    "all": "All models fail",
    "alone": "It alone fails",
    "unlike": "It alone is right",
}
ALONE = {"errors": KINDS["errors"]}

theme.page_header(
    "Results",
    "Error explorer",
    "Walk through the mistakes of a model, the most confident ones first: they are either what it "
    "has not learned, or labels worth a second look. Open one to see what everyone says of it.",
)
chosen, where, board = scope.results()
panel = board.panel
left, right = st.columns([3, 2])
with left:
    run_id = pick.run_picker(chosen, panel.runs)
with right:
    label = st.selectbox("Labelled", [EVERY, *panel.labels.names], key=Key.LABEL, bind=BIND)
# with a single model the kinds fall together
kind = pick.switch("Shown", KINDS if len(panel.runs) > 1 else ALONE, Key.FAIL)
groups = results_access.facets(chosen, where)
first, second = st.columns([3, 2], gap="large")
with first:
    conditions = scope.sample_filter(groups)
with second:
    ends = scope.confidence_filter()

row, right_answers = panel.row(run_id), panel.right
how_many = right_answers.sum(axis=0)
wrong = ~right_answers[row]
inside = {
    "errors": wrong,
    "all": how_many == 0,
    "alone": wrong & (how_many == len(panel.runs) - 1),
    "unlike": ~wrong & (how_many == 1),
}[kind]
inside = inside & scope.passing(groups, conditions, panel.confidence[row], ends)
if label != EVERY:
    inside &= panel.truth == panel.labels.index(label)

facts = data_access.samples(chosen)
pictures = data_access.pictures(chosen)
opened = st.query_params.get(Key.SAMPLE)
if opened is not None:
    if np.isin(panel.ids, [opened]).any():
        sample.show(chosen, board, pictures, opened)
    else:
        st.info("The sample in the address is not among those scored here.")

listing = samples.Listing.of(panel, run_id, inside)
total = int(wrong.sum())
st.caption(
    f"{len(listing):,} samples. {plain(chosen.titles[run_id])} errs on {total:,} of "
    f"{scope.describe(board)}."
)
if not len(listing):
    st.info("No sample is left. Take a filter off, or show other errors.", icon=":material/check:")
    st.stop()
page = pick.page(len(listing), faces.GALLERY_SIZE)
faces.gallery(listing.page(facts, page), pictures, chosen.info.name, openable=True)
samples.download(listing, facts, chosen, f"{run_id}-{kind}")
