"""Tags and notes of runs: the form that changes them, and the leaderboard's columns and filter."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import pandas as pd
import streamlit as st

from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers, visitor
from dashboard.components.text import plain
from dashboard.state import Key, digest_of
from fer_core.errors import FerscopeError
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.variants import differing_parameters
from fer_core.records import RunInfo
from fer_core.reviews import NOTE_LIMIT, ReviewStore, RunNote

_OUTCOME = "outcome of saving a run note"


@dataclass(frozen=True)
class _Outcome:
    """Why a note was not saved, and its text; empty if it was saved."""

    problem: str = ""
    text: str = ""


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
    # another benchmark can have a run of this name, and another visitor can change its note
    key = f"{entry.run_id} {digest_of([benchmark.directory.root, *astuple(note)])}"
    with st.form(f"run note {key}", border=False):
        options = sorted({*known, *note.tags})
        st.multiselect("Tags", options, list(note.tags), accept_new_options=True, key=f"tags {key}")
        st.text_area("Note", note.note, max_chars=NOTE_LIMIT, key=f"note {key}")
        st.text_input("Your name", visitor.name(), max_chars=visitor.NAME_LIMIT, key="note-name")
        st.form_submit_button(
            "Save", icon=":material/save:", on_click=_save, args=(benchmark, note, key)
        )
    _show_outcome()


def _save(benchmark: Benchmark, shown: RunNote, key: str) -> None:
    """Saves what was entered.

    It is a callback, because the form of a note that was changed meanwhile is no longer shown when
    the page runs.

    Args:
        benchmark: The benchmark.
        shown: The note that the form was filled with.
        key: End of the keys of the form's widgets.
    """
    text = str(st.session_state[f"note {key}"]).strip()
    name = str(st.session_state["note-name"]).strip()
    changed = RunNote(shown.run_id, tuple(st.session_state[f"tags {key}"]), text, name)
    outcome = _Outcome()
    try:
        ReviewStore.of(benchmark.directory).save_run_note(changed, shown)
    except FerscopeError as error:
        outcome = _Outcome(str(error), text)
    st.session_state[_OUTCOME] = outcome


def _show_outcome() -> None:
    """Says whether the note was saved; shows one that was not, so that it is not lost."""
    outcome: _Outcome | None = st.session_state.pop(_OUTCOME, None)
    if outcome is None:
        return
    if not outcome.problem:
        st.success("Saved.", icon=":material/check:")
        return
    st.error(plain(outcome.problem))
    if outcome.text:
        st.caption("Your note:")
        st.code(outcome.text, language=None, wrap_lines=True)


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
