"""Dataset explorer: what is in a benchmark, with and without its pictures."""

import streamlit as st

from dashboard import data_access, dataset_access, theme
from dashboard.components import explore, pick
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.errors import FerscopeError

VIEWS = {
    "counts": "Classes",
    "samples": "Samples",
    "faces": "Mean faces",
    "statistics": "Light and sharpness",
    "map": "Map",
    "votes": "Annotators",
}

theme.page_header(
    "Data",
    "Dataset explorer",
    "What the models learn from and are tested on: how many images of what, what they look like, "
    "and how far people agree on them.",
)
chosen = pick.benchmark()
theme.class_chips(chosen.info.labels)
try:
    samples = data_access.samples(chosen)
except FerscopeError as error:
    st.error(plain(str(error)))
    st.stop()

view = pick.switch("Show", VIEWS, Key.VIEW)
if view == "counts":
    explore.counts(chosen, samples)
elif view == "samples":
    explore.sample_grid(chosen, samples)
elif view == "faces":
    explore.mean_faces(chosen)
elif view == "statistics":
    explore.statistics(chosen, samples)
elif view == "map":
    explore.dataset_map(chosen, samples)
else:
    explore.votes(chosen, samples)

if text := dataset_access.card_text(chosen):
    with st.expander("Dataset card", icon=":material/description:"):
        st.markdown(text.partition("\n")[2])  # the title is the page's
        st.download_button(
            "Download the card (Markdown)", text, f"{chosen.info.name}-card.md", "text/markdown"
        )
