"""The benchmark in short: images, models, protocol and where to go next."""

import streamlit as st

from dashboard import pages
from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.components import chart, gallery
from dashboard.components.text import percent, plain
from fer_core.evaluation.comparable import comparable_runs
from fer_core.figures import charts
from fer_core.figures.tables import interval


def summary(benchmark: Benchmark) -> None:
    """Shows counts, the accuracy of all models and links to the pages with more."""
    info = benchmark.info
    ranked = comparable_runs({run.run_id: run.report for run in benchmark.runs}, info.split_hash)
    compared = [run for run in benchmark.runs if run.run_id in ranked]
    apart = [run for run in benchmark.runs if run.run_id not in ranked]
    lacking = [benchmark.titles[run.run_id] for run in apart if run.report.protocol.missing_classes]
    totals = {split: sum(counts.values()) for split, counts in info.counts.items()}
    best = compared[0].report.test.accuracy
    by_split = ", ".join(f"{split} {total:,}" for split, total in totals.items())
    with st.container(horizontal=True):
        _metric("Images", f"{sum(totals.values()):,}", by_split)
        _metric("Classes", str(len(info.labels)), ", ".join(info.labels))
        _metric("Models compared", str(len(compared)), "Finished runs with the same protocol.")
        _metric(
            "Best test accuracy",
            percent(best),
            f"{benchmark.titles[compared[0].run_id]}; 95% interval {interval(best)} %",
        )
    with st.container(horizontal=True):
        pages.described_link("leaderboard", "all metrics, with intervals")
        pages.described_link("confusion", "click a cell to see its faces")
        pages.described_link("head_to_head", "two models, image by image")
        pages.described_link("compare", "all models on your own face")
    chart.show(
        figure(
            charts.interval_chart,
            {run.run_id: run.report.test.accuracy for run in compared},
            benchmark.titles,
            benchmark.colours,
        ),
        "accuracy",
        f"Accuracy on {totals['test']:,} test images with 95% bootstrap intervals."
        + _unranked("measured under another protocol", str(len(apart) - len(lacking)))
        + _unranked("without some of the classes", ", ".join(map(plain, lacking))),
    )


def _unranked(reason: str, which: str) -> str:
    return f" Not ranked, because {reason}: {which}." if which not in ("", "0") else ""


def data_and_protocol(benchmark: Benchmark) -> None:
    """Shows class balance, mean faces, protocol and sources."""
    info = benchmark.info
    with st.expander("Class balance and mean faces"):
        chart.show(
            figure(charts.class_balance, info.counts, info.labels),
            "balance",
            "Share of each class by split. Rare classes have little weight in accuracy.",
        )
        gallery.mean_face_row(info, benchmarks.mean_faces(benchmark))
    with st.expander("Protocol and sources"):
        st.write(info.protocol)
        st.write(
            f"Split hash `{info.split_hash}`. {info.leaked_test:,} test images that are scored "
            "have a copy in the original train or validation; results are reported with and "
            "without them."
        )
        for source in info.sources:
            reference = f" ({plain(source.reference)})" if source.reference else ""
            st.write(f"**{plain(source.title)}**{reference}. {plain(source.licence)}")
        for reason, count in info.excluded.items():
            st.write(f"- {count:,} images excluded: {reason}")


def _metric(label: str, value: str, help_text: str) -> None:
    st.metric(label, value, help=help_text, border=True, width=200)
