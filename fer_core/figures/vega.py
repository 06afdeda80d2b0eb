"""Charts whose marks can be clicked, as Vega-Lite specifications.

In Streamlit, clicks on a plotly heatmap are not reported, while Vega-Lite rectangles report their
fields. Specifications are plain dictionaries, because Altair's schema validation takes a tenth of a
second per rerun.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Spec = dict[str, Any]
"""A Vega-Lite specification."""

_BOXES = "boxes"


def clickable_boxes(
    table: pd.DataFrame,
    *,
    selection: str,
    fields: Sequence[str],
    shared: Mapping[str, Any],
    boxes: Spec,
    text: Spec,
) -> Spec:
    """Returns a chart of labelled rectangles; a click selects one. The caller sets its `height`.

    Args:
        table: One row per rectangle.
        selection: Name of the selection parameter.
        fields: Columns that a selected point contains.
        shared: Encodings of both layers.
        boxes: `mark` and `encoding` of the rectangles.
        text: `mark` and `encoding` of the texts.
    """
    click = {"type": "point", "fields": list(fields), "on": "click"}
    return {
        "data": {"values": table.to_dict("records")},
        # without a layer name the selection would also apply to the texts
        "params": [{"name": selection, "select": click, "views": [_BOXES]}],
        "encoding": dict(shared),
        "layer": [
            {
                "name": _BOXES,
                "mark": {"type": "rect", "cursor": "pointer", **boxes["mark"]},
                "encoding": boxes["encoding"],
            },
            {
                "mark": {"type": "text", "cursor": "pointer", "fontWeight": 600, **text["mark"]},
                "encoding": text["encoding"],
            },
        ],
        "config": {"view": {"strokeWidth": 0}},
    }


def outline_where(condition: str, *, dark: bool) -> Spec:
    """Returns a stroke encoding that outlines data matching a condition."""
    return {
        "condition": {"test": condition, "value": "#ffffff" if dark else "#111111"},
        "value": "transparent",
    }


def quantity(field: str, *, form: str) -> Spec:
    """Returns a tooltip entry for a number."""
    return {"field": field, "type": "quantitative", "format": form}
