"""A benchmark as one HTML file: opens without a server, and without a network."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from fer_core.evaluation.leaderboard import BenchmarkResults, Entry
from fer_core.evaluation.leaderboard_columns import MEASURES, Group, Kind
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.robustness import accuracy_table
from fer_core.evaluation.seeds import over_seeds
from fer_core.figures import charts, trust
from fer_core.figures.confusion import Normalisation, normalise
from fer_core.figures.palette import model_colours
from fer_core.files import atomic_path
from fer_core.records import shown_titles

_STYLE = """
:root { color-scheme: light dark; --ink: #23211d; --paper: #fbfaf7; --line: #dfdbd1; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceae5; --paper: #14171c; --line: #333944; }
  .js-plotly-plot text { fill: #eceae5 !important; }
  .js-plotly-plot .hovertext text { fill: inherit !important; }
}
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1100px; margin: 2.5rem auto; padding: 0 1.2rem; }
h1, h2 { font-family: Georgia, serif; font-weight: 600; letter-spacing: -.01em; }
h2 { margin-top: 2.6rem; } p.note { opacity: .75; font-size: .92rem; max-width: 46rem; }
div.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); }
code { font-size: .85em; }
"""

PART_NAMES: Mapping[str, str] = {
    "test": "Test",
    "test_leak_free": "Test, leak-free",
    "validation": "Validation",
    "test_second_label": "Test, second labels",
}
"""What a run is scored on, for people."""


def write_report(path: Path, results: BenchmarkResults) -> None:
    """Writes the report atomically.

    Raises:
        ArtifactError: If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(render_report(results), encoding="utf-8")


def render_report(results: BenchmarkResults) -> str:
    """Returns the report as one HTML page; plotly is in it once, pictures of a dataset never."""
    title = f"{results.info.title}: FERscope report"
    body = "\n".join(_sections(results))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{body}\n</body></html>\n"
    )


def written(name: str, value: float | None) -> str:
    """Returns a measure's value as people read it; a dash where it is not known."""
    if value is None or np.isnan(value):
        return "–"  # noqa: RUF001 (the dash of tables)
    kind = MEASURES[name].kind
    if kind is Kind.SHARE:
        return f"{value:.1%}"
    if kind is Kind.COUNT:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _sections(results: BenchmarkResults) -> Iterator[str]:
    info = results.info
    yield _note(
        f"Benchmark {info.name}, split {info.split_hash}. Scored on: {PART_NAMES[results.part]}; "
        f"classes: {', '.join(results.labels)}. {info.protocol}"
    )
    for warning in results.warnings:
        yield _note(f"Left out: {warning}")
    if not results.entries:
        yield "<p>There is no run to report on.</p>"
        return
    entries = results.entries
    # plotly reads a little HTML in texts, so names are escaped for it too
    named = shown_titles({entry.run_id: entry.info.title for entry in entries})
    titles = {run_id: escape(title) for run_id, title in named.items()}
    colours = model_colours([entry.run_id for entry in (*entries, *results.apart)])
    yield from _standings(results, titles, colours)
    yield from _classes(results, titles)
    yield from _trust(entries, titles, colours)
    yield from _cost(entries, titles, colours)
    histories = {e.run_id: e.history for e in entries if e.history is not None}
    if histories:
        yield "<h2>Training curves</h2>"
        yield _figure(charts.history_chart(histories, titles, colours, "accuracy"))
        yield _note("Validation accuracy after each epoch; the best epoch is the one that ships.")
    yield "<h2>How each run was made</h2>"
    yield _table(
        ["model", "run", "start", "seed", "input (px)", "split", "preprocessing", "commit", "made"],
        [
            [
                _title(entry),
                entry.run_id,
                entry.info.init,
                str(entry.info.seed),
                _side(entry),
                entry.report.protocol.split_hash,
                entry.info.preprocessing_hash,
                entry.info.git_commit or "unknown",
                entry.info.created,
            ]
            for entry in (*entries, *results.apart)
        ],
    )


def _standings(
    results: BenchmarkResults, titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    entries = results.entries
    estimates = {entry.run_id: entry.measured.split.accuracy for entry in entries}
    yield "<h2>How sure is the order</h2>"
    yield _figure(charts.interval_chart(estimates, titles, colours))
    images = entries[0].measured.split.samples
    yield _note(f"Accuracy on {images:,} images; the bar is the 95% bootstrap interval.")
    yield "<h2>Leaderboard</h2>"
    for group in Group:
        names = [name for name, measure in MEASURES.items() if measure.group is group]
        names = [name for name in names if any(name in entry.values for entry in entries)]
        if not names:
            continue
        quality = group is Group.QUALITY
        head = ["model", *(["band", "95% of accuracy"] if quality else []), *names]
        rows = []
        for entry in (*entries, *results.apart):
            row = [_title(entry)]
            if quality:
                band = results.tiers.get(entry.run_id, "other protocol")
                row += [band, _interval(entry.measured.split.accuracy)]
            rows.append(row + [written(name, entry.values.get(name)) for name in names])
        yield f"<h3>{escape(group)}</h3>"
        yield _table(head, rows)
        yield _note(" ".join(f"{name}: {MEASURES[name].help}" for name in names))
    if results.human is not None:
        yield _note(
            f"One annotator, set against what most of the others say on the same images, reaches "
            f"{results.human:.1%}."
        )
    families = over_seeds(
        {entry.run_id: entry.values["accuracy"] for entry in entries},
        {entry.run_id: entry.info.recipe for entry in entries},
    )
    if any(len(family.runs) > 1 for family in families):
        yield "<h3>Over seeds</h3>"
        yield _table(
            ["recipe", "seeds", "mean accuracy", "standard deviation", "lowest", "highest"],
            [
                [
                    family.family,
                    str(len(family.runs)),
                    f"{family.mean:.1%}",
                    "–" if family.deviation is None else f"{family.deviation:.2%}",  # noqa: RUF001
                    f"{family.low:.1%}",
                    f"{family.high:.1%}",
                ]
                for family in families
            ],
        )
    if results.comparisons:
        yield "<h2>Who beats whom</h2>"
        rows = []
        for item in sorted(results.comparisons, key=lambda item: item.adjusted):
            better, worse = item.ordered
            high, low = (
                max(item.only_first, item.only_second),
                min(item.only_first, item.only_second),
            )
            rows.append(
                [
                    titles[better],
                    titles[worse],
                    str(high),
                    str(low),
                    f"{item.p_value:.4f}",
                    f"{item.adjusted:.4f}",
                    "yes" if item.differs else "no",
                ]
            )
        yield _table(
            ["better", "than", "only it is right", "only the other", "p", "corrected p", "differ"],
            rows,
            escaped=True,
        )
        yield _note(
            "McNemar's exact paired test with Holm's correction over all pairs, at 5%. Models of "
            "one band cannot be told apart from its best."
        )


def _classes(results: BenchmarkResults, titles: Mapping[str, str]) -> Iterator[str]:
    recalls = {entry.run_id: entry.measured.split.recalls for entry in results.entries}
    yield "<h2>Recall by class</h2>"
    yield _figure(charts.recall_heatmap(recalls, results.labels, titles))
    yield _note("Of all images of an emotion, the share that the model found.")
    yield "<h2>Confusions</h2>"
    for entry in results.entries:
        shares = normalise(entry.measured.split.matrix, Normalisation.BY_TRUTH)
        yield f"<details><summary>{titles[entry.run_id]}</summary>"
        yield _figure(charts.matrix_heatmap(shares, results.labels))
        yield "</details>"
    yield _note("Rows are what the annotators said, columns what the model said, in shares.")


def _trust(
    entries: Sequence[Entry], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    by_title = {titles[run_id]: colour for run_id, colour in colours.items() if run_id in titles}
    yield "<h2>Calibration</h2>"
    curves = {titles[entry.run_id]: entry.reliability for entry in entries}
    yield _figure(trust.reliability_diagram(curves, by_title, intervals=len(entries) == 1))
    yield _note("Above the dotted line a model is right more often than it says, below less often.")
    yield "<h2>Answering only where sure</h2>"
    coverage = {entry.run_id: entry.coverage for entry in entries}
    yield _figure(trust.risk_coverage_chart(coverage, titles, colours))
    yield _note("Share of wrong answers if only the most confident images are answered.")
    tables = {entry.run_id: entry.corrupted for entry in entries if entry.corrupted is not None}
    if tables:
        yield "<h2>Corrupted pictures</h2>"
        yield _figure(trust.corruption_curves(tables, titles, colours))
        yield _note("Mean accuracy over all corruptions, by strength.")
        means = {run_id: accuracy_table(table).mean(axis=1) for run_id, table in tables.items()}
        names = sorted({name for mean in means.values() for name in mean.index})
        yield _table(
            ["corruption", *(titles[run_id] for run_id in means)],
            [
                [
                    escape(trust.corruption_title(name)),
                    *(f"{mean[name]:.1%}" if name in mean else "–" for mean in means.values()),  # noqa: RUF001
                ]
                for name in names
            ],
            escaped=True,
        )


def _cost(
    entries: Sequence[Entry], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    gain = {entry.run_id: entry.values["accuracy"] for entry in entries}
    for name in ("latency (ms)", "parameters (M)"):
        cost = {
            entry.run_id: entry.values[name] for entry in entries if entry.values.get(name, 0) > 0
        }
        if cost:
            yield f"<h2>Accuracy against {escape(name)}</h2>"
            yield _figure(charts.cost_chart(cost, gain, titles, colours, (name, "accuracy")))


def _side(entry: Entry) -> str:
    if entry.info.image_size is None:
        return "members'" if entry.info.members else "unknown"
    return str(entry.info.image_size)


def _title(entry: Entry) -> str:
    return entry.info.title


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _figure(figure: go.Figure) -> str:
    text: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displaylogo": False}
    )
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, escaped: bool = False) -> str:
    """An HTML table; `escaped` says that the cells are HTML already."""

    def cells(values: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{v if escaped else escape(v)}</{tag}>" for v in values)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
