"""A table of framing shifts with known accuracies."""

import pandas as pd

from fer_core.data.framing_shifts import FRAMING_SHIFTS

ACCURACIES = {
    "validation": (0.8, 0.8, 0.7, 0.6, 0.7, 0.5),
    "test": (0.9, 0.88, 0.85, 0.7, 0.8, 0.6),
}


def framing_table() -> pd.DataFrame:
    """Returns a table as `framing.parquet` holds it, on ten images per split."""
    rows = [
        (split, shift.change.value, shift.amount, accuracy)
        for split, accuracies in ACCURACIES.items()
        for shift, accuracy in zip(FRAMING_SHIFTS, accuracies, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["split", "change", "amount", "accuracy"])
    return table.assign(
        schema_version=1, images=10, seed=0, samples_hash="x", macro_recall=0.5, log_loss=1.0
    )
