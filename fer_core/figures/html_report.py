"""Benchmark report as one HTML file that opens without a server or a network."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from fer_core.evaluation.comparable import why_unranked
from fer_core.evaluation.leaderboard import BenchmarkResults, Entry
from fer_core.evaluation.leaderboard_columns import COLUMNS, Group, label_of
from fer_core.evaluation.persons import IMAGES
from fer_core.evaluation.scope import EVAL_SET_TITLES
from fer_core.evaluation.significance import p_text, paired_test_name
from fer_core.evaluation.verdict import Verdict
from fer_core.figures import charts, tables, trust
from fer_core.figures.confusion import Normalisation, normalise
from fer_core.figures.palette import model_colours
from fer_core.figures.verdict_html import verdict_section
from fer_core.files import write_text

_STYLE = """
:root { color-scheme: light dark; --ink: #23211d; --paper: #fbfaf7; --line: #dfdbd1; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceae5; --paper: #14171c; --line: #333944; }
  .js-plotly-plot :not(.heatmap-label, .bars *) > text { fill: #eceae5 !important; }
  .js-plotly-plot .hovertext text { fill: inherit !important; }
}
.js-plotly-plot .main-svg { background: transparent !important; } /* not in saved pictures */
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
p.verdict { font-size: 1.35rem; font-weight: 600; line-height: 1.4; }
code { font-size: .85em; }
summary { cursor: pointer; margin: .4rem 0; }
@page { size: A4; margin: 14mm; }
@media print {
  :root { color-scheme: light; --ink: #23211d; --paper: #ffffff; }
  .js-plotly-plot :not(.heatmap-label, .bars *) > text { fill: #23211d !important; }
  .modebar { display: none !important; }
  body { margin: 0; padding: 0; max-width: none; font-size: 12px; }
  .js-plotly-plot, tr, p.note, details.half { break-inside: avoid; }
  details.half { display: inline-block; width: 49%; }
  h2, h3 { break-after: avoid; }
  div.scroll { overflow: visible; }
  table { font-size: .72rem; line-height: 1.3; width: 100%; }
  table:has(th:nth-child(9)) { font-size: .6rem; }
  table:has(th:nth-child(11)) th:not(:first-child) { writing-mode: vertical-rl; text-align: end; }
  th, td { white-space: normal; padding: .15rem .25rem; position: static; }
  th:first-child, td:first-child { position: static; }
  td.short { white-space: nowrap; }
  td.long { overflow-wrap: anywhere; }
}
"""

_PRINTED_WIDTH = 680
"""Width of a printed chart in CSS pixels: A4 without its margins has 688."""

_PRINTED_HEIGHT = 860
"""Largest height of a printed chart: A4 without its margins has 1016, for heading and note too."""
_SHORT, _LONG = 12, 16
"""Characters: in a printed table, texts up to the first stay on one line, and words that are
longer than the second, such as lists of hashes, break anywhere."""

_SCRIPT = """
const charts = () => [...document.querySelectorAll(".js-plotly-plot")];
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    for (const chart of details.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(chart);
  });
}
let opened = [];
const heights = new Map(charts().map((chart) => [chart, chart.layout.height]));
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true;
  for (const chart of charts()) {
    const width = chart.closest("details.half") ? WIDTH / 2 - 10 : WIDTH;
    const height = Math.min(heights.get(chart), HEIGHT);
    Plotly.relayout(chart, { width, height, autosize: false });
  }
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
  for (const chart of charts()) {
    Plotly.relayout(chart, { width: null, height: heights.get(chart), autosize: true });
  }
});
""".replace("WIDTH", str(_PRINTED_WIDTH)).replace("HEIGHT", str(_PRINTED_HEIGHT))
"""A chart in a closed part has no width, and one on paper has the width of the paper, or half of
it. Closed parts are open while the page is printed."""

_AXIS = {"gridcolor": charts.GRID, "zerolinecolor": charts.GRID, "linecolor": charts.GRID}
_TEMPLATE = go.layout.Template(
    layout={
        "xaxis": {**_AXIS, "automargin": True, "title": {"standoff": 8}},
        "yaxis": {**_AXIS, "automargin": True, "title": {"standoff": 8}},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#23211d"},
        "paper_bgcolor": "#ffffff",
        "legend": {"bgcolor": "rgba(0,0,0,0)"},
    }
)
"""Defaults of the report's charts; plotly's own axes are white."""

Slices = Mapping[str, Sequence[str]]
"""Sample ids by the name of a saved slice."""


def write_report(
    path: Path,
    results: BenchmarkResults,
    verdict: Verdict | None = None,
    slices: Slices | None = None,
) -> None:
    """Writes the report atomically; see `render_report`.

    Raises:
        ArtifactError: If the file cannot be written.
    """
    write_text(path, render_report(results, verdict, slices))


def render_report(
    results: BenchmarkResults, verdict: Verdict | None = None, slices: Slices | None = None
) -> str:
    """Returns the report as one HTML page; it contains plotly once and no dataset images.

    It begins with the verdict and ends with the protocol.

    Args:
        results: The leaderboard.
        verdict: Heads the report; always on the full test set. None leaves it out.
        slices: Saved slices, which get a table of accuracies.
    """
    title = f"{results.info.title}: FERscope report"
    body = "\n".join(
        [*(verdict_section(verdict) if verdict else ()), *_sections(results, slices or {})]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{body}\n<script>{_SCRIPT}</script></body></html>\n"
    )


def _sections(results: BenchmarkResults, slices: Slices) -> Iterator[str]:
    if results.entries:
        yield from _results(results, slices)
    else:
        yield "<p>There are no runs to report.</p>"
    yield from _protocol(results)


def _protocol(results: BenchmarkResults) -> Iterator[str]:
    info = results.info
    within = f", only the images of the slice {results.within}" if results.within else ""
    yield "<h2>Protocol</h2>"
    yield _note(
        f"Benchmark {info.name}, split {info.split_hash}. Evaluated on: "
        f"{EVAL_SET_TITLES[results.eval_set]}{within}. Classes: {', '.join(results.labels)}. "
        f"{info.protocol}"
    )
    for warning in results.warnings:
        yield _note(f"Skipped run: {warning}")


def _results(results: BenchmarkResults, slices: Slices) -> Iterator[str]:
    entries = results.entries
    # plotly interprets some HTML in texts, so names are escaped for it as well
    every_run = results.every_entry
    titles = {entry.run_id: escape(entry.title) for entry in every_run}
    colours = model_colours([entry.run_id for entry in every_run])
    yield from _intervals(results, titles, colours)
    yield from _leaderboard(results)
    yield from _saved_slices(results, slices)
    yield from _seeds(results)
    yield from _classes(results, titles)
    yield from _calibration(entries, titles, colours)
    yield from _robustness(entries, titles, colours)
    yield from _cost(entries, titles, colours)
    yield from _training_curves(entries, titles, colours)
    yield from _significance(results, titles)
    yield from _provenance(every_run)


def _intervals(
    results: BenchmarkResults, titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    entries = results.entries
    estimates = {entry.run_id: entry.metrics.split.accuracy for entry in entries}
    yield "<h2>Accuracy with confidence intervals</h2>"
    yield _figure(charts.interval_chart(estimates, titles, colours), "accuracy")
    images = entries[0].metrics.split.samples
    over = "" if results.resampled == IMAGES else f" over {results.resampled}"
    yield _note(f"Accuracy on {images:,} images. Bars are 95% bootstrap intervals{over}.")


def _leaderboard(results: BenchmarkResults) -> Iterator[str]:
    entries = results.every_entry
    yield "<h2>Leaderboard</h2>"
    for group in Group:
        slugs = [slug for slug, column in COLUMNS.items() if column.group is group]
        slugs = [slug for slug in slugs if any(slug in entry.values for entry in results.entries)]
        if not slugs:
            continue
        table = tables.leaderboard_table(entries, slugs, intervals=("accuracy",))
        for slug in slugs:
            table[slug] = [COLUMNS[slug].text(value) for value in table[slug]]
        if group is Group.QUALITY:
            tiers = [results.tiers.get(entry.run_id, "not ranked") for entry in entries]
            table.insert(1, "tier", tiers)
        titles = {slug: label_of(slug) for slug in slugs}
        yield f"<h3>{escape(group)}</h3>"
        yield _table(table.rename(columns=titles | {"accuracy interval": "95% of accuracy"}))
        yield _note(" ".join(f"{label_of(slug)}: {COLUMNS[slug].help}" for slug in slugs))
    for entry in results.unranked:
        reason = why_unranked(entry.report, results.entries[0].report)
        yield _note(f"{entry.title} is not ranked: {reason}.")
    yield _note(tables.reading_note(entries))
    if uncalibrated := tables.uncalibrated_note(entries):
        yield _note(uncalibrated)
    if results.annotator_agreement is not None:
        yield _note(
            "One left-out annotator agrees with the majority of the others on "
            f"{results.annotator_agreement:.1%} of the same images."
        )


def _saved_slices(results: BenchmarkResults, slices: Slices) -> Iterator[str]:
    if results.aligned is None:
        return
    table = tables.slice_table(results.entries, results.aligned, slices)
    if table.empty:
        return
    titles = [entry.title for entry in results.entries]
    for name in table.columns[::2]:
        table[name] = [COLUMNS["accuracy"].text(value) for value in table[name]]
    table.insert(0, "model", titles)
    yield "<h2>Saved slices</h2>"
    yield _table(table.rename(columns=lambda name: name.replace(" interval", ", 95% (%)")))
    yield _note("Accuracy on saved slices; the number of images is in parentheses.")


def _seeds(results: BenchmarkResults) -> Iterator[str]:
    table = tables.seed_table(results)
    if table.empty:
        return
    yield "<h3>Over seeds</h3>"
    yield _table(tables.seed_text(table))
    yield _note("From and to: 95% bootstrap interval of the mean, over images and seeds together.")


def _significance(results: BenchmarkResults, titles: Mapping[str, str]) -> Iterator[str]:
    if not results.comparisons:
        return
    table = tables.significance_table(results.comparisons, titles)
    for column in ("p", "corrected p"):
        table[column] = [escape(p_text(value)) for value in table[column]]
    table["significant"] = table["significant"].map({True: "yes", False: "no"})
    significant = sum(comparison.significant for comparison in results.comparisons)
    yield "<h2>Pairwise tests</h2>"
    yield (
        f"<details><summary>{significant} of {len(results.comparisons)} pairs of models differ "
        "significantly</summary>"
    )
    yield _table(table, escaped=True)
    yield "</details>"
    yield _note(
        f"{paired_test_name(results.resampled)} with Holm's correction over all pairs, at the 5% "
        "level. Models of one tier do not differ significantly from the best model of that tier."
    )


def _classes(results: BenchmarkResults, titles: Mapping[str, str]) -> Iterator[str]:
    entries = results.every_entry
    recalls = {entry.run_id: entry.metrics.split.recalls for entry in entries}
    yield "<h2>Recall by class</h2>"
    yield _figure(charts.recall_heatmap(recalls, results.labels, titles), "recall")
    yield _note("Recall is the share of a class's images that the model classifies correctly.")
    yield "<h2>Confusion matrices</h2>"
    for entry in entries:
        shares = normalise(entry.metrics.split.matrix, Normalisation.BY_TRUTH)
        yield f'<details class="half"><summary>{titles[entry.run_id]}</summary>'
        yield _figure(charts.matrix_heatmap(shares, results.labels), f"matrix-{entry.run_id}")
        yield "</details>"
    yield _note("Rows are true classes, columns are predicted classes. Each row sums to 100%.")


def _calibration(
    entries: Sequence[Entry], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    by_title = {titles[run_id]: colour for run_id, colour in colours.items() if run_id in titles}
    yield "<h2>Calibration</h2>"
    curves = {titles[entry.run_id]: entry.evaluation.reliability for entry in entries}
    diagram = trust.reliability_diagram(curves, by_title, intervals=len(entries) == 1)
    yield _figure(diagram, "calibration")
    yield _note("Above the dotted line a model is underconfident, below it overconfident.")
    yield "<h2>Selective prediction</h2>"
    risk_coverage = {entry.run_id: entry.evaluation.risk_coverage for entry in entries}
    yield _figure(trust.risk_coverage_chart(risk_coverage, titles, colours), "risk-coverage")
    yield _note("Error rate when only the most confident predictions are kept.")


def _robustness(
    entries: Sequence[Entry], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    curves = {
        entry.run_id: entry.robustness_table
        for entry in entries
        if entry.robustness_table is not None
    }
    if not curves:
        return
    yield "<h2>Robustness to corruptions</h2>"
    yield _figure(trust.corruption_curves(curves, titles, colours), "robustness")
    yield _note("Mean accuracy over all corruptions, by severity.")
    shares = tables.corruption_table(entries, titles).T.map(COLUMNS["accuracy"].text)
    yield _table(shares.rename_axis("model").reset_index(), escaped=True)


def _cost(
    entries: Sequence[Entry], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    accuracy = {entry.run_id: entry.values["accuracy"] for entry in entries}
    for slug in ("latency_ms", "parameters_m"):
        cost = {
            entry.run_id: entry.values[slug] for entry in entries if entry.values.get(slug, 0) > 0
        }
        if cost:
            axes = (label_of(slug), label_of("accuracy"))
            yield f"<h2>Accuracy against {escape(label_of(slug))}</h2>"
            yield _figure(charts.cost_chart(cost, accuracy, titles, colours, axes), slug)


def _training_curves(
    entries: Sequence[Entry], titles: Mapping[str, str], colours: Mapping[str, str]
) -> Iterator[str]:
    histories = {entry.run_id: entry.history for entry in entries if entry.history is not None}
    if histories:
        yield "<h2>Training curves</h2>"
        yield _figure(charts.history_chart(histories, titles, colours, "accuracy"), "training")
        yield _note("Validation accuracy after each epoch. The run keeps its best epoch.")


def _provenance(entries: Sequence[Entry]) -> Iterator[str]:
    table = tables.provenance_table(entries).drop(columns="images")
    table.insert(0, "model", [entry.title for entry in entries])
    table["input (px)"] = [_input_size(entry) for entry in entries]
    table["created"] = table["created"].str[:10]
    yield "<h2>Provenance</h2>"
    yield _table(table)


def _input_size(entry: Entry) -> str:
    if entry.info.image_size is None:
        return "per member" if entry.info.members else "unknown"
    return str(entry.info.image_size)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _figure(figure: go.Figure, name: str) -> str:
    """Returns a chart as HTML; `name` is that of its saved picture."""
    text: str = go.Figure(figure, layout_template=_TEMPLATE).to_html(
        full_html=False,
        include_plotlyjs=False,
        config={
            "displaylogo": False,
            "responsive": True,
            "toImageButtonOptions": {"format": "svg", "filename": f"ferscope-{name}"},
        },
    )
    return text


def _table(table: pd.DataFrame, *, escaped: bool = False) -> str:
    """Returns an HTML table; `escaped` means that the cells are already HTML."""

    def cell(text: str, tag: str) -> str:
        longest = max(map(len, text.split()), default=0)
        mark = (
            ' class="long"' if longest > _LONG else ' class="short"' if len(text) <= _SHORT else ""
        )
        return f"<{tag}{mark}>{text if escaped else escape(text)}</{tag}>"

    def cells(values: Iterable[object], tag: str) -> str:
        return "".join(cell(str(value), tag) for value in values)

    rows = (f"<tr>{cells(row, 'td')}</tr>" for row in table.itertuples(index=False, name=None))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
        f"<table><thead><tr>{cells(table.columns, 'th')}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
