"""A run that is retrained while it is measured."""

import pytest

from fer_core.artifacts import RunDir
from training.jobs.saved_predictions import SavedPredictions


def retrain_while_predicting(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes a later creation time to a run when its predictions are computed."""
    original = SavedPredictions.complete

    def meanwhile(*values):
        run.info().model_copy(update={"created": "2031-01-01T00:00:00+00:00"}).write(run.info_path)
        return original(*values)

    monkeypatch.setattr(SavedPredictions, "complete", meanwhile)
