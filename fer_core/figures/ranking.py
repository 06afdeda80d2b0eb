"""Charts of the uncertainty of the ranking."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fer_core.evaluation.ranking import Ranking
from fer_core.figures.charts import GRID, pair_heatmap, style
from fer_core.figures.palette import model_patterns

_LEAST_SHOWN = 0.005
"""Smaller probabilities of a place are not drawn."""


def place_bars(
    ranking: Ranking, titles: Mapping[str, str], colours: Mapping[str, str]
) -> go.Figure:
    """Draws the probability of each rank as stacked bars, one row per rank.

    Args:
        ranking: The order of runs.
        titles: Names by run id.
        colours: Colours by run id, of all runs of the benchmark.
    """
    patterns = model_patterns(list(colours))
    count = len(ranking.runs)
    figure = go.Figure()
    for row, run_id in enumerate(ranking.runs):
        chances = ranking.places[row]
        figure.add_bar(
            x=[float(chance) if chance >= _LEAST_SHOWN else None for chance in chances],
            y=list(range(1, count + 1)),
            orientation="h",
            name=titles[run_id],
            marker={
                "color": colours[run_id],
                "pattern": {"shape": patterns[run_id], "fillmode": "overlay", "size": 6},
            },
            hovertemplate="rank %{y}: %{x:.0%}<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(barmode="stack", legend_traceorder="normal")
    figure.update_xaxes(tickformat=".0%", range=[0, 1], gridcolor=GRID, title="probability")
    figure.update_yaxes(autorange="reversed", dtick=1, title="rank")
    return style(figure, 160 + 30 * count)


def beats_heatmap(ranking: Ranking, names: Sequence[str]) -> go.Figure:
    """Draws the probability that one run beats another, for each pair.

    Args:
        ranking: The order of runs.
        names: Shown names, in the order of the ranking.
    """
    return pair_heatmap(ranking.beats, names, "beats", share=True)
