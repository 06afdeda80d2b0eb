"""Leaderboard: every run's numbers, with intervals and protocol."""

import streamlit as st

from dashboard import data_access, theme
from dashboard.components import board, pick
from dashboard.components.samples import SCORED_HELP, parts
from dashboard.state import Key
from fer_core.figures import charts

theme.page_header(
    "Results",
    "Leaderboard",
    "Models measured on the same images under the same protocol. Sort by any column; small "
    "differences within the intervals are no differences.",
)
chosen = pick.benchmark()
pick.need_runs(chosen)
scored = pick.switch("Scored on", parts(chosen), Key.SCORED, help_text=SCORED_HELP)
ranked, apart = board.by_protocol(chosen)
compared = data_access.comparisons(chosen, ranked, scored)
table = board.table(ranked, scored, compared)
board.show(table, key="ranked")
st.caption(
    f"{ranked[0].report.protocol.test_samples:,} test images, split `{chosen.info.split_hash}`, no "
    "test-time augmentation; validation chose every checkpoint, test was read once. Intervals: "
    "95%, bootstrap over images. Models of one band cannot be told apart from its best (McNemar's "
    "paired test, Holm's correction over all pairs, 5%)."
)
if apart:
    st.markdown("**Measured under another protocol** (shown, not ranked)")
    board.show(board.table(apart, scored), key="apart")
st.download_button(
    "Download (csv)",
    table.to_csv(index=False),
    file_name=f"{chosen.info.name}-leaderboard.csv",
    mime="text/csv",
    icon=":material/download:",
)

reports = [run.report for run in ranked]
st.subheader("How sure is the order", anchor=False)
metric = pick.switch("Test intervals of", board.METRICS, Key.METRIC)
st.plotly_chart(
    charts.interval_chart(reports, chosen.titles, chosen.colours, metric), key="intervals"
)
st.caption("A dot is the value measured on the test images, its bar the 95% interval.")

if compared:
    st.subheader("Who beats whom", anchor=False)
    board.pairs(compared, chosen.titles)
    st.caption(
        "Only images that one of the two has right and the other wrong speak for a difference. p "
        "is the chance of so lopsided a count if both were alike; the corrected p allows for the "
        "number of pairs."
    )

st.subheader("Recall by class", anchor=False)
st.plotly_chart(charts.recall_heatmap(reports, chosen.titles), key="recall")
st.caption("Of all test images of an emotion, the share that the model found.")

st.subheader("Training curves", anchor=False)
histories = {
    run.run_id: table for run in chosen.runs if (table := data_access.history(run)) is not None
}
if not histories:
    st.info("None of these runs was trained here, so there are no curves.")
else:
    curve = pick.switch("Curve", board.CURVES, Key.CURVE)
    st.plotly_chart(
        charts.history_chart(histories, chosen.titles, chosen.colours, curve), key="curves"
    )
    st.caption("Validation is measured after each epoch; its best epoch is the one that ships.")

st.subheader("How each run was made", anchor=False)
for run in chosen.runs:
    with st.expander(chosen.titles[run.run_id]):
        board.provenance(run)
