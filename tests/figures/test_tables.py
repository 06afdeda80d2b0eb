"""Tables that the dashboard and the report share."""

import io

import pandas as pd

from fer_core.evaluation.leaderboard import read_results
from fer_core.figures.tables import leaderboard_csv


def test_the_csv_holds_one_number_a_column(toy):
    entries = read_results(toy.benchmark).entries
    text = leaderboard_csv(entries, ["accuracy", "macro_recall"])
    table = pd.read_csv(io.StringIO(text))
    assert list(table.columns[:7]) == [
        "model", "accuracy", "accuracy_low", "accuracy_high",
        "macro_recall", "macro_recall_low", "macro_recall_high",
    ]  # fmt: skip
    assert table["accuracy"].tolist() == [
        float(f"{entry.values['accuracy']:.6g}") for entry in entries
    ]
    for metric in ("accuracy", "macro_recall"):
        low, high = table[f"{metric}_low"], table[f"{metric}_high"]
        assert ((low >= 0) & (low <= table[metric]) & (table[metric] <= high) & (high <= 1)).all()
    assert " to " not in text
