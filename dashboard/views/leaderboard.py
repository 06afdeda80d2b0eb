"""Leaderboard: every run's metrics, with intervals and protocol."""

import streamlit as st

from dashboard import theme
from dashboard.cache import results
from dashboard.components import filters
from dashboard.sections import (
    corrected_labels,
    leaderboard,
    lineage,
    ranking,
    regression,
    trade_off,
)

theme.page_header(
    "Results",
    "Leaderboard",
    "Models evaluated on the same images under the same protocol. Sort by any column; differences "
    "within the intervals may be due to chance.",
)
benchmark, scope, board = filters.results_scope()
ranked = board.results
every_run = ranked.every_entry
seeds = results.seed_table(benchmark, scope)
label_pairs = results.label_pairs(benchmark)
regressions = regression.paths(benchmark, every_run)

theme.contents(
    [
        "How certain is the ranking?",
        "Accuracy vs. cost",
        "Accuracy vs. macro-recall",
        *(["Pairwise tests", "Do models make the same mistakes?"] if ranked.comparisons else []),
        *([] if seeds.empty else ["Over seeds"]),
        *([corrected_labels.TITLE] if label_pairs else []),
        *([regression.TITLE] if regressions else []),
        "Recall by class",
        "Training curves",
        "Lineage",
        "Provenance of each run",
    ]
)
leaderboard.ranking(benchmark, board)

st.subheader("How certain is the ranking?", anchor=False)
leaderboard.intervals(benchmark, board)
if len(ranked.entries) > 1:
    ranking.ranking(benchmark, scope)

st.subheader("Accuracy vs. cost", anchor=False)
leaderboard.costs(benchmark, ranked.entries)

st.subheader("Accuracy vs. macro-recall", anchor=False)
trade_off.trade_off(benchmark, scope)

if ranked.comparisons:
    leaderboard.pairs(benchmark, board, scope)
leaderboard.seeds(seeds)
corrected_labels.corrected_labels(label_pairs)
regression.regression(benchmark, regressions)

st.subheader("Recall by class", anchor=False)
leaderboard.recalls(benchmark, ranked)

st.subheader("Training curves", anchor=False)
leaderboard.training_curves(benchmark, every_run)

st.subheader("Lineage", anchor=False)
lineage.lineage(benchmark, scope, every_run)

st.subheader("Provenance of each run", anchor=False)
leaderboard.provenance(benchmark, every_run)
