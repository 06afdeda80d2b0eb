"""Pickers of the evaluated images and classes, and filters of images."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import benchmarks, results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.results import Board
from dashboard.cache.slices import saved_slices
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.errors import FerscopeError
from fer_core.evaluation import slices
from fer_core.evaluation.comparable import why_unranked
from fer_core.evaluation.scope import EVAL_SET_TITLES, SECOND_LABEL, VALIDATION, SampleSet, Scope
from fer_core.evaluation.subsets import presets

CUSTOM = "Custom"
ALL_IMAGES = "All images"
ALL_CLASSES = "all classes"
SCORED_HELP = (
    "Leak-free leaves out test images with a duplicate in the original training or validation "
    "data. The remaining images have other class frequencies than test: compare the column "
    "*accuracy, test's class frequencies* with the accuracy on test. Second labels come from a "
    "second annotation of the same images: with FER+, the original labels of FER2013, which other "
    "publications use."
)
ANY_CONFIDENCE = (0.0, 1.0)
"""Bounds of the filter of confidence that keep every image."""

_SEPARATOR = ": "


def eval_sets(benchmark: Benchmark) -> Mapping[str, str]:
    """Returns titles of the evaluation sets that every run of the benchmark has, by name."""
    left_out = set()
    if any(run.second_report is None for run in benchmark.runs):
        left_out.add(SECOND_LABEL)
    if benchmark.directory.is_transfer:  # its runs were chosen on images of another set
        left_out.add(VALIDATION)
    return {name: title for name, title in EVAL_SET_TITLES.items() if name not in left_out}


def class_picker(benchmark: Benchmark) -> tuple[str, ...]:
    """Shows the scored classes in the sidebar and returns them; empty means all."""
    labels = benchmark.info.labels
    named = presets(labels)
    all_classes = next(iter(named))
    with st.sidebar:
        name = st.selectbox(
            "Classes",
            [*named, CUSTOM],
            key=Key.CLASSES,
            bind=BIND,
            help="Only images of these classes are scored, with probabilities renormalised over "
            "them. Applies to every number on the result pages.",
        )
        if name != CUSTOM:
            return () if name in (None, all_classes) else named[name]
        picked = st.pills(
            "At least two classes",
            labels,
            default=list(labels),
            selection_mode="multi",
            key=Key.ONLY,
            bind=BIND,
            wrap=True,
        )
        if len(picked) < 2:
            st.caption("Pick at least two classes. Until then all are scored.")
        return tuple(sorted(picked)) if 2 <= len(picked) < len(labels) else ()


def slice_picker(benchmark: Benchmark) -> SampleSet | None:
    """Shows a picker of a saved slice in the sidebar; returns the slice, or None for all images.

    Shows nothing if no slice is saved.
    """
    saved = {item.name: item for item in saved_slices(benchmark)}
    if not saved:
        return None
    with st.sidebar:
        name = st.selectbox(
            "Saved slice",
            [ALL_IMAGES, *saved],
            key=Key.SLICE,
            bind=BIND,
            help="Restricts all numbers, lists and maps of images on the result pages to the "
            "images of the slice.",
        )
    if name not in saved:
        return None
    return SampleSet(name, frozenset(saved[name].sample_ids))


def _require_images(benchmark: Benchmark, scope: Scope) -> None:
    """Stops the page if the picked slice has no image of the evaluation set, and says so."""
    if scope.within is None:
        return
    samples = benchmarks.samples(benchmark)
    if scope.within.ids.isdisjoint(samples.index[samples["split"] == scope.split]):
        st.info(
            f"The slice {plain(scope.within.name)} has no image of {scope.split}. Pick another "
            f"evaluation set, or {ALL_IMAGES} in the sidebar. Training images are not evaluated.",
            icon=":material/filter_alt:",
        )
        st.stop()


def results_scope() -> tuple[Benchmark, Scope, Board]:
    """Starts a page on results: returns the picked benchmark, the scope, and the results on it.

    Without results, shows the problem or the commands to run, and stops the page.
    """
    benchmark = pickers.benchmark_with_labels()
    classes = class_picker(benchmark)
    eval_set = pickers.switch(
        "Evaluation set", eval_sets(benchmark), Key.SCORED, help_text=SCORED_HELP
    )
    scope = Scope(eval_set, classes, slice_picker(benchmark))
    _require_images(benchmark, scope)
    try:
        warnings = results.leaderboard(benchmark, scope).warnings
        pickers.run_problems([*benchmark.warnings, *warnings])
        board = results.board(benchmark, scope)
    except FerscopeError as error:
        st.error(plain(str(error)))
        st.stop()
    return benchmark, scope, board


def unranked_notes(board: Board, *run_ids: str) -> None:
    """Says of each unranked run among some why it has no rank; nothing of the others."""
    first = board.results.entries[0]
    for entry in board.results.unranked:
        if entry.run_id in run_ids:
            reason = f"{entry.title} is not ranked: {why_unranked(entry.report, first.report)}."
            st.info(plain(reason), icon=":material/info:")


def describe(board: Board) -> str:
    """Describes the evaluated images, for captions."""
    results = board.results
    images = results.entries[0].metrics.split.samples
    all_classes = results.labels == results.info.labels
    classes = "" if all_classes else f" of {plain(', '.join(results.labels))}"
    within = f" in the slice {plain(results.within)}" if results.within else ""
    return f"{images:,} images{classes}{within} ({EVAL_SET_TITLES[results.eval_set].lower()})"


def sample_filter(groups: pd.DataFrame) -> list[tuple[str, str]]:
    """Shows a filter on the samples' groups, and returns the picked (facet, group) pairs."""
    options = {
        f"{facet}{_SEPARATOR}{group}": (str(facet), str(group))
        for facet in groups.columns
        for group in groups[facet].cat.categories
    }
    picked = st.multiselect(
        "Filter images",
        list(options),
        key=Key.WHERE,
        bind=BIND,
        placeholder="No filter",
        help="Values of the same property are combined with OR, different properties with AND.",
    )
    return [options[text] for text in picked]


def confidence_filter() -> tuple[float, float]:
    """Shows a filter on the model's confidence, and returns its bounds, 0 to 1."""
    low, high = st.slider(
        "Model confidence",
        0,
        100,
        (0, 100),
        step=5,
        format="%d%%",
        key=Key.SURE,
        bind=BIND,
        help="Calibrated confidence of the model that is picked above.",
    )
    return low / 100, high / 100


def filter_mask(
    groups: pd.DataFrame,
    conditions: list[tuple[str, str]],
    confidence: NDArray[np.float64],
    ends: tuple[float, float],
) -> NDArray[np.bool_]:
    """Returns a mask of the samples that pass both filters, shape (N,)."""
    inside = slices.slice_mask(groups, conditions)
    return inside & (confidence >= ends[0]) & (confidence <= ends[1])
