"""Feature maps: what each layer of a network holds of a face."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks, explanations
from dashboard.components import pickers
from dashboard.components.face_choice import stored_face
from dashboard.components.text import plain
from dashboard.sections import features

theme.page_header(
    "Explain",
    "Feature maps",
    "Follow a face through a network: click a layer of its outline, see its strongest maps, and "
    "lay one over the face.",
)
chosen = pickers.benchmark_with_runs()
left, right = st.columns([2, 3], gap="large")
with left:
    run = features.network_picker(chosen)
    face = stored_face(chosen).pixels
found = explanations.outline(chosen, run)
if isinstance(found, str):
    st.error(plain(found))
    st.stop()
with right:
    path = features.layer_picker(found)
    target, rank = features.ranking(chosen)
    maps = explanations.feature_maps(chosen, run, face, path, target)
    if isinstance(maps, str):
        st.error(plain(maps))
        st.stop()
    features.enlarged(maps, face, rank)
features.grid(maps, rank, chosen.info.labels)

config = explanations.config_of(run)
if config is not None and run.info.family == "vit":
    st.subheader("Patches and attention", anchor=False)
    seen = explanations.attention(chosen, run, face)
    if isinstance(seen, str):
        st.error(plain(seen))
    else:
        features.patches_and_attention(explanations.network_input(chosen, run, face), seen, config)

st.subheader("What the classifier reads", anchor=False)
features.projection(chosen, explanations.projection(run), run, benchmarks.samples(chosen))
