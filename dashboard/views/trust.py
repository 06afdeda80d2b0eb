"""Trust: calibration, selective prediction, human agreement, slices and robustness."""

import streamlit as st

from dashboard import theme
from dashboard.cache import results
from dashboard.components import filters, pickers
from dashboard.sections import trust

theme.page_header(
    "Results",
    "Trust",
    "Is a model right as often as it is confident? How many images can it predict at a given error "
    "rate, how robust is it to corruptions, and on which images does it fail?",
)
benchmark, scope, board = filters.results_scope()
run_id = pickers.run_picker(benchmark, board.scored.runs)
filters.unranked_notes(board, run_id)
entries = {
    entry.run_id: entry for entry in board.runs if entry.run_id in (run_id, *board.aligned.runs)
}
title = benchmark.titles[run_id]

comparison = results.human_comparison(benchmark, scope, run_id)
theme.contents(
    [
        "Calibration",
        "Selective prediction",
        *(["Human agreement"] if comparison is not None else []),
        "Worst slices",
        "Robustness to corruptions",
        "Robustness to framing",
    ]
)
st.subheader("Calibration", anchor=False)
calibration = results.calibration_of(benchmark, scope, run_id)
trust.reliability(benchmark, board, run_id, calibration)
trust.calibration_table(calibration)
origin = benchmark.info.transferred_from
st.caption(trust.temperature_sentence(title, calibration, origin.benchmark if origin else ""))

st.subheader("Selective prediction", anchor=False)
trust.selective_prediction(benchmark, entries)

if comparison is not None:
    st.subheader("Human agreement", anchor=False)
    trust.human_agreement(comparison, title)

st.subheader("Worst slices", anchor=False)
trust.slices(results.worst_slices(benchmark, scope, run_id), run_id)
by_person = results.by_person(benchmark, scope, run_id)
if by_person is not None:
    trust.persons(by_person, run_id)

st.subheader("Robustness to corruptions", anchor=False)
trust.robustness(benchmark, entries)

st.subheader("Robustness to framing", anchor=False)
trust.framing(benchmark, entries, scope.framing_split or "test")
