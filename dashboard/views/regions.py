"""Where models look: saliency by part of the face, by class and model, and how far to trust it."""

import streamlit as st

from dashboard import explain_access, theme
from dashboard.components import pick, region_view
from fer_core.explain.regions import framing_of, only_drawn

theme.page_header(
    "Explain",
    "Where models look",
    "Which parts of the face speak for each emotion, whether models agree on that, and which maps "
    "pass the tests that a random map fails.",
)
chosen = pick.benchmark_with_runs()
measured = region_view.measured(chosen)
method = region_view.method_picker(measured)
masks = explain_access.canonical_regions(framing_of(chosen.info))
areas = region_view.region_legend(masks, exact=only_drawn(chosen.info))

st.subheader("Share of saliency by part", anchor=False)
region_view.shares_by_model(chosen, measured, method, areas)

st.subheader("By emotion", anchor=False)
run = region_view.run_of(chosen, measured)
region_view.shares_by_class(chosen, run, measured[run.run_id], method, areas)
region_view.claims(measured, chosen, method)
region_view.mean_maps(chosen, run, measured[run.run_id], method)

st.subheader("Do models look at the same places?", anchor=False)
region_view.agreement(chosen, measured, method)

st.subheader("Which maps can be believed", anchor=False)
region_view.league(chosen, run)
