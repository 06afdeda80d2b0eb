"""Chart of predictions while a face changes gradually."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fer_core.data.whatif import Change
from fer_core.figures.charts import style
from fer_core.figures.palette import class_colour

_ROW = 34


def sweep_chart(
    rows: Mapping[str, NDArray[np.float64]], labels: Sequence[str], change: Change, now: float
) -> go.Figure:
    """Draws each model's prediction over the amounts of one change, one row per model.

    Args:
        rows: Probabilities at each amount by display name, in row order, shape (STEPS, K).
        labels: Class names.
        change: The change.
        now: Current amount.

    Returns:
        Squares in the colour of the predicted class; their size encodes confidence.
    """
    figure = go.Figure()
    amounts = change.amounts
    for name, probabilities in rows.items():
        best = probabilities.argmax(axis=1)
        confidence = probabilities.max(axis=1)
        tops = [labels[index] for index in best]
        figure.add_scatter(
            x=amounts,
            y=[name] * len(amounts),
            mode="markers",
            marker={
                "symbol": "square",
                "size": 8 + 18 * confidence,
                "color": [class_colour(top, labels) for top in tops],
            },
            customdata=np.stack([tops, confidence], axis=1, dtype=object),
            hovertemplate=f"%{{y}}<br>{change.title} %{{x:.2f}}: "
            "%{customdata[0]} %{customdata[1]:.0%}<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(x=now, line={"width": 1, "dash": "dot", "color": "#888"})
    figure.update_xaxes(title=f"{change.title} ({change.says})", fixedrange=True, zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True)
    return style(figure, 110 + _ROW * len(rows))
