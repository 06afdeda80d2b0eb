"""Figures of the Trust page, by hand."""

import numpy as np
import pandas as pd

from fer_core.evaluation.calibration import reliability
from fer_core.evaluation.robustness import CLEAN
from fer_core.evaluation.selective import risk_coverage
from fer_core.figures import trust

COLOURS = {"a": "#123456", "b": "#654321"}


TITLES = {"a": "Model A", "b": "Model B"}


def corrupted(accuracy: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "corruption": [CLEAN, "blur", "blur", "noise", "noise"],
            "severity": [0, 1, 2, 1, 2],
            "images": 10,
            "seed": 0,
            "samples_hash": "abc",
            "accuracy": [0.9, accuracy, 0.4, 0.7, 0.2],
            "macro_recall": 0.5,
            "log_loss": 1.0,
        }
    )


def test_reliability_shows_each_bin_and_the_diagonal():
    curve = reliability(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]), bins=10)
    figure = trust.reliability_diagram({"a": curve}, COLOURS)
    honest, model = figure.data
    assert list(honest.x) == list(honest.y) == [0, 1]
    np.testing.assert_allclose(model.x, [0.6, 0.9])
    np.testing.assert_allclose(model.y, [1.0, 0.5])
    assert model.line.color == "#123456"


def test_risk_coverage_ends_at_the_error_rate():
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([True, False]))
    (line,) = trust.risk_coverage_chart({"a": curve}, TITLES, COLOURS).data
    assert (line.x[-1], line.y[-1]) == (1, 0.5)
    assert line.name == "Model A"


def test_corruption_curves_start_clean_and_average():
    (mean,) = trust.corruption_curves({"a": corrupted()}, TITLES, COLOURS).data
    assert list(mean.x) == [0, 1, 2]
    np.testing.assert_allclose(mean.y, [0.9, 0.6, 0.3])
    (blur,) = trust.corruption_curves({"a": corrupted()}, TITLES, COLOURS, "blur").data
    np.testing.assert_allclose(blur.y, [0.9, 0.5, 0.4])
