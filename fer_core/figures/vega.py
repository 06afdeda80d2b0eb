"""Charts whose marks can be clicked, as Vega-Lite specifications.

Vega-Lite, not plotly: in Streamlit a click on a plotly heat map delivers nothing, while a
rectangle mark of Vega-Lite delivers its fields exactly. Written as plain dictionaries, since
Altair checks every part against a schema: a tenth of a second at each rerun of a page.
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
    height: int,
) -> Spec:
    """Returns a chart of rectangles with texts on them, of which a click selects one.

    Args:
        table: One row a box.
        selection: Name of the selection parameter.
        fields: Columns that a selected point holds.
        shared: Encodings of both layers.
        boxes: `mark` and `encoding` of the rectangles.
        text: `mark` and `encoding` of the texts.
        height: In pixels.
    """
    click = {"type": "point", "fields": list(fields), "on": "click"}
    return {
        "data": {"values": table.to_dict("records")},
        "height": height,
        # without naming its layer, the selection would belong to the texts as well
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
        "config": {
            "background": "transparent",
            "view": {"strokeWidth": 0},
        },
    }


def outline_where(condition: str, *, dark: bool) -> Spec:
    """Returns a stroke that is drawn where a condition on the datum holds."""
    return {
        "condition": {"test": condition, "value": "#ffffff" if dark else "#111111"},
        "value": "transparent",
    }


def quantity(field: str, *, form: str) -> Spec:
    """Returns a tooltip's line for a number."""
    return {"field": field, "type": "quantitative", "format": form}
