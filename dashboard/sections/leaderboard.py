"""The sections of the Leaderboard page."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import pages, theme
from dashboard.cache import results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.cache.results import Board
from dashboard.cache.slices import saved_slices
from dashboard.cache.verdict import verdict
from dashboard.components import chart, download, filters, pickers, run_facts, slices
from dashboard.components.columns import share_bar
from dashboard.components.text import plain
from dashboard.sections import run_notes
from dashboard.state import Key
from fer_core.evaluation.comparable import why_unranked
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.leaderboard import BenchmarkResults, Entry
from fer_core.evaluation.leaderboard_columns import (
    COLUMNS,
    DEFAULT_COLUMNS,
    Column,
    Group,
    Kind,
    label_of,
)
from fer_core.evaluation.persons import IMAGES
from fer_core.evaluation.scope import Scope
from fer_core.evaluation.significance import p_text, paired_test_name
from fer_core.figures import charts, tables
from fer_core.figures.html_report import render_report

METRICS: Mapping[str, str] = {"accuracy": "Accuracy", "macro_recall": "Macro-recall"}
PAIRS: Mapping[str, str] = {"kappa": "Agreement (kappa)", "complementarity": "Complementarity"}
_COUNTS_ERRORS = ("accuracy", "accuracy interval")
"""Columns whose values open the errors that they count."""

_PROTOCOL = ("images", "input (px)", "init", "seed", "split", "run")


def available_columns(entries: Sequence[Entry]) -> list[str]:
    """Returns the slugs of the columns that at least one run has, in the order of the table."""
    return [slug for slug in COLUMNS if any(slug in entry.values for entry in entries)]


def column_picker(benchmark: Benchmark, entries: Sequence[Entry]) -> list[str]:
    """Shows a picker of the table's columns, and returns their slugs."""
    slugs = available_columns(entries)
    name = benchmark.info.name
    return pickers.multi_select(
        "Columns",
        {slug: label_of(slug) for slug in slugs},
        [slug for slug in DEFAULT_COLUMNS if slug in slugs],
        Key.COLUMNS,
        help_text=f"Robustness and cost appear after `python -m training robustness {name}` and "
        f"`python -m training efficiency {name}`. Robustness is measured on test with all "
        "classes, so it is shown only for these.",
    )


def table(
    entries: Sequence[Entry], slugs: Sequence[str], tiers: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Returns one row per run with its protocol, in the order of the entries."""
    values = tables.leaderboard_table(entries, slugs, tiers)
    return values.join(tables.provenance_table(entries)[list(_PROTOCOL)])


def show(benchmark: Benchmark, rows: pd.DataFrame, key: str, on_slices: Sequence[str] = ()) -> None:
    """Shows a leaderboard table with a help text for each column; a picked row opens its run."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    pinned = not theme.on_phone()  # there, names would leave no room for the values
    config: dict[str, ColumnConfig] = {
        "rank": number("#", width=50, pinned=True),
        "tier": text(
            "tier",
            width="small",
            help="Models of one tier do not differ significantly from its best model (paired "
            "test, Holm's correction, 5%).",
        ),
        "model": text("model", pinned=pinned),
        "input (px)": number(format="%d", help="Side of the network's input."),
        "init": text("init", help="Initial weights."),
    }
    for index, slug in enumerate(tables.WITH_INTERVAL):
        # column titles must differ; a trailing blank is not visible
        config[f"{slug} interval"] = text(
            f"95% (%){' ' * index}", help=f"95% interval of {label_of(slug)}."
        )
    config |= {slug: _column_config(column) for slug, column in COLUMNS.items()}
    config |= {name: _slice_config(name) for name in on_slices}
    event = st.dataframe(
        rows,
        hide_index=True,
        key=key,
        column_config=config,
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
    )
    selection = event["selection"]
    if selection["rows"]:
        run_id = str(rows["run"].iloc[selection["rows"][0]])
        pages.switch_to("run", pages.run_query(benchmark.info.name, run_id))
    for row, column in selection["cells"]:
        query = _images_behind(column, on_slices)
        if query is not None:
            run_id = str(rows["run"].iloc[row])
            pages.switch_to("errors", pages.run_query(benchmark.info.name, run_id, query))


def _images_behind(column: str, on_slices: Sequence[str]) -> dict[str, str] | None:
    """Returns the query of the errors that a column counts; None if it counts no images."""
    if column in on_slices:
        title = column.removesuffix(" interval")
        return {Key.SLICE: title.rpartition(" (")[0]}
    return {} if column in _COUNTS_ERRORS else None


def _slice_config(name: str) -> ColumnConfig:
    title = name.removesuffix(" interval")
    if title != name:
        return st.column_config.TextColumn(
            f"95% of {title} (%)", help=f"95% Wilson interval of the accuracy on {plain(title)}."
        )
    return share_bar(
        title, "Accuracy on this saved slice; the number of its images is in parentheses."
    )


def _column_config(column: Column) -> ColumnConfig:
    direction = "Higher is better." if column.higher_is_better else "Lower is better."
    help_text = f"{column.help} {direction}"
    if column.kind is Kind.SHARE:
        return share_bar(column.label, help_text)
    number_format = "%.3f" if column.kind is Kind.NUMBER else "%.0f"
    if column.slug == "parameters_m":
        number_format = "%.1f"
    return st.column_config.NumberColumn(column.label, format=number_format, help=help_text)


def imported(entries: Sequence[Entry]) -> None:
    """Shows where imported models come from, their classes, and which runs are uncalibrated."""
    for entry in entries:
        if entry.info.trained_elsewhere:
            source = f"{entry.title} was imported from {entry.info.init_source}."
            note = f"{entry.info.note.rstrip('.')}." if entry.info.note else ""
            parts = [source, note, *entry.info.classes.notes()]
            st.caption(plain(" ".join(part for part in parts if part)))
    if uncalibrated := tables.uncalibrated_note(entries):
        st.caption(plain(uncalibrated))


def ranking(benchmark: Benchmark, board: Board) -> None:
    """Shows the ranked runs, the runs with another protocol, and the download buttons."""
    ranked, entries = board.results, board.results.entries
    slugs = column_picker(benchmark, entries)
    on_slices = _slice_columns(benchmark, board)
    every_run = ranked.every_entry
    tags = run_notes.tags_of(benchmark, every_run)
    left, right = st.columns(2)
    with left:
        parameters = run_notes.parameter_picker(every_run)
    with right:
        picked = run_notes.tag_filter(tags)
    rows = table(entries, slugs, ranked.tiers).join(on_slices)
    rows = run_notes.with_parameters(rows, parameters, tags, picked)
    show(benchmark, rows, key="ranked", on_slices=[str(name) for name in on_slices])
    _more_columns(len(available_columns(entries)) - len(slugs))
    st.caption(
        f"{filters.describe(board)}, split `{benchmark.info.split_hash}`, "
        f"{run_facts.protocol(entries)} "
        f"Intervals: 95%, bootstrap over {ranked.resampled}. Models of one tier do not differ "
        f"significantly from its best model ({paired_test_name(ranked.resampled)}, Holm's "
        "correction over all pairs, 5%). Tick a row to open the page of its run; click an "
        "accuracy, also on a slice, to see its errors."
    )
    st.caption(tables.reading_note(entries))
    if ranked.annotator_agreement is not None:
        st.caption(
            "For comparison: one left-out annotator agrees with the majority of the others on "
            f"**{ranked.annotator_agreement:.1%}** of these images. The column *human agreement* "
            "measures the models in the same way."
        )
    if ranked.unranked:
        st.markdown("**Measured under another protocol, or without some classes** (not ranked)")
        unranked = table(ranked.unranked, slugs)
        unranked = run_notes.with_parameters(unranked, parameters, tags, picked)
        show(benchmark, unranked, key="unranked")
        for entry in ranked.unranked:
            st.caption(plain(f"{entry.title}: {why_unranked(entry.report, entries[0].report)}."))
    with st.expander("Test readings: evaluations on the test set"):
        _test_readings(every_run)
    imported(every_run)
    _downloads(benchmark, board, slugs)


def _more_columns(hidden: int) -> None:
    """Says that there are columns that the table does not show."""
    if hidden:
        st.caption(
            f"{hidden} more columns can be picked above. The table scrolls to the right; its last "
            "columns are each run's protocol."
        )


def _slice_columns(benchmark: Benchmark, board: Board) -> pd.DataFrame:
    """Shows a picker of saved slices, and returns each run's accuracy on the picked ones."""
    saved = {item.name: item for item in saved_slices(benchmark)}
    if not saved:
        return pd.DataFrame(index=range(len(board.results.entries)))
    picked = pickers.multi_select(
        "Saved slices",
        {name: f"{name} ({len(item.sample_ids):,})" for name, item in saved.items()},
        [],
        Key.SLICES,
        help_text="Adds each model's accuracy on the evaluated images of a slice. To save a slice, "
        "use the button below a list of samples, such as that of the Error explorer.",
    )
    with st.expander("Manage slices"):
        slices.manage(benchmark)
    selected = {name: saved[name].sample_ids for name in picked}
    return tables.slice_table(board.results.entries, board.aligned, selected)


def _test_readings(entries: Sequence[Entry]) -> None:
    st.dataframe(tables.reading_table(entries), hide_index=True, key="test-readings")
    st.caption(
        "Every evaluation on test is counted in run.json as a reading. The lineage of a run is the "
        "run with earlier trainings of its id, the run that it started from, its teachers or "
        "members, and the ensembles that it is a member of. The last interval is valid for all "
        "these readings together, if no version was changed after a reading."
    )


def _downloads(benchmark: Benchmark, board: Board, slugs: Sequence[str]) -> None:
    ranked = board.results
    caption = (
        f"{benchmark.info.title}: {filters.describe(board)}, {run_facts.protocol(ranked.entries)} "
        f"Brackets: 95% bootstrap intervals over {ranked.resampled}. Models of one tier do not "
        f"differ significantly from its best model ({paired_test_name(ranked.resampled)}, Holm's "
        "correction)."
    )
    with st.container(horizontal=True):
        download.button(
            "Table (csv)",
            lambda: tables.leaderboard_csv(ranked.entries, list(COLUMNS), ranked.tiers),
            f"{benchmark.info.name}-leaderboard.csv",
        )
        download.button(
            "Table (LaTeX)",
            lambda: tables.leaderboard_latex(ranked.entries, slugs, ranked.tiers, caption),
            f"{benchmark.info.name}-leaderboard.tex",
            help="The columns shown above, with the package booktabs.",
        )
        download.button(
            "Report (html)",
            lambda: render_report(
                ranked,
                verdict(benchmark, Constraints(), ErrorCosts()),
                {saved.name: saved.sample_ids for saved in saved_slices(benchmark)},
            ),
            f"{benchmark.info.name}-report.html",
            icon=":material/lab_profile:",
            help="Everything on this page in one file that opens without a server. No pictures.",
        )


def intervals(benchmark: Benchmark, board: Board) -> None:
    """Shows a metric of every ranked run with its interval."""
    metric = pickers.switch("Metric", METRICS, Key.METRIC)
    estimates = {
        entry.run_id: getattr(entry.metrics.split, metric) for entry in board.results.entries
    }
    chart.show(
        figure(charts.interval_chart, estimates, benchmark.titles, benchmark.colours),
        "intervals",
        f"Each model's value on {filters.describe(board)} with its 95% interval. Where "
        "intervals overlap widely, the order may be due to chance.",
    )


def costs(benchmark: Benchmark, entries: Sequence[Entry]) -> None:
    """Shows accuracy against a cost, with the Pareto frontier."""
    slugs = [
        slug
        for slug in available_columns(entries)
        if COLUMNS[slug].group is Group.COST and not COLUMNS[slug].higher_is_better
    ]
    slugs.sort(
        key=lambda slug: slug != "latency_ms"
    )  # latency first: it matters most in production
    if not slugs:
        st.info("No cost of these runs is known.")
        return
    cost = pickers.select_box("Cost", slugs, Key.COST, shown=label_of)
    chart.show(
        figure(
            charts.cost_chart,
            {e.run_id: e.values[cost] for e in entries if e.values.get(cost, 0) > 0},
            {entry.run_id: entry.values["accuracy"] for entry in entries},
            benchmark.titles,
            benchmark.colours,
            (label_of(cost), label_of("accuracy")),
        ),
        "cost",
        "Accuracy by cost; up and to the left is better. Dotted line: the Pareto frontier, whose "
        "models alone are named on a narrow screen. Names that would cover others appear on hover.",
    )
    if len(slugs) == 1:
        st.info(
            "Latency, GFLOPs and memory are not measured yet. Measure them on an otherwise idle "
            f"machine: `python -m training efficiency {benchmark.info.name}`",
            icon=":material/timer:",
        )


def _test(over: str) -> str:
    """Returns what the paired test measures, in two sentences."""
    if over == IMAGES:
        return (
            "McNemar's exact test uses only the images that exactly one of the two models predicts "
            "correctly. p is the probability of a split at least as uneven if both models were "
            "equally accurate."
        )
    return (
        f"{paired_test_name(over)}, because their images resemble each other. p is the "
        "probability of a difference at least as large if both models were equally accurate."
    )


def pairs(benchmark: Benchmark, board: Board, scope: Scope) -> None:
    """Shows significance tests and agreement of all pairs of models."""
    st.subheader("Pairwise tests", anchor=False)
    rows = tables.significance_table(board.results.comparisons, benchmark.titles)
    for column in ("p", "corrected p"):
        rows[column] = rows[column].map(p_text)
    st.dataframe(rows, hide_index=True, key="pairs-table")
    st.caption(
        f"{_test(board.results.resampled)} The corrected p accounts for the number of pairs (Holm)."
    )
    st.subheader("Do models make the same mistakes?", anchor=False)
    kind = pickers.switch("Show", PAIRS, Key.PAIRS)
    agreement = results.agreement(benchmark, scope)
    names = [benchmark.titles[run_id] for run_id in agreement.runs]
    if kind == "kappa":
        chart.show(
            figure(charts.pair_heatmap, agreement.kappa, names, "agrees with"),
            "kappa",
            "Cohen's kappa of the predictions: 1 is full agreement, 0 is chance. An ensemble gains "
            "from accurate models that disagree.",
        )
    else:
        chart.show(
            figure(
                charts.pair_heatmap,
                agreement.complementarity,
                names,
                "has errors corrected by",
                share=True,
            ),
            "complementarity",
            "Share of the row model's errors that the column model predicts correctly.",
        )
    st.caption(
        f"Oracle accuracy: at least one model is right on {agreement.oracle_accuracy:.1%} of the "
        "images, the upper bound for selecting one of the predictions. All models are wrong on "
        f"{agreement.all_wrong:.1%}."
    )


def seeds(rows: pd.DataFrame) -> None:
    """Shows mean and standard deviation over seeds; nothing if no recipe has several seeds.

    Args:
        rows: Result of `tables.seed_table`.
    """
    if rows.empty:
        return
    st.subheader("Over seeds", anchor=False)
    st.dataframe(tables.seed_text(rows), hide_index=True, key="seeds")
    st.caption(
        "Accuracy of the same recipe trained with different random seeds. From and to are the 95% "
        "interval of the mean over images and seeds together; with few seeds it is too narrow. A "
        "difference between two models that is smaller than this spread may be due to the seed."
    )


def recalls(benchmark: Benchmark, ranked: BenchmarkResults) -> None:
    """Shows the recall of every run by class, ranked runs first."""
    every_run = ranked.every_entry
    chart.show(
        figure(
            charts.recall_heatmap,
            {entry.run_id: entry.metrics.split.recalls for entry in every_run},
            ranked.labels,
            benchmark.titles,
        ),
        "recall",
        "Recall: the share of a class's images that the model classifies correctly.",
    )


def training_curves(benchmark: Benchmark, entries: Sequence[Entry]) -> None:
    """Shows the training histories of runs that have one."""
    histories = {entry.run_id: entry.history for entry in entries if entry.history is not None}
    if not histories:
        st.info("None of these runs was trained here, so there are no curves.")
        return
    curve = pickers.switch("Curve", run_facts.CURVES, Key.CURVE)
    chart.show(
        figure(charts.history_chart, histories, benchmark.titles, benchmark.colours, curve),
        "curves",
        "Metrics after each epoch. A run keeps the weights of its best epoch on validation."
        + earlier_training(benchmark, [entry for entry in entries if entry.run_id in histories]),
    )


def earlier_training(benchmark: Benchmark, entries: Sequence[Entry]) -> str:
    """Returns which runs continue an earlier training, whose epochs are not in their curves."""
    continued = [
        plain(benchmark.titles[entry.run_id])
        for entry in entries
        if entry.info.init not in ("scratch", "")
    ]
    if not continued:
        return ""
    return (
        f" Epoch 1 is the first of the last training: {', '.join(continued)} started from other "
        "weights (see Provenance), whose epochs are not shown."
    )


def provenance(benchmark: Benchmark, entries: Sequence[Entry]) -> None:
    """Shows the provenance of each run, one expander per run, filled when it is open."""
    for entry in entries:
        opened = st.expander(
            plain(benchmark.titles[entry.run_id]),
            key=f"provenance-{entry.run_id}",
            on_change="rerun",
        )
        if opened.open:
            with opened:
                st.table(pd.Series(run_facts.facts(entry), name="value"))
                st.markdown("Resolved recipe")
                st.json(dict(entry.info.recipe), expanded=1)
