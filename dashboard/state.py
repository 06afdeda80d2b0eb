"""Names that widgets and the address bar share: a link opens the same view."""

from enum import StrEnum

BIND = "query-params"
"""Streamlit keeps a widget bound so in the address bar, under its key."""


class Key(StrEnum):
    """Keys of bound widgets, and names in the address bar."""

    BENCHMARK = "benchmark"
    RUN = "run"
    RUNS = "runs"
    SCORED = "scored"
    TRUE = "true"
    PREDICTED = "predicted"
    SHOW = "show"
    METRIC = "metric"
    CURVE = "curve"
    FACE = "face"
    EXPLAIN = "explain"
    PAGE = "page"
    CLASSES = "classes"
    ONLY = "only"
    COLUMNS = "columns"
    COST = "cost"
    PAIRS = "pairs"
    MINUS = "minus"
    AGAINST = "against"
    WHERE = "where"
    SURE = "sure"
    FAIL = "fail"
    SAMPLE = "sample"
    OVERLAYS = "overlays"
    CHANGE = "change"
    LABEL = "label"
    BINS = "bins"
    CORRUPTION = "corruption"
