"""Values of charts as tables."""

import numpy as np
import plotly.graph_objects as go

from fer_core.evaluation.report import Estimate
from fer_core.figures import charts
from fer_core.figures.chart_table import table_of, table_of_spec
from fer_core.figures.confusion import Normalisation, confusion_chart


def test_a_heatmap_becomes_its_rows_and_columns():
    table = table_of(charts.heatmap([[0.5, 1], [0, None]], ["happy", "sad"], ["a", "b<br>c"], ""))
    assert list(table.columns) == ["", "happy", "sad"]
    assert list(table[""]) == ["a", "b c"]
    assert table.loc[0, "happy"] == 0.5
    assert np.isnan(table.loc[1, "sad"])


def test_intervals_have_their_ends():
    estimates = {
        "a": Estimate(value=0.8, low=0.7, high=0.85),
        "b": Estimate(value=0.5, low=0.4, high=0.6),
    }
    figure = charts.interval_chart(
        estimates, {"a": "A", "b": "B"}, {"a": "#000000", "b": "#ffffff"}
    )
    table = table_of(figure)
    assert list(table.columns) == ["value", "value, low", "value, high", "name"]
    assert list(table["name"]) == ["B", "A"]
    ends = table.loc[1, ["value, low", "value, high"]].astype(float)
    np.testing.assert_allclose(ends, [0.7, 0.85])


def test_series_are_named_and_axes_give_the_columns_names():
    figure = go.Figure()
    figure.add_scatter(x=[1, 2], y=[3, 4], name="one")
    figure.add_scatter(x=[1], y=[5], name="two")
    figure.add_scatter(x=[1], y=[9], mode="text", text=["a label"])
    figure.update_layout(xaxis_title="epoch", yaxis_title="loss")
    table = table_of(figure)
    assert list(table.columns) == ["series", "epoch", "loss"]
    assert table.to_numpy().tolist() == [["one", 1, 3], ["one", 2, 4], ["two", 1, 5]]


def test_an_empty_figure_has_no_rows():
    assert table_of(go.Figure()).empty


def test_a_matrix_has_a_row_for_each_cell():
    matrix = np.array([[3, 1], [0, 2]])
    table = table_of_spec(confusion_chart(matrix, ["happy", "sad"], Normalisation.COUNTS))
    assert len(table) == 4
    cell = table[(table["true class"] == "happy") & (table["predicted class"] == "sad")]
    assert cell["count"].tolist() == [1]
    assert not {"head", "selected", "text", "second", "shade"} & set(table.columns)


def test_a_missing_value_ends_a_line_and_has_no_row():
    line = go.Figure(go.Scatter(x=["a", "b", "b", "c"], y=[0.1, 0.2, None, 0.3], name="run"))
    assert table_of(line).to_numpy().tolist() == [["a", 0.1], ["b", 0.2], ["c", 0.3]]
