"""Leaderboard: every run's numbers, with intervals and protocol."""

import streamlit as st

from dashboard import theme
from dashboard.cache import results
from dashboard.components import chart, filters, pickers
from dashboard.components.text import plain
from dashboard.sections import leaderboard as tables
from dashboard.state import Key
from fer_core.evaluation.leaderboard_columns import COLUMNS, Group, label_of, slug_of
from fer_core.figures import charts
from fer_core.figures.html_report import render_report

theme.page_header(
    "Results",
    "Leaderboard",
    "Models measured on the same images under the same protocol. Sort by any column; small "
    "differences within the intervals are no differences.",
)
chosen, where, board = filters.results_scope()
found, entries = board.results, board.results.entries
titles, colours = chosen.titles, chosen.colours

columns = tables.column_picker(
    entries,
    help_text="Robustness and cost appear once they are measured: `python -m training robustness "
    f"{chosen.info.name}` and `python -m training efficiency {chosen.info.name}`. Robustness is "
    "measured on all classes of test, and stands here where that is what counts.",
)
table = tables.table(entries, columns, found.tiers)
tables.show(table, key="ranked")
st.caption(
    f"{filters.describe(board)}, split `{chosen.info.split_hash}`, {tables.protocol(entries)} "
    "Intervals: 95%, bootstrap over images. Models of one tier do not differ significantly from "
    "its best model (McNemar's paired test, Holm's correction over all pairs, 5%)."
)
if found.annotator_agreement is not None:
    st.caption(
        f"For scale: one annotator, set against what most of the other annotators say, reaches "
        f"**{found.annotator_agreement:.1%}** on these images. "
        "The column *human agreement* is the same number for the models."
    )
if found.unranked:
    st.markdown("**Measured under another protocol** (shown, not ranked)")
    tables.show(tables.table(found.unranked, columns), key="apart")
left, right, _ = st.columns([1, 1, 2])
left.download_button(
    "Table (csv)",
    lambda: tables.table(entries, list(COLUMNS), found.tiers).to_csv(index=False),
    file_name=f"{chosen.info.name}-leaderboard.csv",
    mime="text/csv",
    icon=":material/download:",
)
right.download_button(
    "Report (html)",
    lambda: render_report(found),
    file_name=f"{chosen.info.name}-report.html",
    mime="text/html",
    icon=":material/lab_profile:",
    help="Everything on this page in one file that opens without a server. No pictures.",
)

st.subheader("How sure is the order", anchor=False)
metric = pickers.switch("Intervals of", tables.METRICS, Key.METRIC)
estimates = {entry.run_id: getattr(entry.metrics.split, metric) for entry in entries}
chart.show(
    charts.interval_chart(estimates, titles, colours),
    "intervals",
    f"A dot is the value measured on {filters.describe(board)}, its bar the 95% interval. Where "
    "bars overlap widely, the order may be luck.",
)

st.subheader("What accuracy costs", anchor=False)
costs = [
    name
    for name in tables.available_columns(entries)
    if COLUMNS[name].group is Group.COST and not COLUMNS[name].higher_is_better
]
costs.sort(key=lambda name: name != "latency_ms")  # what matters most in use comes first
cost = pickers.select_box("Cost", costs, Key.COST, shown=label_of, aliases=slug_of)
chart.show(
    charts.cost_chart(
        {entry.run_id: entry.values[cost] for entry in entries if entry.values.get(cost, 0) > 0},
        {entry.run_id: entry.values["accuracy"] for entry in entries},
        titles,
        colours,
        (label_of(cost), "accuracy"),
    ),
    "cost",
    "Up and to the left is better. On the dotted line lie the models that no other beats in both.",
)
if len(costs) == 1:
    st.info(
        "Latency, GFLOPs and memory are not measured yet. Measure them with the machine left "
        f"alone: `python -m training efficiency {chosen.info.name}`",
        icon=":material/timer:",
    )

if found.comparisons:
    st.subheader("Who beats whom", anchor=False)
    tables.pairs(found.comparisons, titles)
    st.caption(
        "Only images that one of the two has right and the other wrong speak for a difference. p "
        "is the chance of so lopsided a count if both were alike; the corrected p allows for the "
        "number of pairs."
    )
    st.subheader("Do they err alike", anchor=False)
    kind = pickers.switch(
        "Shown",
        {"kappa": "Agreement (kappa)", "complementarity": "Complementarity"},
        Key.PAIRS,
        aliases={"Errors the other mends": "Complementarity"},
    )
    alike = results.agreement(chosen, where)
    names = [titles[run_id] for run_id in alike.runs]
    if kind == "kappa":
        chart.show(
            charts.pair_heatmap(alike.kappa, names, "agrees with"),
            "kappa",
            "Cohen's kappa of the answers: 1 is always the same answer, 0 no more than chance. An "
            "ensemble gains from models that are good and disagree.",
        )
    else:
        chart.show(
            charts.pair_heatmap(alike.complementarity, names, "errors corrected by", share=True),
            "complementarity",
            "Of the row's errors, the share that the column gets right.",
        )
    st.caption(
        f"At least one model is right on {alike.oracle_accuracy:.1%} of the images: no "
        f"selection among their predictions can do better. On {alike.all_wrong:.1%} all fail."
    )
tables.seeds(found)

st.subheader("Recall by class", anchor=False)
chart.show(
    charts.recall_heatmap(
        {entry.run_id: entry.metrics.split.recalls for entry in entries}, found.labels, titles
    ),
    "recall",
    "Of all images of an emotion, the share that the model found.",
)

st.subheader("Training curves", anchor=False)
histories = {
    entry.run_id: entry.history
    for entry in (*entries, *found.unranked)
    if entry.history is not None
}
if not histories:
    st.info("None of these runs was trained here, so there are no curves.")
else:
    curve = pickers.switch("Curve", tables.CURVES, Key.CURVE)
    chart.show(
        charts.history_chart(histories, titles, colours, curve),
        "curves",
        "Validation is measured after each epoch; its best epoch is the one that ships.",
    )

st.subheader("How each run was made", anchor=False)
for entry in (*entries, *found.unranked):
    with st.expander(plain(titles[entry.run_id])):
        tables.provenance(entry)
