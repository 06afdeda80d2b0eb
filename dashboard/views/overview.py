"""Overview: the main results of the benchmark, and links to the pages with more."""

import streamlit as st

from dashboard import navigation, theme
from dashboard.cache import benchmarks
from dashboard.components import gallery, pickers
from dashboard.components.text import percent
from fer_core.evaluation.leaderboard import comparable_runs
from fer_core.figures import charts
from fer_core.figures.tables import interval

theme.page_header(
    "Overview",
    "Which model is the most accurate, and how sure are we?",
    "FERscope trains every architecture with the same protocol, evaluates it on the same images, "
    "and shows which classes each model confuses and which parts of a face it uses.",
)
benchmark = pickers.benchmark()
info = benchmark.info
theme.class_chips(info.labels)

ranked = comparable_runs({run.run_id: run.report for run in benchmark.runs}, info.split_hash)
compared = [run for run in benchmark.runs if run.run_id in ranked]
unranked = len(benchmark.runs) - len(compared)
totals = {split: sum(counts.values()) for split, counts in info.counts.items()}
columns = st.columns(4)
columns[0].metric(
    "Images",
    f"{sum(totals.values()):,}",
    help=", ".join(f"{split} {total:,}" for split, total in totals.items()),
    border=True,
)
columns[1].metric("Classes", len(info.labels), border=True)
columns[2].metric("Models compared", len(compared), border=True)
if compared:
    best = compared[0].report.test.accuracy
    columns[3].metric(
        "Best test accuracy",
        percent(best),
        help=f"{compared[0].info.title}; 95% interval {interval(best)} %",
        border=True,
    )

pickers.need_runs(benchmark)
left, right = st.columns([5, 3], gap="large")
with left:
    st.subheader("Test accuracy", anchor=False)
    st.plotly_chart(
        charts.interval_chart(
            {run.run_id: run.report.test.accuracy for run in compared},
            benchmark.titles,
            benchmark.colours,
        ),
        key="accuracy",
    )
    st.caption(
        f"Accuracy on {totals['test']:,} test images with 95% bootstrap intervals. Where intervals "
        "overlap widely, the order may be due to chance."
        + (f" Not ranked, because measured under another protocol: {unranked}." if unranked else "")
    )
with right:
    st.subheader("Next steps", anchor=False)
    navigation.link("leaderboard", "all metrics, with intervals")
    navigation.link("confusion", "click a cell to see its faces")
    navigation.link("compare", "all models on your own face")

st.subheader("Training data", anchor=False)
st.plotly_chart(charts.class_balance(info.counts, info.labels), key="balance")
st.caption(
    "Share of each class by split. Rare classes have little weight in accuracy; macro-recall, the "
    "mean of the recalls by class, weights all classes equally."
)
gallery.mean_face_row(info, benchmarks.mean_faces(benchmark))
with st.expander("Protocol and sources"):
    st.write(info.protocol)
    st.write(
        f"Split hash `{info.split_hash}`. {info.leaked_test:,} test images have a duplicate in the "
        "original training or validation data; results are reported with and without them."
    )
    for source in info.sources:
        st.write(f"**{source.title}** ({source.reference}). {source.licence}")
    for reason, count in info.excluded.items():
        st.write(f"- {count:,} images excluded: {reason}")
