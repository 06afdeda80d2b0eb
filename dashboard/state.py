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
    VIEW = "view"
    SPLIT = "split"
    CLASSES = "classes"
    SOURCES = "sources"
    SORT = "sort"
    MEASURE = "measure"
    BY = "by"
    REGION = "region"
    ISSUES = "issues"
    BATCH = "batch"
    GROUPS = "groups"
    HELD_OUT = "held_out"
    REASON = "reason"
