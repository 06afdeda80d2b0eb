"""The operating point of the recommended model: when it is unsure."""

from collections.abc import Sequence

import streamlit as st

from dashboard.cache import verdict as cache
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.components import chart, download, pickers
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.errors import DataError
from fer_core.evaluation.operating_points import (
    OperatingPoint,
    class_curve,
    coverage_curve,
    operating_point,
)
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.recommendation import Assessment
from fer_core.evaluation.risk_limits import CONFIDENCE, RiskLimits, choose_thresholds
from fer_core.figures.operating import coverage_chart, precision_chart

ALWAYS = "always predict"
RISK = "limit the error rate"
PRECISION = "limit the precision of a class"
ONE = "one threshold"
BY_CLASS = "threshold by class"
_PER_ROW = 4
MODES = {mode: mode for mode in (ALWAYS, RISK, PRECISION, ONE, BY_CLASS)}


def section(benchmark: Benchmark, pick: Assessment) -> OperatingPoint | None:
    """Shows the thresholds, the curves they are read off, their results and the file.

    Returns:
        The operating point; None if the model always predicts, or no threshold keeps the limit.
    """
    mode = pickers.switch(
        "When is the model unsure?",
        MODES,
        Key.POINT,
        help_text="The model predicts only if its calibrated probability reaches the threshold. "
        "Choose the threshold on the validation curve; the test curve only confirms it.",
    )
    splits = cache.calibrated(benchmark, pick.run_id)
    limits = _limits(splits[1].labels.names, mode) if mode in (RISK, PRECISION) else None
    try:
        thresholds = (
            choose_thresholds(splits[1], limits)
            if limits
            else _thresholds(splits[1].labels.names, mode)
        )
    except DataError as error:
        st.warning(plain(str(error)))
        return None
    info = benchmark.run(pick.run_id).info
    point = operating_point(benchmark.info.name, info, splits, thresholds, limits)
    st.markdown(plain(point.statement))
    for text in point.class_texts:
        st.markdown(plain(text))
    if point.scope:
        st.caption(point.scope)
    left, right = st.columns(2, gap="large")
    with left:
        chart.show(
            figure(coverage_chart, coverage_curve(splits[1]), point),
            "operating-risk",
            "Error rate of the predictions by coverage, the share of images that get a prediction. "
            "The curve has one threshold for all classes. Band and bars: 95% intervals.",
        )
    with right:
        _class_chart(splits[1], point)
    if mode == ALWAYS:
        return None
    offer(point)
    return point


def _limits(labels: Sequence[str], mode: str) -> RiskLimits:
    """Shows the controls of the error rate or of a class's precision, and returns the limits."""
    if mode == RISK:
        percent = st.slider("Maximum error rate of the predictions", 1, 30, 5, format="%d%%",
                            key=Key.MAX_RISK, bind=BIND)  # fmt: skip
        return RiskLimits(max_risk=percent / 100, confidence=_confidence())
    label = pickers.select_box("Class with a minimum precision", labels, Key.PRECISE)
    percent = st.slider(f"Minimum precision of {plain(label)}", 50, 99, 90, format="%d%%",
                        key=Key.MIN_PRECISION, bind=BIND)  # fmt: skip
    return RiskLimits(min_precision={label: percent / 100}, confidence=_confidence())


def _confidence() -> float:
    """Shows whether a limit holds with confidence, and returns it; 0 without."""
    certain = st.toggle(
        f"Hold this limit with {CONFIDENCE:.0%} confidence",
        value=True,
        key=Key.CERTAIN,
        bind=BIND,
        help="On: the thresholds are strict enough that the limit holds for new images like those "
        "of validation (Learn then Test). Off: the limit holds on validation only, and new images "
        "exceed it about half the time.",
    )
    return CONFIDENCE if certain else 0.0


def _thresholds(labels: Sequence[str], mode: str) -> dict[str, float]:
    """Shows the sliders of a mode, and returns the thresholds by class."""
    if mode == ONE:
        return dict.fromkeys(labels, _threshold("Unsure below", "threshold"))
    if mode == BY_CLASS:
        return _class_thresholds(labels)
    return dict.fromkeys(labels, 0.0)


def _class_thresholds(labels: Sequence[str]) -> dict[str, float]:
    """Shows a slider for each class, row by row."""
    thresholds = {}
    for start in range(0, len(labels), _PER_ROW):
        for column, label in zip(st.columns(_PER_ROW), labels[start:], strict=False):
            with column:
                thresholds[label] = _threshold(f"{label} below", f"threshold_{label}")
    return thresholds


def _threshold(label: str, key: str) -> float:
    return float(st.slider(label, 0, 99, 50, format="%d%%", key=key, bind=BIND)) / 100


def _class_chart(validation: SplitPredictions, point: OperatingPoint) -> None:
    """Shows precision by recall of one class."""
    label = pickers.select_box("Class", point.labels, Key.POINT_CLASS)
    chart.show(
        figure(precision_chart, class_curve(validation, label), point, label),
        "operating-class",
        f"Precision by recall of {plain(label)}, over all thresholds. Band and bars: 95% "
        "intervals.",
    )


def offer(point: OperatingPoint) -> None:
    """Shows the button that saves an operating point, and the commands that apply it."""
    download.button(
        "Save the operating point",
        point.model_dump_json(indent=2),
        "operating_point.json",
    )
    name = point.benchmark
    st.code(
        f"python -m training predict photos/ --benchmark {name} "
        f"--operating-point operating_point.json\n"
        f"python -m training serve --benchmark {name} --operating-point operating_point.json",
        language="bash",
    )
