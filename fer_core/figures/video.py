"""A video's predictions over time, as a Vega-Lite specification."""

from collections.abc import Sequence

from fer_core.figures.palette import class_colour
from fer_core.figures.vega import Spec, quantity

SELECTION = "moment"
"""Name of the chart's selection parameter; selected points have `frame`."""

NO_FACE = "no face"
"""Stands for the prediction, and for the person, of a frame without a face."""


def timeline_chart(labels: Sequence[str]) -> Spec:
    """Draws a tick for each prediction; a click selects the nearest one.

    The data is a table with the columns `seconds`, `frame`, `line`, `model`, `person`, `prediction`
    and `confidence`: one row per line and frame.

    Args:
        labels: Class names.
    """
    colours = [*(class_colour(label, labels) for label in labels), "#DDDDDD"]
    click = {"type": "point", "fields": ["frame"], "on": "click", "nearest": True}
    return {
        "height": {"step": 26},
        "params": [{"name": SELECTION, "select": click}],
        "mark": {"type": "tick", "thickness": 4, "size": 22},
        "encoding": {
            "x": {"field": "seconds", "type": "quantitative", "title": "seconds"},
            "y": {"field": "line", "type": "nominal", "title": None, "axis": {"labelLimit": 220}},
            "color": {
                "field": "prediction",
                "type": "nominal",
                "scale": {"domain": [*labels, NO_FACE], "range": colours},
                "title": None,
                "legend": {"orient": "top", "columns": 4},
            },
            "tooltip": [
                {"field": "model", "type": "nominal"},
                {"field": "person", "type": "nominal"},
                quantity("seconds", form=".2f"),
                {"field": "prediction", "type": "nominal"},
                quantity("confidence", form=".0%"),
            ],
        },
    }
