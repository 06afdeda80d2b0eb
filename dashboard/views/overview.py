"""Overview: the state of the benchmark on one screen, and where to go next."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks
from dashboard.components import faces, pickers
from dashboard.components.text import interval, percent
from fer_core.evaluation.leaderboard import comparable_runs
from fer_core.figures import charts

theme.page_header(
    "Overview",
    "Which model reads faces best, and how sure is that?",
    "FERscope trains every architecture the same way, measures it on the same images, and shows "
    "what each model confuses and what it looks at.",
)
chosen = pickers.benchmark()
info = chosen.info
theme.class_chips(info.labels)

ranked = comparable_runs({run.run_id: run.report for run in chosen.runs}, info.split_hash)
compared = [run for run in chosen.runs if run.run_id in ranked]
apart = len(chosen.runs) - len(compared)
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

pickers.need_runs(chosen)
left, right = st.columns([5, 3], gap="large")
with left:
    st.subheader("Test accuracy", anchor=False)
    st.plotly_chart(
        charts.interval_chart(
            {run.run_id: run.report.test.accuracy for run in compared},
            chosen.titles,
            chosen.colours,
        ),
        key="accuracy",
    )
    st.caption(
        f"Each dot is a model's share of right answers on {totals['test']:,} test images; the bar "
        "is its 95% bootstrap interval. Where bars overlap widely, the order may be luck."
        + (f" Measured otherwise, and apart on the Leaderboard: {apart}." if apart else "")
    )
with right:
    st.subheader("Where to go", anchor=False)
    st.page_link(
        "views/leaderboard.py",
        label="**Leaderboard**: all numbers, with intervals",
        icon=":material/leaderboard:",
    )
    st.page_link(
        "views/confusion.py",
        label="**Confusion matrix**: click a cell, see those faces",
        icon=":material/grid_on:",
    )
    st.page_link(
        "views/compare.py",
        label="**Compare on a face**: all models on yours",
        icon=":material/familiar_face_and_zone:",
    )

st.subheader("What the models learn from", anchor=False)
st.plotly_chart(charts.class_balance(info.counts, info.labels), key="balance")
st.caption(
    "Share of each emotion by split. Rare emotions weigh little in accuracy: macro-recall, the "
    "mean of the classes' recalls, counts each of them alike."
)
faces.mean_face_row(info, benchmarks.mean_faces(chosen))
with st.expander("Protocol and sources"):
    st.write(info.protocol)
    st.write(
        f"Split hash `{info.split_hash}`. {info.leaked_test:,} test images have a duplicate in the "
        "original training or validation data; results are given with and without them."
    )
    for source in info.sources:
        st.write(f"**{source.title}** ({source.reference}). {source.licence}")
    for reason, count in info.excluded.items():
        st.write(f"- {count:,} images left out: {reason}")
