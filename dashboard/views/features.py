"""Feature maps: the activations of each layer of a network for a face."""

import streamlit as st

from dashboard import theme
from dashboard.cache import explanations
from dashboard.components import pickers
from dashboard.components.face_input import stored_face
from dashboard.components.text import plain
from dashboard.sections import features

theme.page_header(
    "Explain",
    "Feature maps",
    "Click a layer of the network to see its strongest feature maps for a face, and overlay one "
    "on the face.",
)
benchmark = pickers.benchmark_with_runs()
left, right = st.columns([2, 3], gap="large")
with left:
    run = features.network_picker(benchmark)
    face = stored_face(benchmark).pixels
layers = explanations.outline(benchmark, run)
if isinstance(layers, str):
    st.error(plain(layers))
    st.stop()
with right:
    path = features.layer_picker(layers)
    target, rank = features.ranking(benchmark)
    maps = explanations.feature_maps(benchmark, run, face, path, target)
    if isinstance(maps, str):
        st.error(plain(maps))
        st.stop()
    features.enlarged(maps, face, rank)
features.grid(maps, rank, benchmark.info.labels)

config = explanations.config_of(run)
if config is not None and run.info.family == "vit":
    st.subheader("Patches and attention", anchor=False)
    attention = explanations.attention(benchmark, run, face)
    if isinstance(attention, str):
        st.error(plain(attention))
    else:
        picture = explanations.network_input(benchmark, run, face)
        features.patches_and_attention(picture, attention, config)

st.subheader("Embedding of the test images", anchor=False)
features.projection(benchmark, run)
