"""Confusion matrix: a click on a cell lists its samples."""

from functools import partial

import streamlit as st

from dashboard import theme
from dashboard.cache import slices
from dashboard.components import download, filters, opening_table, pickers, sample_list
from dashboard.components.chart import values
from dashboard.components.columns import percent_column
from dashboard.components.opening_table import TableTarget
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.csv_text import csv_text
from fer_core.evaluation import metrics
from fer_core.figures.chart_table import table_of_spec
from fer_core.figures.confusion import (
    SELECTION,
    Normalisation,
    confusion_chart,
    count_table,
    most_confused,
)

NOTHING = "nothing"

theme.page_header(
    "Results",
    "Confusion matrix",
    "Rows are true classes, columns predicted classes. Click a cell, or the name of a row or "
    "column, to see its samples, most confident first.",
)
benchmark, scope, board = filters.results_scope()
aligned, titles = board.scored, benchmark.titles
left, middle, right = st.columns([3, 3, 4])
with left:
    run_id = pickers.run_picker(benchmark, aligned.runs)
with middle:
    other_id = pickers.select_box(
        "Difference from",
        [NOTHING, *(name for name in aligned.runs if name != run_id)],
        Key.MINUS,
        shown=lambda name: titles.get(name, "none"),
        help_text="Subtracts another model's matrix from this one.",
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
        wrap=True,
    )
filters.unranked_notes(board, run_id, other_id)
groups = slices.filter_groups(benchmark, scope)
first, second = st.columns([3, 2], gap="large")
with first:
    conditions = filters.sample_filter(groups)
with second:
    ends = filters.confidence_filter()
confidence = aligned.confidence[aligned.row(run_id)]
kept = filters.filter_mask(groups, conditions, confidence, ends)
if minus is not None and ends != filters.ANY_CONFIDENCE:
    st.warning(
        f"The images are chosen by the confidence of {plain(titles[run_id])} alone. A difference "
        "of two models on such images is biased: with the models swapped it can have the opposite "
        "sign. Remove this filter to compare models.",
        icon=":material/warning:",
    )
if not kept.any():
    st.info("No image passes these filters. Remove a filter.", icon=":material/filter_alt:")
    st.stop()

labels = aligned.labels.names
images = int(kept.sum())
matrix = aligned.confusion(run_id, kept)
other = None if minus is None else aligned.confusion(minus, kept)
cell = sample_list.cell_in_address(labels)
chart, table = st.columns([5, 3], gap="large")
results_of = "" if scope.within is None else scope.within.content_key
matrix_key = sample_list.chart_key(
    f"matrix-{run_id}-{minus}-{scope.eval_set}-{'-'.join(scope.classes)}-{results_of}-{show}", cell
)
with chart:
    spec = confusion_chart(
        matrix, labels, Normalisation(show), cell, minus=other, dark=theme.is_dark()
    )
    st.vega_lite_chart(
        spec=spec,
        on_select=partial(sample_list.follow_click, matrix_key, cell),
        selection_mode=SELECTION,
        key=matrix_key,
        theme="streamlit",
        alt=f"Confusion matrix of {titles[run_id]}: true classes in rows, predicted in columns",
    )
    sample_list.cell_picker(labels, cell)
    with st.container(horizontal=True):
        values(lambda: table_of_spec(spec), "matrix")
        download.button(
            "Counts (csv)",
            lambda: csv_text(count_table(matrix, labels)),
            f"{benchmark.info.name}-{run_id}-confusion.csv",
            help=f"Counts of {plain(titles[run_id])}: true classes in rows, predicted in columns.",
        )
    if other is None or minus is None:
        st.caption(
            f"{images:,} images, accuracy {metrics.accuracy(matrix):.1%}. Green cells are "
            "correct predictions, red cells are errors; stronger colours are larger shares of the "
            f"{'column' if show == Normalisation.BY_PREDICTION else 'row'}. Hover over a "
            "cell to see the 95% Wilson interval of its share of the true class."
        )
    else:
        unit = "images" if show == Normalisation.COUNTS else "percentage points"
        st.caption(
            f"{plain(titles[run_id])} minus {plain(titles[minus])} in {unit}, on {images:,} "
            f"images: accuracy {metrics.accuracy(matrix):.1%} and {metrics.accuracy(other):.1%}. "
            "Green is better (more correct predictions or fewer errors), red worse."
        )
with table:
    st.markdown("**Most confused pairs**")
    pairs = most_confused(matrix, labels).head(10)
    opening_table.show(
        pairs,
        lambda number, _: TableTarget(
            query={
                Key.TRUE: str(pairs["true"].iloc[number]),
                Key.PREDICTED: str(pairs["predicted"].iloc[number]),
            }
        ),
        f"mistakes-{cell}",
        {"share of true class": percent_column()},
    )
    st.caption(opening_table.HINT)

if cell is None:
    st.info(
        "Click a cell of the matrix, or a class name beside it, to list its samples, or pick its "
        "classes below the matrix.",
        icon=":material/touch_app:",
    )
else:
    inside = kept & sample_list.in_cell(aligned, cell, run_id, minus)
    others = {} if minus is None else {minus: titles[minus]}
    st.subheader(plain(sample_list.heading(cell)), anchor=False)
    listing = sample_list.Listing.of(aligned, run_id, inside, others)
    st.caption(
        f"{len(listing):,} samples, most confident first"
        + ("" if minus is None else "; only those on which the two models differ")
    )
    name = f"{run_id}-{'-as-'.join(cell)}"
    sample_list.show(benchmark, listing, name, empty="No sample falls into this cell.")
