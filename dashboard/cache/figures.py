"""Cached charts: a chart is built once for equal arguments, for all visitors."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pydantic import BaseModel

MOST_FIGURES = 128
_SMALL = 1 << 16  # bytes; larger arrays are told apart by identity

_SCALARS = frozenset({type(None), str, int, float, bool, bytes, np.float64, np.int64})

_figures: OrderedDict[Hashable, tuple[go.Figure, tuple[object, ...]]] = OrderedDict()
_lock = threading.Lock()


def figure(build: Callable[..., go.Figure], *arguments: object, **options: object) -> go.Figure:
    """Returns the chart of a function for its arguments; it is shared and must not be changed.

    Numbers, texts, small arrays, small tables of numbers, and the dataclasses, models and
    containers of these count as equal by value. Other arrays and tables count as equal if they are
    the same object, so only pass those that are cached; they stay in memory as long as the chart.

    Args:
        build: A function of `fer_core.figures` that depends on its arguments only.
        arguments: Positional arguments of the function.
        options: Keyword arguments of the function.
    """
    kept: list[object] = []  # an id is only valid while its object lives
    key = (build, _token(arguments, kept), _token(options, kept))
    with _lock:
        if key in _figures:
            _figures.move_to_end(key)
            return _figures[key][0]
    built = build(*arguments, **options)
    # Streamlit converts a figure to a dictionary in each rerun, which takes longer than sending it
    content = built.to_dict()
    built.to_dict = lambda: content
    with _lock:
        _figures[key] = (built, tuple(kept))
        while len(_figures) > MOST_FIGURES:
            _figures.popitem(last=False)
    return built


def _token(value: Any, kept: list[object]) -> Hashable:  # noqa: ANN401 (any argument of a chart)
    """Returns a key of a value; adds the objects that are told apart by identity to `kept`."""
    if type(value) in _SCALARS:
        return (type(value), value)
    if isinstance(value, Mapping):
        return (dict, _token(tuple(value.keys()), kept), _token(tuple(value.values()), kept))
    if isinstance(value, list | tuple):
        kinds = tuple(map(type, value))
        if _SCALARS.issuperset(kinds):  # most values, without a call for each
            return (type(value), kinds, tuple(value))
        return (type(value), tuple(_token(item, kept) for item in value))
    if isinstance(value, np.ndarray) and value.nbytes <= _SMALL and value.dtype != object:
        return (np.ndarray, value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, pd.DataFrame) and _is_small(value):
        numbers = value.to_numpy()
        kind = numbers.dtype.str
        return (pd.DataFrame, tuple(value.columns), tuple(value.index), kind, numbers.tobytes())
    if isinstance(value, BaseModel):
        return (type(value), value.model_dump_json())
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return (type(value), tuple(_token(getattr(value, name), kept) for name in names))
    kept.append(value)
    return (object, id(value))


def _is_small(table: pd.DataFrame) -> bool:
    kinds = set(table.dtypes)
    return 8 * table.size <= _SMALL and kinds <= {np.dtype("f8"), np.dtype("i8")} and len(kinds) < 2
