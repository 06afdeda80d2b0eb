"""The picture that a chart's camera button saves."""

import json

from streamlit.testing.v1 import AppTest


def page():
    from dashboard.components import chart
    from fer_core.evaluation.report import Estimate
    from fer_core.figures.charts import interval_chart

    estimates = {"a": Estimate(value=0.8, low=0.7, high=0.9)}
    figure = interval_chart(estimates, {"a": "A"}, {"a": "#000000"})
    chart.show(figure, "intervals", "Accuracy with its interval.")


def test_charts_are_saved_as_named_svg_on_the_background_of_the_theme():
    (chart,) = AppTest.from_function(page).run().get("plotly_chart")
    assert json.loads(chart.proto.config)["toImageButtonOptions"] == {
        "format": "svg",
        "filename": "ferscope-intervals",
    }
    assert "paper_bgcolor" not in json.loads(chart.proto.spec)["layout"]  # the theme gives it
