"""Dataset explorer: what is in a benchmark, with and without its pictures."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks, dataset
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.sections import explorer
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
chosen = pickers.benchmark()
theme.class_chips(chosen.info.labels)
try:
    samples = benchmarks.samples(chosen)
except FerscopeError as error:
    st.error(plain(str(error)))
    st.stop()

view = pickers.switch("Show", VIEWS, Key.VIEW)
if view == "counts":
    explorer.counts(chosen, samples)
elif view == "samples":
    explorer.sample_grid(chosen, samples)
elif view == "faces":
    explorer.mean_faces(chosen)
elif view == "statistics":
    explorer.statistics(chosen, samples)
elif view == "map":
    explorer.dataset_map(chosen, samples)
else:
    explorer.votes(chosen, samples)

if text := dataset.card_text(chosen):
    with st.expander("Dataset card", icon=":material/description:"):
        st.markdown(text.partition("\n")[2])  # the title is the page's
        st.download_button(
            "Download the card (Markdown)", text, f"{chosen.info.name}-card.md", "text/markdown"
        )
