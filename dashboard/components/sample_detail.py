"""Details of one sample: every model's prediction, the annotators' votes, similar pictures."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks, inference, results
from dashboard.cache.benchmarks import Benchmark, Pictures
from dashboard.cache.results import Board
from dashboard.components import chart, gallery, look_alikes
from dashboard.components.text import column_title, plain
from dashboard.state import BIND, Key
from fer_core.figures.charts import answers_heatmap

NEIGHBOURS = 6
_OVERLAY_COLUMNS = 4
_FACTS = ("second_label", "leak", "brightness", "contrast", "sharpness", "source", "source_split")


def show(benchmark: Benchmark, board: Board, sample_id: str) -> None:
    """Shows the details of a sample of a board.

    Args:
        benchmark: The benchmark.
        board: Results that include the sample.
        sample_id: An id of the board's aligned predictions.
    """
    aligned = board.aligned
    position = int(np.flatnonzero(aligned.ids == sample_id)[0])
    true = aligned.labels.names[aligned.truth[position]]
    pictures = benchmarks.pictures(benchmark)
    with st.container(border=True):
        head, close = st.columns([6, 1])
        head.subheader(f"Sample {plain(sample_id)}, labelled {plain(true)}", anchor=False)
        close.button("Close", key="close", on_click=_close, icon=":material/close:")
        left, right = st.columns([1, 3], gap="large")
        with left:
            _picture(pictures, sample_id)
            samples = benchmarks.samples(benchmark)
            names = [name for name in _FACTS if name in samples.columns]
            facts = samples.loc[[sample_id], names].iloc[0]
            st.table(facts.map(_short).rename(column_title).rename("value"))
        with right:
            _predictions(benchmark, board, position)
        _neighbours(benchmark, pictures, sample_id)
        _overlays(benchmark, aligned.runs, pictures, sample_id)


def _predictions(benchmark: Benchmark, board: Board, position: int) -> None:
    """Shows every model's distribution for the sample, and the annotators'."""
    aligned = board.aligned
    rows = {}
    if board.votes is not None:
        rows["annotators"] = board.votes.distribution[position]
    for run_id, predictions in aligned.predictions.items():
        rows[benchmark.titles[run_id]] = predictions.probabilities[position]
    wrong = int((~aligned.right[:, position]).sum())
    chart.show(
        answers_heatmap(rows, aligned.labels.names, aligned.labels.names[aligned.truth[position]]),
        "answers",
        f"Every model's probabilities for this face; the label is in bold. {wrong} of "
        f"{len(aligned.runs)} models are wrong.{_votes(board, position)}",
    )


def _picture(pictures: Pictures | None, sample_id: str) -> None:
    picture = pictures.get(sample_id) if pictures is not None else None
    if picture is None:
        st.caption("The picture is not on this machine.")
    else:
        st.image(gallery.enlarge(picture, 240), width="stretch")


def _votes(board: Board, position: int) -> str:
    votes = board.votes
    if votes is None:
        return ""
    rest = int(votes.others[position].sum())
    elsewhere = f", {rest} of them for none of these classes" if rest else ""
    return f" {int(votes.annotators[position])} annotators voted{elsewhere}."


def _neighbours(benchmark: Benchmark, pictures: Pictures | None, sample_id: str) -> None:
    st.markdown("**Most similar training pictures**")
    if pictures is None:
        gallery.need_pictures(benchmark.info.name)
        return
    row = pictures.rows.get(sample_id)
    if row is None:
        st.caption("This sample's picture is missing from the prepared dataset.")
        return
    stored = np.asarray(pictures.images[row])
    look_alikes.show(benchmark, pictures, results.nearest(benchmark, stored, NEIGHBOURS))
    st.caption(look_alikes.EXPLANATION)


def _overlays(
    benchmark: Benchmark, runs: tuple[str, ...], pictures: Pictures | None, sample_id: str
) -> None:
    picture = None if pictures is None else pictures.get(sample_id)
    if picture is None:
        return
    if not st.toggle("Show saliency maps of all models", key=Key.OVERLAYS, bind=BIND):
        return
    from fer_core.figures.overlay import heat_overlay  # needs torch, so only on request

    columns = st.columns(_OVERLAY_COLUMNS)
    with st.spinner("Running the models ..."):
        for index, run_id in enumerate(runs):
            column = columns[index % _OVERLAY_COLUMNS]
            run = benchmark.run(run_id)
            answer = inference.answer(benchmark, run, np.asarray(picture), None)
            if isinstance(answer, str):
                column.caption(plain(answer))
                continue
            column.image(heat_overlay(picture, answer.saliency), width="stretch")
            column.caption(
                f"{plain(benchmark.titles[run_id])}: {plain(answer.top)}, "
                f"{answer.probabilities.max():.0%}"
            )


def _short(value: object) -> str:
    if isinstance(value, float):
        return "unknown" if pd.isna(value) else f"{value:.1f}"
    return str(value)


def _close() -> None:
    if Key.SAMPLE in st.query_params:
        del st.query_params[Key.SAMPLE]
