"""Error explorer: a model's errors, most confident first."""

import streamlit as st

from dashboard import theme
from dashboard.cache import slices
from dashboard.components import filters, pickers, sample_list
from dashboard.components.filters import ALL_CLASSES
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.evaluation.aligned import failures

KINDS = {
    "errors": "Errors",
    "all": "All models fail",
    "alone": "Only this model fails",
    "unlike": "Only this model is right",
}

theme.page_header(
    "Results",
    "Error explorer",
    "Browse a model's errors, most confident first. A confident error can also be a wrong label. "
    "Open a sample to see every model's prediction.",
)
benchmark, scope, board = filters.results_scope()
aligned = board.scored
left, right = st.columns([3, 2])
with left:
    run_id = pickers.run_picker(benchmark, aligned.runs)
with right:
    label = st.selectbox("True class", [ALL_CLASSES, *aligned.labels.names], key=Key.LABEL,
                         bind=BIND)  # fmt: skip
filters.unranked_notes(board, run_id)
# with a single model all kinds list the same samples
kinds = KINDS if len(aligned.runs) > 1 else {"errors": KINDS["errors"]}
kind = pickers.switch("Show", kinds, Key.FAIL)
groups = slices.filter_groups(benchmark, scope)
first, second = st.columns([3, 2], gap="large")
with first:
    conditions = filters.sample_filter(groups)
with second:
    ends = filters.confidence_filter()

row = aligned.row(run_id)
failed = failures(aligned, run_id, board.aligned.runs)
inside = failed[kind] & filters.filter_mask(groups, conditions, aligned.confidence[row], ends)
if label != ALL_CLASSES:
    inside &= aligned.of_class(str(label))

listing = sample_list.Listing.of(aligned, run_id, inside)
st.caption(
    f"{len(listing):,} samples shown. {plain(benchmark.titles[run_id])} is wrong on "
    f"{int(failed['errors'].sum()):,} of {filters.describe(board)}."
)
empty = "No sample is left. Remove a filter, or show other errors."
sample_list.show(benchmark, listing, f"{run_id}-{kind}", empty=empty)
