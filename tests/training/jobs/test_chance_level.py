"""The warning about imported models at chance level."""

import pytest

from fer_core.evaluation.report import ClassMetrics, Estimate, SplitMetrics
from training.jobs.chance_level import chance_warning


def metrics(low: float) -> SplitMetrics:
    """100 images, 60 of them happy."""
    rows = [
        ClassMetrics(label=label, samples=samples, precision=None, recall=None, f1=None)
        for label, samples in (("angry", 40), ("happy", 60))
    ]
    estimate = Estimate(value=0.625, low=low, high=0.75)
    return SplitMetrics(
        samples=100, accuracy=estimate, macro_recall=estimate, log_loss=1.0, calibration_error=0.1,
        classes=tuple(rows), confusion=((20, 20), (20, 40)),
    )  # fmt: skip


@pytest.mark.parametrize(("low", "warns"), [(0.55, True), (0.6, True), (0.601, False)])
def test_a_model_whose_interval_reaches_the_most_frequent_class_is_warned_about(low, warns):
    warning = chance_warning(metrics(low), "another range of values (--mean)")
    assert (warning is not None) == warns
    if warning:
        assert "62.5% is not above that of always predicting happy, 60.0%" in warning
        assert "another range of values (--mean)" in warning
