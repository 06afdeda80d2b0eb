"""One sample opened: every model's answer, the annotators' votes, what looks like it."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks, results
from dashboard.cache.benchmarks import Benchmark, Pictures
from dashboard.cache.results import Board
from dashboard.components import chart, faces, look_alikes
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.figures.charts import answers_heatmap

NEIGHBOURS = 6
_OVERLAY_COLUMNS = 4
_FACTS = ("second_label", "leak", "brightness", "contrast", "sharpness", "source", "source_split")


def show(chosen: Benchmark, board: Board, pictures: Pictures | None, sample_id: str) -> None:
    """Shows a sample of a board in full.

    Args:
        chosen: The benchmark.
        board: Results that hold the sample.
        pictures: The prepared set's pictures, if attached.
        sample_id: An id of the board's panel.
    """
    panel = board.panel
    assert panel is not None  # noqa: S101 (pages end before, where no run can be read)
    place = int(np.flatnonzero(panel.ids == sample_id)[0])
    true = panel.labels.names[panel.truth[place]]
    with st.container(border=True):
        head, close = st.columns([6, 1])
        head.subheader(f"Sample {plain(sample_id)}, labelled {plain(true)}", anchor=False)
        close.button("Close", key="close", on_click=_close, icon=":material/close:")
        left, right = st.columns([1, 3], gap="large")
        with left:
            _picture(pictures, sample_id)
            known = benchmarks.samples(chosen)
            facts = known.loc[sample_id, [name for name in _FACTS if name in known.columns]]
            st.table(facts.map(_short).rename("value"))
        with right:
            rows = {}
            if board.votes is not None:
                rows["annotators"] = board.votes.distribution[place]
            for run_id, scores in panel.predictions.items():
                rows[chosen.titles[run_id]] = scores.probabilities[place]
            wrong = int((~panel.right[:, place]).sum())
            chart.show(
                answers_heatmap(rows, panel.labels.names, true),
                "answers",
                f"Every model's distribution for this face; the label is in bold. {wrong} of "
                f"{len(panel.runs)} models are wrong."
                + (_votes(board, place) if board.votes is not None else ""),
            )
        _neighbours(chosen, pictures, sample_id)
        _overlays(chosen, panel.runs, pictures, sample_id)


def _picture(pictures: Pictures | None, sample_id: str) -> None:
    picture = pictures.get(sample_id) if pictures is not None else None
    if picture is None:
        st.caption("The picture is not on this machine.")
    else:
        st.image(faces.enlarge(picture, 240), width="stretch")


def _votes(board: Board, place: int) -> str:
    votes = board.votes
    assert votes is not None  # noqa: S101 (asked for only where there are votes)
    rest = int(votes.others[place].sum())
    elsewhere = f", {rest} of them for none of these classes" if rest else ""
    return f" {int(votes.annotators[place])} annotators voted{elsewhere}."


def _neighbours(chosen: Benchmark, pictures: Pictures | None, sample_id: str) -> None:
    st.markdown("**Training pictures that look most like it**")
    if pictures is None:
        look_alikes.need_pictures(chosen)
        return
    row = pictures.rows.get(sample_id)
    if row is None:
        st.caption("This sample's picture is missing in the prepared set.")
        return
    stored = np.asarray(pictures.images[row])
    look_alikes.show(chosen, pictures, results.nearest(chosen, pictures, stored, NEIGHBOURS))
    st.caption(look_alikes.SAYS)


def _overlays(
    chosen: Benchmark, runs: tuple[str, ...], pictures: Pictures | None, sample_id: str
) -> None:
    if pictures is None or sample_id not in pictures.rows:
        return
    asked = st.toggle("Show what speaks for each model's answer", key=Key.OVERLAYS, bind=BIND)
    if not asked:
        return
    from fer_core.figures.overlay import heat_overlay  # torch is loaded only when asked for

    stored = np.asarray(pictures.images[pictures.rows[sample_id]])
    picture = pictures.get(sample_id)
    columns = st.columns(_OVERLAY_COLUMNS)
    with st.spinner("Asking the models ..."):
        for index, run_id in enumerate(runs):
            column = columns[index % _OVERLAY_COLUMNS]
            given = benchmarks.answer(chosen, chosen.run(run_id), stored, None)
            if isinstance(given, str) or picture is None:
                column.caption(plain(str(given)))
                continue
            column.image(heat_overlay(picture, given.saliency), width="stretch")
            column.caption(
                f"{plain(chosen.titles[run_id])}: {plain(given.top)}, "
                f"{given.probabilities.max():.0%}"
            )


def _short(value: object) -> str:
    if isinstance(value, float):
        return "unknown" if pd.isna(value) else f"{value:.1f}"
    return str(value)


def _close() -> None:
    if Key.SAMPLE in st.query_params:
        del st.query_params[Key.SAMPLE]
