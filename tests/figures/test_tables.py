"""Tables that the dashboard and the report share."""

import io

import pandas as pd
import pytest

from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.seeds import interval_over_seeds
from fer_core.figures.tables import (
    leaderboard_csv,
    leaderboard_latex,
    leaderboard_table,
    reading_table,
    seed_table,
    seed_text,
)


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


def test_the_latex_table_has_intervals_tiers_and_an_escaped_caption(toy):
    results = read_results(toy.benchmark)
    text = leaderboard_latex(
        results.entries, ["accuracy", "log_loss", "mce"], results.tiers, "`toy_1`: 95% of **all**"
    )
    assert "\\caption{toy\\_1: 95\\% of all}" in text
    lines = text.splitlines()
    start = lines.index("\\midrule") + 1
    assert lines[start - 2] == "model & accuracy & log loss & tier \\\\"  # mCE has no value
    first = results.entries[0]
    accuracy = first.metrics.split.accuracy.text.replace("%", "\\%")
    loss = f"{first.values['log_loss']:.3f}"
    title = first.title.replace("_", "\\_")
    assert lines[start].startswith(f"{title} & {accuracy} & {loss} & ")
    assert len(lines[start : lines.index("\\bottomrule")]) == len(results.entries)


def test_runs_with_the_same_title_have_different_names_in_tables(toy):
    entries = read_results(toy.benchmark).entries
    same = {entry.title for entry in entries if entry.info.title == "EfficientNet-Lite0"}
    ids = ("efficientnet_lite0-cpu-s0", "resnet34-cpu-s0")
    assert same == {f"EfficientNet-Lite0 ({run_id})" for run_id in ids}
    for table in (leaderboard_table(entries, ["accuracy"]), reading_table(entries)):
        assert table["model"].is_unique
        assert same < set(table["model"])


def test_seeds_of_a_recipe_are_one_row_with_their_interval(toy):
    results = read_results(toy.benchmark)
    table = seed_table(results)
    (row,) = table.to_dict("records")
    entries = [entry for entry in results.entries if entry.run_id.startswith(row["recipe"])]
    assert (row["recipe"], row["seeds"], len(entries)) == ("efficientnet_lite0-cpu", 2, 2)
    accuracies = [entry.values["accuracy"] for entry in entries]
    assert row["mean accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert (row["lowest"], row["highest"]) == (min(accuracies), max(accuracies))
    right = results.aligned.right[[results.aligned.row(entry.run_id) for entry in entries]]
    assert (row["from"], row["to"]) == interval_over_seeds(right)
    assert row["from"] < row["mean accuracy"] < row["to"]
    (text,) = seed_text(table).to_dict("records")
    assert text["mean accuracy"] == f"{row['mean accuracy']:.1%}"  # rounded, not cut off
    assert text["standard deviation"] == f"{row['standard deviation']:.2%}"
    assert (text["recipe"], text["seeds"]) == (row["recipe"], 2)
