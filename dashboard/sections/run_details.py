"""The sections of the Run page."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import pages
from dashboard.cache import benchmarks, inference, probes, results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.cache.results import Board
from dashboard.components import chart, download, filters, opening_table, run_facts
from dashboard.components.columns import percent_column
from dashboard.components.opening_table import TableTarget
from dashboard.components.text import percent, plain
from dashboard.state import Key
from fer_core.artifacts import RunDir
from fer_core.evaluation.comparable import why_unranked
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.leaderboard_columns import COLUMNS, Group
from fer_core.evaluation.scope import Scope
from fer_core.figures import charts, tables
from fer_core.figures.confusion import ANY, most_confused

WORST = 8
"""Number of confusions that are listed."""

DOWNLOAD_LIMIT = 200 * 1024**2
"""Largest file that the page offers, in bytes."""

_PAGES = ("confusion", "errors", "trust", "head_to_head", "features")


def summary(benchmark: Benchmark, board: Board, entry: Entry) -> None:
    """Shows the main results of a run in four numbers, and what it is."""
    split = entry.metrics.split
    ranks = [item.run_id for item in board.results.entries]
    cards = {
        "Accuracy": (percent(split.accuracy), tables.interval(split.accuracy)),
        "Macro-recall": (percent(split.macro_recall), tables.interval(split.macro_recall)),
        "Rank": (
            f"{ranks.index(entry.run_id) + 1} of {len(ranks)}"
            if entry.run_id in ranks
            else "not ranked",
            f"tier {board.results.tiers.get(entry.run_id, '')}".strip()
            if entry.run_id in ranks
            else f"not ranked: {why_unranked(entry.report, board.results.entries[0].report)}",
        ),
        "Latency": (
            f"{entry.values['latency_ms']:.0f} ms" if "latency_ms" in entry.values else "unknown",
            COLUMNS["latency_ms"].help,
        ),
    }
    for column, (label, (value, note)) in zip(st.columns(4), cards.items(), strict=True):
        column.metric(label, value, help=note, border=True)
    info = entry.info
    kind = f"{info.kind}, {info.family}" if info.family not in ("", info.kind) else info.kind
    st.caption(
        f"`{info.run_id}`: {plain(kind)}. Measured on {filters.describe(board)}; "
        f"{run_facts.protocol([entry])} Hover over the question marks for 95% intervals."
    )


def links(benchmark: Benchmark, run_id: str) -> None:
    """Shows links to the result pages with this run picked, and why it cannot predict if so."""
    can = inference.abilities(benchmark.run(run_id))
    if not can.predicts:
        st.caption(plain(can.reason))
    with st.container(horizontal=True):
        for name in _PAGES:
            if name == "features" and not can.has_layers:
                continue
            pages.link(name, query=pages.run_query(benchmark.info.name, run_id))


def drawn_faces(benchmark: Benchmark, run_id: str) -> None:
    """Shows what drawn faces show about a run; nothing if it was not probed."""
    if sentence := probes.sentence(benchmark.run(run_id)):
        st.markdown(f"**Drawn faces.** {plain(sentence)}")
        pages.link("response_curves", query=pages.run_query(benchmark.info.name, run_id))


def metrics(benchmark: Benchmark, board: Board, entry: Entry) -> None:
    """Shows every leaderboard value of a run, by topic, and its results by class."""
    left, right = st.columns(2, gap="large")
    with left:
        rows = [
            {"topic": str(group), "metric": column.label, "value": column.text(value)}
            for group in Group
            for slug, column in COLUMNS.items()
            if column.group is group and (value := entry.values.get(slug)) is not None
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="run-metrics")
    with right:
        classes = entry.metrics.split.classes
        table = pd.DataFrame(
            {
                "class": [row.label for row in classes],
                "images": [row.samples for row in classes],
                "recall": [row.recall.value if row.recall else np.nan for row in classes],
                "95% (%)": [tables.interval(row.recall) if row.recall else "" for row in classes],
                "precision": [
                    np.nan if row.precision is None else row.precision for row in classes
                ],
                "F1": [np.nan if row.f1 is None else row.f1 for row in classes],
            }
        )
        share = percent_column()

        def opens(number: int, column: str) -> TableTarget:
            name = classes[number].label
            cells = {"precision": (ANY, name), "recall": (name, name)}
            true, predicted = cells.get(column, (name, ANY))
            cell: pages.Query = {Key.TRUE: true, Key.PREDICTED: predicted}
            query = pages.run_query(benchmark.info.name, entry.run_id, cell)
            return TableTarget("confusion", query)

        opening_table.show(
            table,
            opens,
            "run-classes",
            dict.fromkeys(("recall", "precision", "F1"), share),
        )
        st.caption(opening_table.HINT)


def confusions(benchmark: Benchmark, board: Board, entry: Entry) -> None:
    """Lists the most frequent confusions, each a link to its images."""
    matrix = np.array(entry.metrics.split.confusion, dtype=np.int64)
    worst = most_confused(matrix, board.results.labels).head(WORST)
    if worst.empty:
        st.success("This run makes no error on these images.", icon=":material/check:")
        return
    for true, predicted, images, share in worst.itertuples(index=False):
        label = f"{true} predicted as {predicted}: {images:,} images, {share:.0%} of {true}"
        cell: pages.Query = {Key.TRUE: str(true), Key.PREDICTED: str(predicted)}
        query = pages.run_query(benchmark.info.name, entry.run_id, cell)
        pages.link("confusion", plain(label), query, icon="photo_library")


def curves(benchmark: Benchmark, scope: Scope, entry: Entry) -> None:
    """Shows the training curves of a run and of the runs that it was made from."""
    ids = [entry.run_id, *_ancestors(benchmark, entry.run_id)]
    histories = {
        run_id: history
        for run_id in ids
        if (history := benchmarks.history(benchmark.run(run_id))) is not None
    }
    if not histories:
        st.info("Neither this run nor any of its ancestors was trained here.")
        return
    columns = st.columns(2, gap="large")
    for index, (name, title) in enumerate(run_facts.CURVES.items()):
        with columns[index % 2]:
            chart.show(
                figure(charts.history_chart, histories, benchmark.titles, benchmark.colours, name),
                f"run-{name}",
                f"{title} after each epoch.",
            )
    if len(histories) > 1:
        st.caption(
            "The curves include those of the run's ancestors: the runs of its initial "
            "weights, its teachers and its members."
        )


def _ancestors(benchmark: Benchmark, run_id: str) -> list[str]:
    """Returns the ancestors of a run that are readable runs of its benchmark."""
    known = {run.run_id for run in benchmark.runs} - {run_id}
    ancestors = results.lineage(benchmark, run_id).ancestors.values()
    runs = dict.fromkeys(ancestor.run for ancestor in ancestors if ancestor.run is not None)
    return [name for home, name in runs if home == benchmark.info.name and name in known]


def provenance(entry: Entry) -> None:
    """Shows where a run comes from, and its recipe."""
    st.table(pd.Series(run_facts.facts(entry), name="value"))
    with st.expander("Resolved recipe"):
        st.json(dict(entry.info.recipe), expanded=2)


def files(directory: RunDir) -> None:
    """Shows the files of a run, each with a download button."""
    paths = (path for path in directory.root.iterdir() if path.is_file())
    for path in sorted(path for path in paths if not path.name.startswith(".")):
        size = path.stat().st_size
        text, button = st.columns([3, 1], vertical_alignment="center")
        text.markdown(f"`{path.name}`, {_size(size)}")
        if size <= DOWNLOAD_LIMIT:
            with button:
                download.button("Download", path.read_bytes, f"{directory.run_id}-{path.name}")
        else:
            button.caption("Too large for the browser.")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
