"""Confusion matrix: what a model takes for what; a click lists the samples behind it."""

import numpy as np
import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks, results
from dashboard.components import faces, filters, pickers, sample_list
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.evaluation import metrics
from fer_core.figures.confusion import SELECTION, Normalisation, confusion_chart, most_confused

NOTHING = "nothing"

theme.page_header(
    "Results",
    "Confusion matrix",
    "Rows are what the annotators said, columns what the model said. Click a cell, or the name of "
    "a row or column, to see the samples behind it, most confident first.",
)
chosen, where, board = filters.results_scope()
panel, titles = board.panel, chosen.titles
left, middle, right = st.columns([3, 3, 4])
with left:
    run_id = pickers.run_picker(chosen, panel.runs)
with middle:
    other_id = pickers.select_box(
        "Minus",
        [NOTHING, *(name for name in panel.runs if name != run_id)],
        Key.MINUS,
        shown=lambda name: titles.get(name, name),
        help_text="Shows what this model does otherwise than another one.",
    )
    minus = None if other_id == NOTHING else other_id
with right:
    show = st.segmented_control(
        "Cells show",
        [str(how) for how in Normalisation],
        default=str(Normalisation.BY_TRUTH),
        required=True,
        key=Key.SHOW,
        bind=BIND,
    )
groups = results.facets(chosen, where)
first, second = st.columns([3, 2], gap="large")
with first:
    conditions = filters.sample_filter(groups)
with second:
    ends = filters.confidence_filter()
row = panel.row(run_id)
kept = filters.passing(groups, conditions, panel.confidence[row], ends)
if not kept.any():
    st.info("No image passes these filters. Take one of them off.", icon=":material/filter_alt:")
    st.stop()

labels = panel.labels.names
truth = panel.truth[kept]
matrix = metrics.confusion_matrix(truth, panel.predicted[row, kept], len(labels))
other = (
    None
    if minus is None
    else metrics.confusion_matrix(truth, panel.predicted[panel.row(minus), kept], len(labels))
)
cell = sample_list.cell_in_address(labels)
chart, table = st.columns([5, 3], gap="large")
with chart:
    event = st.vega_lite_chart(
        spec=confusion_chart(
            matrix, labels, Normalisation(show), cell, minus=other, dark=theme.is_dark()
        ),
        on_select="rerun",
        selection_mode=SELECTION,
        key=f"matrix-{run_id}-{minus}-{where.eval_set}-{'-'.join(where.classes)}-{show}",
        theme="streamlit",
    )
    if other is None:
        st.caption(
            f"{len(truth):,} images, {metrics.accuracy(matrix):.1%} right. Green cells are right "
            "answers, red ones mistakes; the stronger, the larger the share of the "
            f"{'column' if show == Normalisation.BY_PREDICTION else 'row'}."
        )
    else:
        unit = "images" if show == Normalisation.COUNTS else "percentage points"
        st.caption(
            f"{plain(titles[run_id])} minus {plain(titles[minus])} in {unit}, on {len(truth):,} "
            f"images: {metrics.accuracy(matrix):.1%} and {metrics.accuracy(other):.1%} right. "
            "Green is better (more right answers or fewer mistakes), red worse."
        )
with table:
    st.markdown("**Most confused pairs**")
    st.dataframe(
        most_confused(matrix, labels).head(10),
        hide_index=True,
        column_config={
            "share of true class": st.column_config.NumberColumn(format="percent"),
        },
        key="mistakes",
    )

if sample_list.follow_click(event, cell):
    st.rerun()
if cell is None:
    st.info(
        "Click a cell of the matrix, or a class name beside it, to list its samples.",
        icon=":material/touch_app:",
    )
    st.stop()
inside = kept & sample_list.in_cell(panel, run_id, cell)
others = {}
if minus is not None:
    # what the difference is made of: samples that stand in this cell for one model only
    inside ^= kept & sample_list.in_cell(panel, minus, cell)
    others = {minus: titles[minus]}
st.subheader(plain(sample_list.heading(cell)), anchor=False)
listing = sample_list.Listing.of(panel, run_id, np.asarray(inside), others)
st.caption(
    f"{len(listing):,} samples, most confident first"
    + ("" if minus is None else "; those on which the two models differ here")
)
if not len(listing):
    st.info("No sample falls into this cell.")
    st.stop()
facts = benchmarks.samples(chosen)
pictures = benchmarks.pictures(chosen)
page = pickers.page(len(listing), faces.GALLERY_SIZE)
faces.gallery(listing.page(facts, page), pictures, chosen.info.name)
sample_list.download(listing, facts, chosen, f"{run_id}-{'-as-'.join(cell)}")
