"""Error explorer: the mistakes of a model one by one, the surest ones first."""

import numpy as np
import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks, results
from dashboard.components import faces, filters, pickers, sample_detail, sample_list
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
chosen, where, board = filters.results_scope()
panel = board.panel
left, right = st.columns([3, 2])
with left:
    run_id = pickers.run_picker(chosen, panel.runs)
with right:
    label = st.selectbox("Labelled", [EVERY, *panel.labels.names], key=Key.LABEL, bind=BIND)
# with a single model the kinds fall together
kind = pickers.switch("Shown", KINDS if len(panel.runs) > 1 else ALONE, Key.FAIL)
groups = results.facets(chosen, where)
first, second = st.columns([3, 2], gap="large")
with first:
    conditions = filters.sample_filter(groups)
with second:
    ends = filters.confidence_filter()

row, right_answers = panel.row(run_id), panel.right
how_many = right_answers.sum(axis=0)
wrong = ~right_answers[row]
inside = {
    "errors": wrong,
    "all": how_many == 0,
    "alone": wrong & (how_many == len(panel.runs) - 1),
    "unlike": ~wrong & (how_many == 1),
}[kind]
inside = inside & filters.passing(groups, conditions, panel.confidence[row], ends)
if label != EVERY:
    inside &= panel.truth == panel.labels.index(label)

facts = benchmarks.samples(chosen)
pictures = benchmarks.pictures(chosen)
opened = st.query_params.get(Key.SAMPLE)
if opened is not None:
    if np.isin(panel.ids, [opened]).any():
        sample_detail.show(chosen, board, pictures, opened)
    else:
        st.info("The sample in the address is not among those scored here.")

listing = sample_list.Listing.of(panel, run_id, inside)
total = int(wrong.sum())
st.caption(
    f"{len(listing):,} samples. {plain(chosen.titles[run_id])} errs on {total:,} of "
    f"{filters.describe(board)}."
)
if not len(listing):
    st.info("No sample is left. Take a filter off, or show other errors.", icon=":material/check:")
    st.stop()
page = pickers.page(len(listing), faces.GALLERY_SIZE)
faces.gallery(listing.page(facts, page), pictures, chosen.info.name, openable=True)
sample_list.download(listing, facts, chosen, f"{run_id}-{kind}")
