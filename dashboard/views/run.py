"""Run: everything that is known about one run, and its files."""

import streamlit as st

from dashboard import theme
from dashboard.components import filters, pickers
from dashboard.components.text import plain
from dashboard.sections import run_details, run_notes

theme.page_header(
    "Runs",
    "Run",
    "The card of one run: results, worst confusions, training curves, provenance and files.",
)
benchmark, scope, board = filters.results_scope()
ranked = board.results
entries = {entry.run_id: entry for entry in ranked.every_entry}
entry = entries[pickers.run_picker(benchmark, list(entries))]

st.subheader(plain(benchmark.titles[entry.run_id]), anchor=False)
run_details.summary(benchmark, board, entry)
filters.unranked_notes(board, entry.run_id)
run_details.links(benchmark, entry.run_id)
run_details.drawn_faces(benchmark, entry.run_id)

st.subheader("Metrics", anchor=False)
run_details.metrics(benchmark, board, entry)

st.subheader("Worst confusions", anchor=False)
run_details.confusions(benchmark, board, entry)

st.subheader("Training curves", anchor=False)
run_details.curves(benchmark, scope, entry)

st.subheader("Tags and note", anchor=False)
known = run_notes.tags_of(benchmark, list(entries.values()))
run_notes.form(benchmark, entry, sorted({tag for tags in known.values() for tag in tags}))

st.subheader("Provenance", anchor=False)
run_details.provenance(entry)

st.subheader("Files", anchor=False)
run_details.files(benchmark.run(entry.run_id).directory)
