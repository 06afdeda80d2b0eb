"""What is scored: a part of the benchmark, the classes that count, and filters on samples."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.results import Board
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.errors import FerscopeError
from fer_core.evaluation import slices
from fer_core.evaluation.leaderboard import SECOND_LABEL, Scope
from fer_core.evaluation.subsets import presets
from fer_core.figures.html_report import EVAL_SET_TITLES

OWN_CHOICE = "My choice"
SCORED_HELP = (
    "Leak-free leaves out test images with a duplicate in the original training or validation "
    "data. Second labels are the other annotation of the same images: with FER+, the original "
    "labels of FER2013, which other publications use."
)
_SEPARATOR = ": "


def parts(chosen: Benchmark) -> Mapping[str, str]:
    """Returns the parts that every run of the benchmark has, with their shown names."""
    second = all(run.second_report is not None for run in chosen.runs)
    return {part: name for part, name in EVAL_SET_TITLES.items() if second or part != SECOND_LABEL}


def class_picker(chosen: Benchmark) -> tuple[str, ...]:
    """Shows in the sidebar which classes count; empty means all of them."""
    labels = chosen.info.labels
    named = presets(labels)
    whole = next(iter(named))
    with st.sidebar:
        name = st.selectbox(
            "Classes that count",
            [*named, OWN_CHOICE],
            key=Key.CLASSES,
            bind=BIND,
            help="Only faces of these classes are scored, with probabilities renormalised over "
            "them: what the model would say if it knew that it is one of these. Every number on "
            "the result pages follows.",
        )
        if name != OWN_CHOICE:
            return () if name in (None, whole) else named[name]
        own = st.pills(
            "At least two classes",
            labels,
            default=list(labels),
            selection_mode="multi",
            key=Key.ONLY,
            bind=BIND,
            wrap=True,
        )
        if len(own) < 2:
            st.caption("Fewer than two are chosen: all count.")
        return tuple(sorted(own)) if 2 <= len(own) < len(labels) else ()


def results_scope() -> tuple[Benchmark, Scope, Board]:
    """Begins a page on results: the picked benchmark, what is scored, and the results on it.

    Ends the page with what is wrong, or what to do, if there are none.
    """
    chosen = pickers.benchmark_with_runs()
    classes = class_picker(chosen)
    part = pickers.switch("Scored on", parts(chosen), Key.SCORED, help_text=SCORED_HELP)
    scope = Scope(part, classes)
    try:
        board = results.board(chosen, scope)
    except FerscopeError as error:
        st.error(plain(str(error)))
        st.stop()
    for warning in board.results.warnings:
        st.warning(f"A run is left out. {plain(warning)}", icon=":material/warning:")
    if board.panel is None:
        st.info("No run can be scored on this part with these classes.")
        st.stop()
    return chosen, scope, board


def describe(board: Board) -> str:
    """Returns what the numbers of a page are measured on, for its captions."""
    found = board.results
    images = found.entries[0].metrics.split.samples
    classes = "" if found.labels == found.info.labels else f" of {plain(', '.join(found.labels))}"
    return f"{images:,} images{classes} ({EVAL_SET_TITLES[found.eval_set].lower()})"


def sample_filter(groups: pd.DataFrame) -> list[tuple[str, str]]:
    """Shows a filter on the samples' groups, and returns the picked (facet, group) pairs."""
    options = [
        f"{facet}{_SEPARATOR}{group}"
        for facet in groups.columns
        for group in groups[facet].cat.categories
    ]
    chosen = st.multiselect(
        "Only images with",
        options,
        key=Key.WHERE,
        bind=BIND,
        placeholder="any property",
        help="Of one property any of the chosen groups, of several properties all.",
    )
    return [(facet, group) for facet, _, group in (text.partition(_SEPARATOR) for text in chosen)]


def confidence_filter() -> tuple[float, float]:
    """Shows a filter on the model's confidence, and returns its ends, 0 to 1."""
    low, high = st.slider(
        "Confidence of the model",
        0,
        100,
        (0, 100),
        step=5,
        format="%d%%",
        key=Key.SURE,
        bind=BIND,
    )
    return low / 100, high / 100


def passing(
    groups: pd.DataFrame,
    conditions: list[tuple[str, str]],
    confidence: NDArray[np.float64],
    ends: tuple[float, float],
) -> NDArray[np.bool_]:
    """Returns which samples pass both filters, shape (N,)."""
    inside = slices.slice_mask(groups, conditions)
    return inside & (confidence >= ends[0]) & (confidence <= ends[1])
