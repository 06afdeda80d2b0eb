"""Confusion matrix: what a model takes for what; a click lists the samples behind a cell."""

import streamlit as st

from dashboard import data_access, theme
from dashboard.components import faces, pick, samples
from dashboard.state import BIND, Key
from fer_core.evaluation import metrics
from fer_core.figures.confusion import SELECTION, Normalisation, confusion_chart, most_confused

theme.page_header(
    "Results",
    "Confusion matrix",
    "Rows are what the annotators said, columns what the model said. Click a cell to see the "
    "samples behind it, most confident first.",
)
chosen = pick.benchmark()
pick.need_runs(chosen)
left, middle, right = st.columns([3, 2, 3])
with left:
    run = pick.run_picker(chosen)
with middle:
    scored = st.selectbox(
        "Scored on",
        list(samples.parts(chosen)),
        format_func=samples.SCORED.__getitem__,
        key=Key.SCORED,
        bind=BIND,
        help=samples.SCORED_HELP,
    )
with right:
    show = st.segmented_control(
        "Cells show",
        [str(how) for how in Normalisation],
        default=str(Normalisation.BY_TRUTH),
        required=True,
        key=Key.SHOW,
        bind=BIND,
    )
scores = samples.scored(chosen, run, scored)
labels = scores.labels.names
matrix = metrics.confusion_matrix(scores.truth, scores.predicted, len(labels))
cell = samples.cell_in_address(labels)

chart, table = st.columns([5, 3], gap="large")
with chart:
    event = st.altair_chart(
        confusion_chart(matrix, labels, Normalisation(show), cell, dark=theme.is_dark()),
        on_select="rerun",
        selection_mode=SELECTION,
        key=f"matrix-{run.run_id}-{scored}-{show}",
        theme="streamlit",
    )
    st.caption(
        f"{len(scores):,} images, {metrics.accuracy(matrix):.1%} right. Green cells are right "
        "answers, red ones mistakes; the stronger, the larger the share of the row."
    )
with table:
    st.markdown("**Most frequent mistakes**")
    st.dataframe(
        most_confused(matrix, labels).head(10),
        hide_index=True,
        column_config={
            "share of true class": st.column_config.NumberColumn(format="percent"),
        },
        key="mistakes",
    )

if samples.follow_click(event, cell):
    st.rerun()
if cell is None:
    st.info("Click a cell of the matrix to list its samples.", icon=":material/touch_app:")
    st.stop()
true, predicted = cell
rows = samples.of_cell(scores, data_access.samples(chosen), true, predicted)
st.subheader(
    f"{true} taken for {predicted}" if true != predicted else f"{true}, recognised", anchor=False
)
st.caption(f"{len(rows):,} samples, most confident first")
if rows.empty:
    st.info("No sample falls into this cell.")
    st.stop()
pictures = data_access.pictures(chosen)
page = samples.page_picker(len(rows)) if pictures is not None else 0
faces.gallery(rows, pictures, chosen.info.name, page=page)
st.download_button(
    "Download these samples (csv)",
    rows.to_csv(index=False),
    file_name=f"{run.run_id}-{true}-as-{predicted}.csv",
    mime="text/csv",
    icon=":material/download:",
)
