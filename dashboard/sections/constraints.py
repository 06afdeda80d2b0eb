"""The constraints of the start page, as controls whose values the address keeps."""

from collections.abc import Sequence

import streamlit as st

from dashboard.cache import verdict as cache
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.errors import DataError
from fer_core.evaluation.constraints import Constraints, ModelKind
from fer_core.evaluation.error_costs import ErrorCosts, presets

CUSTOM = "custom"
KINDS = {kind.value: kind.value for kind in ModelKind}
_FIRST_RECALL = 50


def constraint_controls(benchmark: Benchmark) -> Constraints:
    """Shows the controls of latency, size, kind, recalls and licences; returns their values."""
    max_ms = _limit(
        "Maximum latency (ms)",
        Key.MAX_MS,
        "Median time for one cropped face, without face detection, measured with `efficiency`; the "
        "verdict names the device.",
    )
    max_mb = _limit(
        "Maximum size (MB)",
        Key.MAX_MB,
        "Size of the weight files; of all members for an ensemble.",
    )
    kind = pickers.switch(
        "Models", KINDS, Key.KIND, help_text="Single networks, ensembles, or any."
    )
    recalls = _recall_controls(benchmark.info.labels)
    known = {name for run in cache.candidates(benchmark).comparable for name in run.licences}
    licences = st.multiselect(
        "Licence of the weights",
        sorted(known),
        key=Key.LICENCES,
        bind=BIND,
        placeholder="any",
        help="Of the code and of the weights that the training started from. An ensemble needs "
        "all licences of its members. Images have a licence of their own.",
    )
    return Constraints.of(
        min_recall=recalls,
        max_ms=max_ms,
        max_mb=max_mb,
        kind=ModelKind(kind),
        licences=licences,
    )


def _limit(label: str, key: Key, help_text: str) -> float | None:
    value: float | None = st.number_input(
        label,
        min_value=0.1,
        value=None,
        step=1.0,
        key=key,
        bind=BIND,
        placeholder="no limit",
        help=help_text,
    )
    return value


def cost_control(benchmark: Benchmark) -> ErrorCosts:
    """Shows the picker of the costs of errors; returns them."""
    titles = {str(costs): title for title, costs in presets(benchmark.info.labels).items()}
    value = pickers.select_box(
        "Cost of errors",
        [*titles, CUSTOM],
        Key.ERRORS,
        shown=lambda name: titles.get(name, "Custom"),
        help_text="Models are compared by the mean cost of their errors. Equal costs compare "
        "accuracy, balanced ones macro-recall.",
    )
    if value != CUSTOM:
        return ErrorCosts.parse([value])
    text = st.text_input(
        "Costs",
        key=Key.ERROR_COSTS,
        bind=BIND,
        placeholder="fear>neutral=3, *>angry=5",
        help="true>predicted=cost, separated by commas; * is any class, other errors cost 1, and "
        "`balanced` gives every class the same weight.",
    )
    try:
        costs = ErrorCosts.parse([text or ""])
        costs.matrix(benchmark.info.label_set)
    except DataError as error:
        st.warning(plain(str(error)))
        return ErrorCosts()
    return costs


def _recall_controls(labels: Sequence[str]) -> dict[str, float]:
    """Shows the classes with a minimum recall and a slider for each; returns them, 0 to 1."""
    needed = st.multiselect(
        "Classes with a minimum recall",
        labels,
        key=Key.NEED,
        bind=BIND,
        placeholder="none",
        help="Share of a class's validation images that the model must classify correctly.",
    )
    return {
        label: st.slider(
            f"Minimum recall of {label}",
            5,
            100,
            _FIRST_RECALL,
            step=5,
            format="%d%%",
            key=f"recall_{label}",
            bind=BIND,
        )
        / 100
        for label in needed
    }
