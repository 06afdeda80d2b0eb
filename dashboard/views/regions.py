"""Where models look: saliency by part of the face, by class and model, and how far to trust it."""

import streamlit as st

from dashboard import theme
from dashboard.cache import explanations
from dashboard.components import pickers
from dashboard.sections import regions
from fer_core.explain.regions import framing_of, only_drawn

theme.page_header(
    "Explain",
    "Where models look",
    "Which parts of the face speak for each emotion, whether models agree on that, and which maps "
    "pass the tests that a random map fails.",
)
chosen = pickers.benchmark_with_runs()
measured = regions.measured(chosen)
method = regions.method_picker(measured)
masks = explanations.canonical_regions(framing_of(chosen.info))
areas = regions.region_legend(masks, exact=only_drawn(chosen.info))

st.subheader("Share of saliency by part", anchor=False)
regions.shares_by_model(chosen, measured, method, areas)

st.subheader("By emotion", anchor=False)
run = regions.run_of(chosen, measured)
regions.shares_by_class(chosen, run, measured[run.run_id], method, areas)
regions.claims(measured, chosen, method)
regions.mean_maps(chosen, run, measured[run.run_id], method)

st.subheader("Do models look at the same places?", anchor=False)
regions.agreement(chosen, measured, method)

st.subheader("Which maps can be believed", anchor=False)
regions.league(chosen, run)
