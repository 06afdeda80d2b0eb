"""Tables that the dashboard and the HTML report share, as data frames of unformatted values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fer_core.csv_text import csv_text
from fer_core.data.corruptions import CORRUPTIONS
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.corrected_labels import LabelComparison
from fer_core.evaluation.leaderboard import BenchmarkResults, Entry
from fer_core.evaluation.leaderboard_columns import COLUMNS
from fer_core.evaluation.regression import RegressionReport
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.robustness import mean_accuracies
from fer_core.evaluation.saved_slices import membership, slice_accuracies
from fer_core.evaluation.seeds import interval_over_seeds, seed_spreads
from fer_core.evaluation.significance import Comparison
from fer_core.evaluation.test_ledger import bonferroni_factor, widened

WITH_INTERVAL = ("accuracy", "macro_recall")
"""Columns of the leaderboard that are followed by their 95% interval."""


def corruption_title(name: str) -> str:
    """Returns the display name of a corruption; unknown names are returned unchanged."""
    return CORRUPTIONS[name].title if name in CORRUPTIONS else name


def interval(estimate: Estimate) -> str:
    """Returns a 95% interval in percent, such as `85.9 to 88.2`."""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def leaderboard_table(
    entries: Sequence[Entry],
    slugs: Sequence[str],
    tiers: Mapping[str, str] | None = None,
    *,
    intervals: Sequence[str] = WITH_INTERVAL,
) -> pd.DataFrame:
    """Returns one row per run, in the order of the entries.

    Args:
        entries: Results of at least one run.
        slugs: Columns, as in `leaderboard_columns.COLUMNS`.
        tiers: Tiers by run id, for the columns `rank` and `tier`; None leaves both out.
        intervals: Slugs whose intervals follow them, as `<slug> interval`.

    Returns:
        Values by slug (shares 0 to 1, NaN if missing), with `model` in front.
    """
    rows = []
    for rank, entry in enumerate(entries, start=1):
        row: dict[str, object] = {}
        if tiers is not None:
            row |= {"rank": rank, "tier": tiers.get(entry.run_id, "")}
        row["model"] = entry.title
        for slug in slugs:
            row[slug] = entry.values.get(slug, np.nan)
            if slug in intervals:
                row[f"{slug} interval"] = interval(getattr(entry.metrics.split, slug))
        rows.append(row)
    return pd.DataFrame(rows)


def slice_table(
    entries: Sequence[Entry], aligned: AlignedPredictions, slices: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Returns the accuracy of each run on saved slices, in the order of the entries.

    Args:
        entries: Results of the runs.
        aligned: Predictions of the ranked ones; the others get NaN.
        slices: Sample ids by the slice's name.

    Returns:
        Per slice its accuracy (0 to 1) and its 95% Wilson interval in percent. The column's name
        says how many of the evaluated images are in the slice; slices without any are left out.
    """
    columns: dict[str, list[object]] = {}
    for name, sample_ids in slices.items():
        inside = membership(aligned.ids, sample_ids)
        if (accuracies := slice_accuracies(aligned, inside)) is None:
            continue
        title = f"{name} ({int(inside.sum()):,})"
        estimates = [accuracies.get(entry.run_id) for entry in entries]
        columns[title] = [np.nan if estimate is None else estimate.value for estimate in estimates]
        columns[f"{title} interval"] = [
            "" if estimate is None else interval(estimate) for estimate in estimates
        ]
    return pd.DataFrame(columns, index=range(len(entries)))


def reading_note(entries: Sequence[Entry]) -> str:
    """Says how often test was read, and what that means for the intervals.

    Args:
        entries: Results of at least one run.
    """
    most = max(entry.test_readings.count for entry in entries)
    if most == 1:
        return "Test was read once in the lineage of each run."
    return (
        f"Test was read up to {most} times in the lineage of a run (column test readings). A 95% "
        "interval holds for a model that was fixed before test was read. If the best of "
        f"{most} versions that were fixed beforehand is kept, Bonferroni's correction needs "
        f"intervals that are {bonferroni_factor(most):.2f} times as wide. If versions were changed "
        "after a reading, even these can be too narrow (Dwork et al. 2015)."
    )


def uncalibrated_note(entries: Sequence[Entry]) -> str:
    """Names the runs without a temperature, whose probabilities are uncalibrated; may be empty."""
    titles = [entry.title for entry in entries if "temperature" not in entry.values]
    if not titles:
        return ""
    return (
        f"Uncalibrated: {', '.join(titles)}. Without validation predictions of these classes, no "
        "temperature is fitted."
    )


def reading_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Returns how often test was read in each run's lineage, in the order of the entries.

    Returns:
        Columns `model`, `by this run`, `in its lineage` (with `at least` if ancestors are gone),
        `95%` (the interval of the accuracy), `95% for all readings` (Bonferroni) and `read by`.
    """
    return pd.DataFrame(
        {
            "model": entry.title,
            "by this run": readings.by_itself,
            "in its lineage": f"{'at least ' if readings.unknown else ''}{readings.count}",
            "95%": interval(accuracy),
            "95% for all readings": interval(widened(accuracy, readings.count)),
            "read by": ", ".join(f"{run_id} {count}" for run_id, count in readings.by_run.items()),
        }
        for entry in entries
        if (readings := entry.test_readings) and (accuracy := entry.metrics.split.accuracy)
    )


def leaderboard_csv(
    entries: Sequence[Entry], slugs: Sequence[str], tiers: Mapping[str, str] | None = None
) -> str:
    """Returns the table of `leaderboard_numbers` as csv."""
    return csv_text(leaderboard_numbers(entries, slugs, tiers), "%.6g")


def leaderboard_numbers(
    entries: Sequence[Entry], slugs: Sequence[str], tiers: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Returns the leaderboard for programs: every value a number in its own column.

    Shares are from 0 to 1, as are the ends of the intervals, `<slug>_low` and `<slug>_high`. The
    protocol of each run follows.
    """
    table = leaderboard_table(entries, slugs, tiers, intervals=())
    for slug in WITH_INTERVAL:
        if slug not in table:
            continue
        estimates = [getattr(entry.metrics.split, slug) for entry in entries]
        after = list(table.columns).index(slug) + 1
        table.insert(after, f"{slug}_low", [estimate.low for estimate in estimates])
        table.insert(after + 1, f"{slug}_high", [estimate.high for estimate in estimates])
    return table.join(provenance_table(entries))


def leaderboard_latex(
    entries: Sequence[Entry], slugs: Sequence[str], tiers: Mapping[str, str], caption: str
) -> str:
    """Returns the leaderboard as a LaTeX table, which needs the package booktabs.

    Accuracy and macro-recall have their 95% intervals. Columns without any value are left out.

    Args:
        entries: Results of at least one run.
        slugs: Columns, as in `leaderboard_columns.COLUMNS`.
        tiers: Tiers by run id.
        caption: Caption of the table, such as the protocol.
    """
    values = leaderboard_table(entries, slugs, intervals=())
    rows: dict[str, list[str]] = {"model": [entry.title for entry in entries]}
    for slug in (slug for slug in slugs if values[slug].notna().any()):
        rows[COLUMNS[slug].label] = [
            getattr(entry.metrics.split, slug).text
            if slug in WITH_INTERVAL
            else COLUMNS[slug].text(value)
            for entry, value in zip(entries, values[slug], strict=True)
        ]
    rows["tier"] = [tiers.get(entry.run_id, "") for entry in entries]
    escaped = latex_text(caption)
    return pd.DataFrame(rows).to_latex(index=False, escape=True, caption=escaped, position="t")


def latex_text(text: str) -> str:
    """Returns text in which LaTeX's special characters are escaped, without Markdown's marks."""
    plain = text.replace("`", "").replace("**", "").replace("\\", "")
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in plain)


def provenance_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Returns the protocol and origin of each run, in the order of the entries."""
    return pd.DataFrame(
        {
            "images": entry.metrics.split.samples,
            "input (px)": entry.info.image_size,
            "init": entry.info.init,
            "seed": entry.info.seed,
            "split": entry.report.protocol.split_hash,
            "preprocessing": entry.info.preprocessing_hash,
            "commit": entry.info.git_commit or "unknown",
            "created": entry.info.created,
            "run": entry.run_id,
        }
        for entry in entries
    )


def significance_table(
    comparisons: Sequence[Comparison], titles: Mapping[str, str]
) -> pd.DataFrame:
    """Returns one row for each pair of models, most significant first.

    Args:
        comparisons: Paired tests.
        titles: Display names by run id.
    """
    return pd.DataFrame(
        {
            "better": titles[item.ordered[0]],
            "worse": titles[item.ordered[1]],
            "only the better is right": max(item.only_first, item.only_second),
            "only the worse is right": min(item.only_first, item.only_second),
            "p": item.p_value,
            "corrected p": item.adjusted,
            "significant": item.significant,
        }
        for item in sorted(comparisons, key=lambda item: item.adjusted)
    )


def regression_table(
    reports: Mapping[str, RegressionReport], titles: Mapping[str, str]
) -> pd.DataFrame:
    """Returns one row per target, run, and frames or clips of test, lowest error of a target first.

    Args:
        reports: Reports of regression heads by run id.
        titles: Display names by run id.

    Returns:
        Columns `target`, `model`, `over` (`frames` or `clips`), `count`, `MAE`, `RMSE` and
        `concordance`, each with its `95%` interval as text, and `MAE of the mean`.
    """
    rows = [
        {
            "target": name,
            "model": titles[run_id],
            "over": kind,
            "count": metrics.count,
            "MAE": metrics.mae.value,
            "MAE 95%": _ends(metrics.mae),
            "RMSE": metrics.rmse.value,
            "RMSE 95%": _ends(metrics.rmse),
            "concordance": np.nan if metrics.concordance is None else metrics.concordance.value,
            "concordance 95%": "" if metrics.concordance is None else _ends(metrics.concordance),
            "MAE of the mean": metrics.mae_of_mean,
        }
        for run_id, report in reports.items()
        for name, target in report.targets.items()
        for split, kind, metrics in target.rows()
        if split == "test"
    ]
    table = pd.DataFrame(rows)
    return table if table.empty else table.sort_values(["target", "over", "MAE"], kind="stable")


def _ends(estimate: Estimate) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def seed_text(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table of `seed_table` with shares as text in percent."""
    text = table.copy()
    for column in ("mean accuracy", "from", "to", "lowest", "highest"):
        text[column] = table[column].map("{:.1%}".format)
    text["standard deviation"] = table["standard deviation"].map("{:.2%}".format)
    return text


def seed_table(results: BenchmarkResults) -> pd.DataFrame:
    """Returns mean and spread of the accuracy of recipes that were trained with several seeds.

    `from` and `to` are the 95% interval of the mean over images and seeds together.
    """
    spreads = seed_spreads(
        {entry.run_id: entry.values["accuracy"] for entry in results.entries},
        {entry.run_id: entry.info.recipe for entry in results.entries},
    )
    rows = []
    for spread in spreads:
        if len(spread.runs) == 1 or results.aligned is None:
            continue
        seeds = [results.aligned.row(run_id) for run_id in spread.runs]
        low, high = interval_over_seeds(results.aligned.right[seeds])
        rows.append(
            {
                "recipe": spread.family,
                "seeds": len(spread.runs),
                "mean accuracy": spread.mean,
                "from": low,
                "to": high,
                "standard deviation": spread.deviation,
                "lowest": spread.low,
                "highest": spread.high,
            }
        )
    return pd.DataFrame(rows)


def corruption_table(entries: Sequence[Entry], titles: Mapping[str, str]) -> pd.DataFrame:
    """Returns mean accuracy over severities, one row per corruption and one column per model.

    Runs without a robustness table are left out; the result is empty if there is none.
    """
    table = mean_accuracies(
        {
            titles[entry.run_id]: entry.robustness_table
            for entry in entries
            if entry.robustness_table is not None
        }
    )
    table.index = pd.Index([corruption_title(str(name)) for name in table.index])
    return table


def label_comparison_table(comparison: LabelComparison) -> pd.DataFrame:
    """Returns test accuracy under the given and the corrected labels, one row per run.

    Returns:
        Columns `model`, `trained on` (the benchmark), and for each labelling the rank (1 is best),
        accuracy (0 to 1, NaN if missing) and interval; last the `difference`.
    """
    table = pd.DataFrame(
        {
            "model": row.title,
            "trained on": row.benchmark,
            "given labels": row.base_accuracy.value if row.base_accuracy else np.nan,
            "given interval": interval(row.base_accuracy) if row.base_accuracy else "",
            "corrected labels": row.corrected_accuracy.value if row.corrected_accuracy else np.nan,
            "corrected interval": interval(row.corrected_accuracy)
            if row.corrected_accuracy
            else "",
        }
        for row in comparison.runs
    )
    if table.empty:
        return table
    for name in ("given", "corrected"):
        ranked = table[f"{name} labels"].rank(ascending=False, method="min").astype("Int64")
        position = list(table.columns).index(f"{name} labels")
        table.insert(position, f"{name} rank", ranked)
    return table.assign(difference=table["corrected labels"] - table["given labels"])
