"""Verdict: which model to ship, why not the others, and where it fails."""

import streamlit as st

from dashboard import theme
from dashboard.cache import verdict as cache
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.sections import benchmark as overview
from dashboard.sections import constraints as controls
from dashboard.sections import operating_point
from dashboard.sections import verdict as sections
from fer_core.errors import FerscopeError
from fer_core.evaluation.verdict_text import RULE

theme.page_header(
    "Which model should you ship, and where will it fail?",
    "Verdict",
    "Set your constraints. The verdict follows from the models' predictions on the same images.",
)
benchmark = pickers.benchmark_with_runs()
left, right = st.columns([3, 2], gap="large")
try:
    with right, st.container(border=True):
        constraints = controls.constraint_controls(benchmark)
        costs = controls.cost_control(benchmark)
    verdict = cache.verdict(benchmark, constraints, costs)
except FerscopeError as error:
    st.error(plain(str(error)))
    st.stop()
with left:
    sections.sentence(verdict)
    sections.links(benchmark, verdict)
    downloads = st.container()  # filled once the operating point is known
    with st.expander("How the model is chosen"):
        st.write(RULE)

st.subheader("Why not the others", anchor=False)
sections.reasons(verdict)

if verdict.weaknesses is not None:
    st.subheader("Where it fails", anchor=False)
    sections.failures(benchmark, verdict)

point = None
if verdict.recommended is not None:
    st.subheader("Operating point", anchor=False)
    point = operating_point.section(benchmark, verdict.recommended)
with downloads:
    sections.downloads(benchmark, verdict, point)

st.subheader("What the data cannot tell", anchor=False)
sections.limits(verdict)

st.subheader(f"The benchmark: {plain(benchmark.info.title)}", anchor=False)
overview.summary(benchmark)
overview.data_and_protocol(benchmark)
