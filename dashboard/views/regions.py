"""Saliency by face region, class and model, and faithfulness of the methods."""

import streamlit as st

from dashboard import theme
from dashboard.cache import explanations
from dashboard.components import pickers
from dashboard.sections import regions
from fer_core.explain.regions import framing_of, only_drawn

theme.page_header(
    "Explain",
    "Where models look",
    "Which face regions are evidence for each class, whether models agree on them, and which "
    "saliency methods are faithful.",
)
benchmark = pickers.benchmark_with_runs()
measured = regions.region_tables(benchmark)
methods = regions.methods_by_run(benchmark, measured, regions.method_picker(measured))
masks = explanations.canonical_regions(framing_of(benchmark.info))
areas = regions.region_legend(masks, exact=only_drawn(benchmark.info))

st.subheader("Share of saliency by region", anchor=False)
regions.shares_by_model(benchmark, measured, methods, areas)

st.subheader("By class", anchor=False)
run = regions.run_of(benchmark, measured)
regions.shares_by_class(benchmark, measured[run.run_id], methods[run.run_id], areas)
regions.claims(benchmark, methods)
regions.mean_maps(benchmark, run, measured[run.run_id], methods[run.run_id])

st.subheader("Do models use the same regions?", anchor=False)
regions.agreement(benchmark, measured, methods)

st.subheader("Which methods are faithful?", anchor=False)
regions.method_ranking(benchmark, run)
