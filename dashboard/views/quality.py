"""Data quality: suspect images and labels of a benchmark, and lists of corrections."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.sections import quality
from dashboard.sections.transformed_copies import transformed_copies
from dashboard.state import Key
from fer_core.errors import FerscopeError

VIEWS = {
    "duplicates": "Duplicates",
    "leaks": "Leaks",
    "transformed": "Transformed copies",
    "conflicts": "Conflicting labels",
    "outliers": "Outliers",
    "labels": "Likely label errors",
}

theme.page_header(
    "Data",
    "Data quality",
    "Duplicates, leaks, conflicting labels, outliers and likely label errors, each with a reason. "
    "Every list can be exported as corrections for the next preparation.",
)
benchmark = pickers.benchmark()
try:
    benchmarks.samples(benchmark)
except FerscopeError as error:
    st.error(plain(str(error)))
    st.stop()

quality.counts(benchmark)
view = pickers.switch("Show", VIEWS, Key.ISSUES)
{
    "duplicates": quality.duplicates,
    "leaks": quality.leaks,
    "transformed": transformed_copies,
    "conflicts": quality.conflicts,
    "outliers": quality.outliers,
    "labels": quality.labels,
}[view](benchmark)
