"""Feature maps: what each layer of a network holds of a face."""

import streamlit as st

from dashboard import data_access, explain_access, theme
from dashboard.components import feature_view, pick
from dashboard.components.face_choice import stored_face
from dashboard.components.text import plain

theme.page_header(
    "Explain",
    "Feature maps",
    "Follow a face through a network: click a layer of its outline, see its strongest maps, and "
    "lay one over the face.",
)
chosen = pick.benchmark_with_runs()
left, right = st.columns([2, 3], gap="large")
with left:
    run = feature_view.network_picker(chosen)
    face = stored_face(chosen).pixels
found = explain_access.outline(chosen, run)
if isinstance(found, str):
    st.error(plain(found))
    st.stop()
with right:
    path = feature_view.layer_picker(found)
    target, rank = feature_view.ranking(chosen)
    maps = explain_access.feature_maps(chosen, run, face, path, target)
    if isinstance(maps, str):
        st.error(plain(maps))
        st.stop()
    feature_view.enlarged(maps, face, rank)
feature_view.grid(maps, rank, chosen.info.labels)

config = explain_access.config_of(run)
if config is not None and run.info.family == "vit":
    st.subheader("Patches and attention", anchor=False)
    seen = explain_access.attention(chosen, run, face)
    if isinstance(seen, str):
        st.error(plain(seen))
    else:
        feature_view.patches_and_attention(
            explain_access.network_input(chosen, run, face), seen, config
        )

st.subheader("What the classifier reads", anchor=False)
feature_view.projection(chosen, explain_access.projection(run), run, data_access.samples(chosen))
