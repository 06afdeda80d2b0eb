"""Tags and notes of runs: the form that changes them, and the leaderboard's columns and filter."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.errors import FerscopeError
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.variants import differing_parameters
from fer_core.records import RunInfo
from fer_core.reviews import NOTE_LIMIT, ReviewStore, RunNote

_NAME = "annotator"


def notes(benchmark: Benchmark, infos: Sequence[RunInfo]) -> dict[str, RunNote]:
    """Returns tags and note of each run: those of visitors, else those of its training."""
    trained = {info.run_id: RunNote(info.run_id, info.tags, info.note) for info in infos}
    try:
        changed = ReviewStore.of(benchmark.directory).run_notes()
    except FerscopeError as error:
        st.warning(plain(str(error)))
        return trained
    return trained | {run_id: note for run_id, note in changed.items() if run_id in trained}


def form(benchmark: Benchmark, entry: Entry, known: Sequence[str]) -> None:
    """Shows tags and note of a run, and saves what a visitor changes.

    Args:
        benchmark: The benchmark.
        entry: The run.
        known: Tags that other runs have.
    """
    note = notes(benchmark, [entry.info])[entry.run_id]
    if note.updated:
        st.caption(f"Changed by {plain(note.annotator)}, {note.updated}.")
    with st.form(f"run note {entry.run_id}", border=False):
        options = sorted({*known, *note.tags})
        picked = st.multiselect(
            "Tags", options, list(note.tags), accept_new_options=True, key=f"tags {entry.run_id}"
        )
        text = st.text_area(
            "Note", note.note, max_chars=NOTE_LIMIT, key=f"note {entry.run_id}"
        ).strip()
        name = st.text_input(
            "Your name", st.session_state.get(_NAME, "anonymous"), max_chars=80, key="note-name"
        ).strip()
        submitted = st.form_submit_button("Save", icon=":material/save:")
    if not submitted:
        return
    try:
        changed = RunNote(entry.run_id, tuple(picked), text, name)
        ReviewStore.of(benchmark.directory).save_run_note(changed)
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    st.success("Saved.", icon=":material/check:")


def tags_of(benchmark: Benchmark, entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Returns the tags of each run that has any, by run id."""
    by_run = notes(benchmark, [entry.info for entry in entries])
    return {run_id: note.tags for run_id, note in by_run.items() if note.tags}


def tag_filter(tags: Mapping[str, Sequence[str]]) -> list[str]:
    """Shows a filter on tags if a run has one; returns the picked tags."""
    every = sorted({tag for of_run in tags.values() for tag in of_run})
    if not every:
        return []
    return pickers.multi_select(
        "Tags",
        {tag: tag for tag in every},
        [],
        Key.TAGS,
        help_text="Shows the runs that have all these tags. Ranks are those among all runs.",
    )


def parameter_picker(entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """Shows a picker of the parameters in which runs differ; returns the picked ones by run id."""
    columns = differing_parameters({entry.run_id: entry.info.recipe for entry in entries})
    if not columns:
        return {}
    picked = pickers.multi_select(
        "Parameters",
        {key: key for key in columns},
        [],
        Key.PARAMETERS,
        help_text="Recipe parameters in which these runs differ, as columns.",
    )
    return {key: columns[key] for key in picked}


def with_parameters(
    rows: pd.DataFrame,
    parameters: Mapping[str, Mapping[str, str]],
    tags: Mapping[str, Sequence[str]],
    picked: Sequence[str],
) -> pd.DataFrame:
    """Adds columns of parameters and tags to a leaderboard table, and filters it by tags.

    Args:
        rows: One row per run, with the column `run`.
        parameters: Values by parameter and run id.
        tags: Tags by run id.
        picked: Tags that each shown run has.
    """
    table, position = rows.copy(), list(rows.columns).index("model") + 1
    columns = {key: table["run"].map(dict(values)).fillna("") for key, values in parameters.items()}
    if tags:
        columns["tags"] = table["run"].map(lambda run: ", ".join(tags.get(run, ())))
    for offset, (key, values) in enumerate(columns.items()):
        table.insert(position + offset, key, values)
    shown = [set(picked) <= set(tags.get(run, ())) for run in table["run"]]
    return table[shown].reset_index(drop=True)
