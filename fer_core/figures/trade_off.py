"""Charts of accuracy against macro-recall by prior shift."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fer_core.evaluation.prior_shift import PriorCurves, TradeOff
from fer_core.figures.charts import GRID, style
from fer_core.figures.palette import model_dashes, model_symbols

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
        weight: Weight of macro-recall against accuracy, 0 to 1; its points are filled.
        titles: Display names by run id.
        colours: Colours by run id, of all runs of the benchmark.
    """
    dashes, symbols = model_dashes(list(colours)), model_symbols(list(colours))
    figure = go.Figure()
    for run_id, curve in curves.items():
        ends = [curve.chosen_by(0.0), curve.chosen_by(1.0)]
        colour, symbol = colours[run_id], symbols[run_id]
        line = {"color": colour, "width": 2, "dash": dashes[run_id]}
        trained, chosen = curve.at(curve.applied), curve.chosen_by(weight)
        parts = (
            (curve.useful, "", {"mode": "lines", "line": line}),
            (ends, ", end", _markers(colour, f"{symbol}-open", 8)),
            ([trained], ", as trained", _markers(colour, f"{symbol}-open-dot", 12)),
            ([chosen], ", chosen weight", _markers(colour, symbol, 10)),
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
