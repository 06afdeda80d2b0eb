"""Head to head: the samples on which two models differ, and whether this is significant."""

import streamlit as st

from dashboard import theme
from dashboard.cache import results
from dashboard.cache.figures import figure
from dashboard.components import chart, filters, pickers, sample_list
from dashboard.components.filters import ALL_CLASSES
from dashboard.components.text import plain
from dashboard.sections import head_to_head
from dashboard.state import BIND, Key
from fer_core.evaluation.aligned import outcomes as outcomes_of
from fer_core.evaluation.diversity import kappa
from fer_core.figures import charts

theme.page_header(
    "Results",
    "Head to head",
    "Compare two models on the same images: which errors one fixes, which it adds, and whether "
    "the difference is significant.",
)
benchmark, scope, board = filters.results_scope()
aligned, titles = board.scored, benchmark.titles
if len(aligned.runs) < 2:
    st.info("A comparison needs two finished runs. Train another one:")
    pickers.train_command(benchmark.info.name)
    st.stop()
left, right = st.columns(2)
with left:
    new = pickers.run_picker(benchmark, aligned.runs)
with right:
    rest = [run_id for run_id in aligned.runs if run_id != new]
    old = pickers.run_picker(benchmark, rest, label="Compared with", key=Key.AGAINST)
filters.unranked_notes(board, new, old)

outcomes = outcomes_of(aligned, new, old)
counts = {name: int(mask.sum()) for name, mask in outcomes.items()}
gap, p_value = results.pair_comparison(benchmark, scope, new, old)
for column, (name, title) in zip(st.columns(4), head_to_head.OUTCOMES.items(), strict=True):
    column.metric(title, f"{counts[name]:,}", help=head_to_head.HELP[name], border=True)
st.markdown(head_to_head.sentence(titles[new], titles[old], gap, p_value))
agree = kappa(
    aligned.predicted[aligned.row(new)], aligned.predicted[aligned.row(old)], len(aligned.labels)
)
st.caption(
    head_to_head.details(gap, p_value, agree, filters.describe(board), over=board.results.resampled)
)

st.subheader("Net change by class", anchor=False)
by_class = head_to_head.outcome_table(outcomes, aligned.truth, aligned.labels.names)
left, right = st.columns(2, gap="large")
with left:
    gains, losses = (dict(by_class.set_index("class")[kind]) for kind in ("fixed", "broken"))
    chart.show(
        figure(charts.change_bars, gains, losses, aligned.labels.names),
        "change",
        f"Number of images by true class. Right: only {plain(titles[new])} is correct. Left: only "
        f"{plain(titles[old])} is correct.",
    )
with right:
    head_to_head.show_counts(by_class)

st.subheader("The images", anchor=False)
left, right = st.columns([3, 2])
with left:
    kind = pickers.switch("Show", head_to_head.OUTCOMES, Key.CHANGE)
with right:
    label = st.selectbox("True class", [ALL_CLASSES, *aligned.labels.names], key=Key.LABEL,
                         bind=BIND)  # fmt: skip
inside = outcomes[kind]
if label in aligned.labels.names:
    inside = inside & aligned.of_class(str(label))
listing = sample_list.Listing.of(aligned, new, inside, {old: titles[old]})
st.caption(f"{len(listing):,} images: {head_to_head.HELP[kind]} Most confident first.")
name = f"{new}-against-{old}-{kind}"
sample_list.show(benchmark, listing, name, empty="No image has this outcome.")
