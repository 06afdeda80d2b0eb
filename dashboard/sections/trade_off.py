"""Accuracy against macro-recall by prior shift on the Leaderboard page."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboard.cache import results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.components import chart
from dashboard.components.columns import percent_column
from dashboard.state import BIND, Key
from fer_core.evaluation.prior_shift import PriorCurves
from fer_core.evaluation.scope import Scope
from fer_core.figures.trade_off import trade_off_chart

_WEIGHT = 50


def trade_off(benchmark: Benchmark, scope: Scope) -> None:
    """Shows what each run's macro-recall costs in accuracy, and the best point at a weight."""
    curves = results.prior_curves(benchmark, scope)
    if not curves:
        st.info("No validation image has these classes. Select other classes in the sidebar.")
        return
    weight = st.slider(
        "Weight of macro-recall (%)",
        0,
        100,
        _WEIGHT,
        5,
        key=Key.WEIGHT,
        bind=BIND,
        width=420,
        help="At 0 only accuracy counts, at 100 only macro-recall. The prior shift (post-hoc logit "
        "adjustment) with the highest weighted mean of both on validation is chosen.",
    )
    chart.show(
        figure(trade_off_chart, curves, weight / 100, benchmark.titles, benchmark.colours),
        "trade-off",
        "Accuracy and macro-recall of each model as its prior shift (post-hoc logit adjustment) "
        "varies, from the highest accuracy to the highest macro-recall (open symbols). Symbol with "
        "a dot: as trained. Solid symbol: at the weight above. Shifts are chosen on validation; "
        "values are those of the scored images. No retraining is needed.",
    )
    percent = percent_column()
    st.dataframe(
        _table(curves, weight / 100, benchmark.titles),
        hide_index=True,
        key="trade-off",
        column_config={
            "trained shift": st.column_config.NumberColumn(
                format="%.2f", help="Strength of the prior shift that is stored with the run."
            ),
            "shift": st.column_config.NumberColumn(
                format="%.2f", help="Best strength on validation at this weight."
            ),
            **dict.fromkeys(_SHARES, percent),
        },
    )


_SHARES = (
    "accuracy as trained",
    "macro-recall as trained",
    "accuracy",
    "macro-recall",
)


def _table(
    curves: Mapping[str, PriorCurves], weight: float, titles: Mapping[str, str]
) -> pd.DataFrame:
    """Returns one row per run, the highest weighted mean first."""
    ranked = sorted(curves.items(), key=lambda item: -item[1].chosen_by(weight).utility(weight))
    return pd.DataFrame(
        {
            "model": titles[run_id],
            "trained shift": curve.applied,
            "accuracy as trained": curve.at(curve.applied).accuracy,
            "macro-recall as trained": curve.at(curve.applied).macro_recall,
            "shift": curve.chosen_by(weight).shift,
            "accuracy": curve.chosen_by(weight).accuracy,
            "macro-recall": curve.chosen_by(weight).macro_recall,
        }
        for run_id, curve in ranked
    )
