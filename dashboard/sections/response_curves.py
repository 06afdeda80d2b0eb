"""The part of the page Response curves on units and emotions that rise."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.cache import inference
from dashboard.cache import probes as cache
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.figures import figure
from dashboard.components import chart, pickers
from dashboard.components.columns import percent_column
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.errors import FerscopeError
from fer_core.evaluation import probe_text, response_curves
from fer_core.evaluation.response_curves import ResponseCurve
from fer_core.figures import probes as figures
from fer_core.synthetic.action_units import UNIT_NAMES
from fer_core.synthetic.emfacs import SOURCE, unit_title
from fer_core.synthetic.probe_design import IDENTITIES, LEVELS, PAIR_IDENTITIES, ProbeKind

_DRAWN_PAIR = "drawn-pair"
_POINTS = st.column_config.NumberColumn(format="%+.0f")


def curve(run: Run) -> None:
    """Shows the response curve of a picked unit or emotion."""
    curves = {item.name: item for item in _emotions_first(cache.curves(run))}
    if not curves:
        st.info("This probe has no response curves.")
        return
    name = pickers.select_box(
        "Action unit or emotion",
        list(curves),
        Key.UNIT,
        shown=lambda key: _picker_title(curves[key]),
        help_text="An emotion is drawn as its first prototype in the coding system (FACS): several "
        "action units together.",
    )
    chart.show(
        figure(figures.response_chart, curves[name]),
        "response",
        f"Mean probability over {IDENTITIES} drawn persons, with 95% intervals. Thick line with "
        "an arrow: the direction that the coding system (FACS) predicts.",
    )
    st.markdown(plain(probe_text.curve_sentence(curves[name])))


def strongest_units(run: Run) -> None:
    """Shows which unit moves each class most, and all units and emotions as a table."""
    curves = cache.curves(run)
    if not curves:
        return
    st.subheader("Which unit changes which class?", anchor=False)
    labels = curves[0].labels.names
    rows = [_strongest_row(curves, label) for label in labels]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, key="strongest", column_config={"points": _POINTS}
    )
    st.caption(
        "Change of the mean probability from intensity 0 to 5, in percentage points. Expected: "
        f"{SOURCE}."
    )
    table = pd.DataFrame([_row(item) for item in curves])
    st.dataframe(
        table,
        hide_index=True,
        key="units",
        column_config={
            **dict.fromkeys(labels, _POINTS),
            "changed": percent_column(),
        },
    )
    st.caption(
        "Change of each class in points. Threshold: the intensity at which the prediction has "
        "changed for half of the persons; changed: the share of persons whose prediction at "
        "intensity 5 differs from that at 0."
    )


def _strongest_row(curves: Sequence[ResponseCurve], label: str) -> dict[str, object]:
    """Returns which unit moves a class most."""
    unit = response_curves.strongest_units(curves, label)[0]
    shift = unit.shifts[unit.labels.index(label)]
    return {
        "class": label,
        "unit with the largest effect": unit.title,
        "points": 100 * shift.value,
        "95% interval": f"{100 * shift.low:+.0f} to {100 * shift.high:+.0f}",
        "expected": {1: "rises", -1: "falls", 0: "nothing"}[unit.expected(label)],
    }


def _row(item: ResponseCurve) -> dict[str, object]:
    expected = [label for label in item.labels.names if item.expected(label) > 0]
    return {
        "unit or emotion": _picker_title(item),
        "belongs to": ", ".join(expected) or "none",
        **{
            label: round(100 * shift.value)  # whole points: no "-0"
            for label, shift in zip(item.labels.names, item.shifts, strict=True)
        },
        "threshold": item.threshold.level,
        "changed": item.threshold.changed,
        "becomes": item.threshold.becomes,
    }


def thresholds_by_model(benchmark: Benchmark, probed: Sequence[str]) -> None:
    """Shows at which intensity each model's prediction changes, by unit and emotion."""
    rows = {}
    for run_id in probed:
        curves = _emotions_first(cache.curves(benchmark.run(run_id)))
        if curves:
            rows[benchmark.titles[run_id]] = {
                _picker_title(item): item.threshold.level for item in curves
            }
    if not rows:
        return
    st.subheader("At what intensity does the prediction change?", anchor=False)
    st.dataframe(pd.DataFrame(rows), key="thresholds")
    st.caption(
        "Intensity (1 to 5) at which the prediction has changed for half of the drawn persons. "
        "Empty: even at 5 it has not changed for half of the persons."
    )


def _accept_former(former: Key, key: Key, values: Sequence[str]) -> None:
    """Reads a picker's value under the key that addresses of earlier versions have."""
    value = st.query_params.get(former)
    if value is None or value not in values:
        return
    if key not in st.query_params and key not in st.session_state:
        st.query_params[key] = value


def pair_of_units(benchmark: Benchmark, run: Run) -> None:
    """Shows the probability of a class by two units, drawn on demand."""
    st.subheader("A pair of units", anchor=False)
    left, middle, right = st.columns(3)
    with left:
        _accept_former(Key.ROW, Key.FIRST_UNIT, UNIT_NAMES)
        first = pickers.select_box("First unit", UNIT_NAMES, Key.FIRST_UNIT, shown=unit_title)
    others = [name for name in reversed(UNIT_NAMES) if name != first]
    with middle:
        second = pickers.select_box("Second unit", others, Key.SECOND_UNIT, shown=unit_title)
    with right:
        _accept_former(Key.LABEL, Key.PAIR_CLASS, benchmark.info.labels)
        label = pickers.select_box("Class", benchmark.info.labels, Key.PAIR_CLASS)
    if not inference.can_predict(run):
        st.info(plain(inference.abilities(run).reason))
        return
    count = len(LEVELS) ** 2 * PAIR_IDENTITIES
    pair = (run.run_id, first, second)
    if st.button(f"Draw {count} faces and run the model", icon=":material/draw:"):
        st.session_state[_DRAWN_PAIR] = pair
    if st.session_state.get(_DRAWN_PAIR) != pair:
        st.caption(f"{len(LEVELS)} x {len(LEVELS)} intensities on {PAIR_IDENTITIES} persons.")
        return
    values = _pair_values(benchmark, run, (first, second))
    if values is not None:
        chart.show(
            figure(
                figures.pair_heatmap,
                values[..., benchmark.info.labels.index(label)],
                (first, second),
                label,
            ),
            "pair",
            f"Mean probability of {plain(label)} over {PAIR_IDENTITIES} drawn persons.",
        )


def _pair_values(
    benchmark: Benchmark, run: Run, units: tuple[str, str]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None":
    """Returns probabilities by both intensities, shape (levels, levels, K); None on an error."""
    bar = st.progress(0.0, "Drawing faces ...")
    rows = []
    try:
        for first in LEVELS:
            for second in LEVELS:
                levels = {units[0]: first, units[1]: second}
                rows.append(cache.pair_probabilities(benchmark, run, levels))
                bar.progress(len(rows) / len(LEVELS) ** 2, "Drawing faces ...")
    except FerscopeError as error:
        st.error(plain(str(error)))
        return None
    finally:
        bar.empty()
    return np.stack(rows).reshape(len(LEVELS), len(LEVELS), -1)


def _emotions_first(curves: Sequence[ResponseCurve]) -> list[ResponseCurve]:
    return sorted(curves, key=lambda item: item.kind is ProbeKind.UNIT)


def _picker_title(item: ResponseCurve) -> str:
    return item.title if item.kind is ProbeKind.UNIT else f"emotion: {item.name}"
