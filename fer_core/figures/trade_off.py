"""Charts of accuracy against macro-recall by prior shift."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fer_core.evaluation.prior_shift import PriorCurves, TradeOff
from fer_core.figures.charts import GRID, style

_POINT = "%{x:.1%} accuracy, %{y:.1%} macro-recall<br>prior shift %{customdata:.2f}"


def trade_off_chart(
    curves: Mapping[str, PriorCurves],
    weight: float,
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> go.Figure:
    """Draws macro-recall against accuracy, one line per run from one end to the other.

    Args:
        curves: Curves by run id.
        weight: Weight of macro-recall against accuracy, 0 to 1; its points are filled dots.
        titles: Display names by run id.
        colours: Colours by run id.
    """
    figure = go.Figure()
    for run_id, curve in curves.items():
        ends = [curve.chosen_by(0.0), curve.chosen_by(1.0)]
        colour = colours[run_id]
        parts = (
            (curve.useful, "", {"mode": "lines", "line": {"color": colour, "width": 2}}),
            (ends, ", end", _markers(colour, "circle-open", 8)),
            ([curve.at(curve.applied)], ", as trained", _markers(colour, "diamond-open", 10)),
            ([curve.chosen_by(weight)], ", chosen weight", _markers(colour, "circle", 10)),
        )
        for points, meaning, look in parts:
            figure.add_scatter(
                **_points(points),
                **look,
                name=titles[run_id],
                legendgroup=run_id,
                showlegend=not meaning,
                hovertemplate=f"{_POINT}<extra>%{{fullData.name}}{meaning}</extra>",
            )
    figure.update_xaxes(title="accuracy", tickformat=".0%", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title="macro-recall", tickformat=".0%", gridcolor=GRID, zeroline=False)
    return style(figure, 420)


def _points(points: Sequence[TradeOff]) -> dict[str, list[float]]:
    return {
        "x": [point.accuracy for point in points],
        "y": [point.macro_recall for point in points],
        "customdata": [point.shift for point in points],
    }


def _markers(colour: str, symbol: str, size: int) -> dict[str, object]:
    return {"mode": "markers", "marker": {"color": colour, "symbol": symbol, "size": size}}
