"""Figures of the Trust page, by hand."""

import numpy as np

from fer_core.evaluation.calibration import reliability
from fer_core.evaluation.selective import risk_coverage
from fer_core.figures import trust
from tests.support.constructed import robustness_table

COLOURS = {"a": "#123456", "b": "#654321"}
TITLES = {"a": "Model A", "b": "Model B"}


def test_reliability_shows_each_bin_and_the_diagonal():
    confidence = np.array([0.9] * 2 * trust.DENSE + [0.7] * trust.DENSE + [0.6])
    right = np.arange(len(confidence)) % 2 == 0
    figure = trust.reliability_diagram({"a": reliability(confidence, right, bins=10)}, COLOURS)
    diagonal, line, model = figure.data
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]
    np.testing.assert_allclose(model.x, [0.6, 0.7, 0.9])
    np.testing.assert_allclose(model.y, [1.0, 0.5, 0.5])
    assert list(model.marker.symbol) == ["circle-open", "circle", "circle"]
    np.testing.assert_allclose(line.x, [0.7, 0.9])  # not through a bin of one image
    assert line.line.color == model.marker.color == "#123456"


def test_risk_coverage_ends_at_the_error_rate():
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([True, False]))
    (line,) = trust.risk_coverage_chart({"a": curve}, TITLES, COLOURS).data
    assert (line.x[-1], line.y[-1]) == (1, 0.5)
    assert line.name == "Model A"


def test_corruption_curves_start_clean_and_average():
    tables = {"a": robustness_table(0.9, (0.5, 0.4), (0.7, 0.2))}
    (mean,) = trust.corruption_curves(tables, TITLES, COLOURS).data
    assert list(mean.x) == [0, 1, 2]
    np.testing.assert_allclose(mean.y, [0.9, 0.6, 0.3])
    (blur,) = trust.corruption_curves(tables, TITLES, COLOURS, "blur").data
    np.testing.assert_allclose(blur.y, [0.9, 0.5, 0.4])
