"""Your faces: a benchmark's runs on another set of pictures."""

import streamlit as st

from dashboard import pages, theme
from dashboard.components import pickers
from dashboard.sections import transferred, your_faces
from dashboard.state import Key

theme.page_header(
    "Try",
    "Your faces",
    "Which model is best on your pictures? Add a folder or a zip of pictures, labelled or not: "
    "every model predicts them, and the page says what differs from the benchmark.",
)
picked = pickers.benchmark_with_runs()
origin = your_faces.origin_of(picked)

st.subheader("Sets", anchor=False)
benchmark = your_faces.set_picker(origin, picked)
your_faces.add_set(origin)
your_faces.progress(origin)
if benchmark is None:
    st.stop()

st.subheader("Result", anchor=False)
transferred.summary(benchmark)
report = transferred.report(benchmark)
transferred.runs(benchmark, report)
transferred.persons(benchmark, report)

st.subheader("What changed", anchor=False)
transferred.causes(report)
transferred.classes(report)
transferred.distributions(report)

st.subheader("Estimate without labels", anchor=False)
transferred.estimates(benchmark, report)

# The labelling view is a page of its own (dashboard/sections/labelling.py).
st.subheader("Label some faces", anchor=False)
pages.link("label", query={Key.BENCHMARK: benchmark.info.name})

st.subheader("This set on other pages", anchor=False)
transferred.links(benchmark)
your_faces.delete(benchmark)
