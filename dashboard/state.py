"""Widget keys that are also query parameters of the address, so that a link opens the same view."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final

import streamlit as st

from fer_core.evaluation.former_labels import FORMER_LABELS, FORMER_RANKINGS
from fer_core.evaluation.leaderboard_columns import COLUMNS

BIND: Final = "query-params"
"""Value of a widget's `bind`: Streamlit keeps its value in the query parameter of its key."""


TEST_SAMPLE: Final = "Test sample"
"""Title of the option that takes a face from the benchmark, as the address names it."""

PREDICTED_CLASS: Final = "predicted class"
"""Option that explains each model's predicted class, as the address names it."""

EXPLORER_SAMPLES: Final = "Samples"
"""Title of the Dataset explorer's list of samples, as the address names it."""

ONLY_CHANGED: Final = "Only this changed"
"""Title of the view of single changes on the page Response curves, as the address names it."""


class Key(StrEnum):
    """Keys of widgets and names of query parameters."""

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
    EMOTIONS = "emotions"
    SOURCES = "sources"
    SORT = "sort"
    MEASURE = "measure"
    BY = "by"
    REGION = "region"
    ISSUES = "issues"
    BATCH = "batch"
    GROUPS = "groups"
    HELD_OUT = "held_out"
    LEAK_KIND = "leak_kind"
    COPY_KIND = "copy_kind"
    COPY_SPLITS = "copy_splits"
    REASON = "reason"
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
    CURVE_CLASS = "curve_class"
    BINS = "bins"
    CORRUPTION = "corruption"
    SOURCE = "source"
    PICTURE = "picture"
    LAYER = "layer"
    RANK = "rank"
    METHODS = "methods"
    METHOD = "method"
    TARGET = "target"
    CONTRAST = "contrast"
    OPACITY = "opacity"
    SCALE = "scale"
    DEPTH = "depth"
    HEAD = "head"
    SET = "set"
    BLOCK = "block"
    ROW = "row"
    COLUMN = "column"
    CHANNEL = "channel"
    CURVES = "curves"
    WHICH = "which"
    WEIGHT = "weight"
    LINEAGE = "lineage"
    LABELS_OF = "labels_of"
    UNSURE = "unsure"
    MAX_MS = "max_ms"
    MAX_MB = "max_mb"
    KIND = "kind"
    LICENCES = "licences"
    NEED = "need"
    ERRORS = "errors"
    ERROR_COSTS = "error_costs"
    POINT = "point"
    MAX_RISK = "max_risk"
    CERTAIN = "certain"
    PRECISE = "precise"
    MIN_PRECISION = "min_precision"
    POINT_CLASS = "point_class"
    ANNOTATOR = "annotator"
    TASK = "task"
    MERGE = "merge"
    PARAMETERS = "parameters"
    TAGS = "tags"
    SLICES = "slices"
    SLICE = "slice"
    EXCLUDED = "excluded"
    COLOUR = "colour"
    DOUBT = "doubt"
    PROBE = "probe"
    UNIT = "unit"
    FIRST_UNIT = "first_unit"
    SECOND_UNIT = "second_unit"
    PAIR_CLASS = "pair_class"
    ATTRIBUTE = "attribute"


_SEVERAL = frozenset({Key.COLUMNS, Key.METHODS, Key.SLICES, Key.PARAMETERS, Key.TAGS})
"""Keys with several values."""

_UNBOUND = frozenset({Key.COLUMNS, Key.COST, Key.MINUS, Key.SLICES, Key.PARAMETERS, Key.TAGS})
"""Keys that pages write to the address; Streamlit binds the other keys to widgets."""

_SLUGS = dict(FORMER_LABELS) | {
    column.label: column.slug for column in COLUMNS.values() if column.label != column.slug
}

ALIASES: Mapping[Key, Mapping[str, str]] = {
    Key.BINS: {"width": "equal width", "mass": "adaptive"},
    Key.CLASSES: {"My choice": "Custom"},
    Key.COLUMNS: _SLUGS,
    Key.COST: _SLUGS,
    Key.CONTRAST: {"nothing": "none"},
    Key.DEPTH: {"the method's own": "default"},
    Key.EXPLAIN: {"each model's answer": "predicted class"},
    Key.FAIL: {
        "Its errors": "errors",
        "It alone fails": "alone",
        "It alone is right": "unlike",
    },
    Key.GROUPS: {"Bit for bit": "exact"},
    Key.LABEL: {"every class": "all classes"},
    Key.PAIRS: {"Errors the other mends": "complementarity"},
    Key.POINT: {"always answer": "always predict"},
    Key.RANK: FORMER_RANKINGS,
    Key.SCALE: {"For and against": "Evidence for and against"},
    Key.SORT: {"Least like a face first": "outlier", "Most disputed first": "agreement"},
    Key.SOURCE: {"A face of yours, or a drawn one": "own", "A test sample": "sample"},
    Key.TARGET: {
        "each model's answer": "predicted class",
        "the model's answer": "predicted class",
        "the true class": "true class",
    },
    Key.VIEW: {
        "Answers": "predictions",
        "answers": "predictions",
        "What if": "what-if",
        "Look-alikes": "look-alikes",
        "Light and sharpness": "statistics",
    },
}
"""Options of today, by the display texts that earlier versions wrote to the address."""


def digest_of(parts: Iterable[object]) -> str:
    """Returns a short digest of texts and numbers, in order, for the key of a widget.

    A widget keeps what was entered as long as its key is the same, so the key names what it shows.
    """
    return sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]


def accept_old_addresses() -> None:
    """Translates query parameters of earlier versions, before the widgets are created."""
    for key, names in ALIASES.items():
        values = st.query_params.get_all(key)
        if not any(value in names for value in values):
            continue
        known = [names.get(value, value) for value in values]
        if key in _UNBOUND:
            st.query_params[key] = known if key in _SEVERAL else known[0]
        elif key not in st.session_state:
            # a bound widget drops the unknown text and takes this value
            st.session_state[key] = known if key in _SEVERAL else known[0]
