"""Chart of the labelling view: P(run is best) and accuracy with its interval, run by run."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_core.evaluation.few_labels.accuracy import AccuracyEstimates
from fer_core.evaluation.few_labels.selection import Selection

_BAR, _POINT = "#0b7a5c", "#D55E00"
_ROW, _AXES = 26, 90


def selection_chart(
    titles: Sequence[str], selection: Selection, accuracies: AccuracyEstimates
) -> go.Figure:
    """Returns bars of P(best) beside accuracies with 95% intervals, most probable run on top.

    Args:
        titles: Display name of each run.
        selection: Probability that each run is best.
        accuracies: Accuracies of the runs.
    """
    order = sorted(range(len(titles)), key=lambda run: (selection.probability_best[run],
                                                        selection.expected[run]))  # fmt: skip
    names = [titles[run] for run in order]
    best = [float(selection.probability_best[run]) for run in order]
    value = [float(accuracies.value[run]) for run in order]
    below = [float(accuracies.value[run] - accuracies.low[run]) for run in order]
    above = [float(accuracies.high[run] - accuracies.value[run]) for run in order]
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    figure.add_bar(
        x=best,
        y=names,
        orientation="h",
        marker_color=_BAR,
        text=[f"{share:.0%}" for share in best],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: best with probability %{x:.1%}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=value,
        y=names,
        mode="markers",
        marker={"color": _POINT, "size": 8},
        error_x={"type": "data", "array": above, "arrayminus": below, "thickness": 1.6},
        hovertemplate="%{y}: accuracy %{x:.1%}<extra></extra>",
        row=1,
        col=2,
    )
    _set_axes(figure, len(names))
    return figure


def _set_axes(figure: go.Figure, rows: int) -> None:
    # on a phone, the last number of the left axis would touch the first one of the right axis
    left, right = {"range": [0, 1.15], "tickvals": [0, 0.5]}, {"range": [0, 1]}
    figure.update_xaxes(tickformat=".0%", tickvals=[0, 0.5, 1])
    figure.update_xaxes(title="probability<br>of being best", col=1, **left)
    figure.update_xaxes(title="accuracy", col=2, **right)
    figure.update_layout(
        height=_ROW * rows + _AXES,
        margin={"l": 0, "r": 8, "t": 8, "b": 40},
        showlegend=False,
    )
