"""Dataset explorer: the images of a benchmark, their labels and statistics."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks, dataset
from dashboard.components import download, filters, pickers
from dashboard.components.text import plain
from dashboard.sections import explorer, image_map
from dashboard.state import Key
from fer_core.errors import FerscopeError

theme.page_header(
    "Data",
    "Dataset explorer",
    "The images that models are trained and tested on: counts by class, mean faces, image "
    "statistics and annotator agreement.",
)
benchmark = pickers.benchmark()
theme.class_chips(benchmark.info.labels)
try:
    samples = benchmarks.samples(benchmark)
except FerscopeError as error:
    st.error(plain(str(error)))
    st.stop()

within = filters.slice_picker(benchmark)
if within is not None:
    samples = samples[samples.index.isin(within.ids)]
    if samples.empty:
        st.info("The slice has no image of this benchmark.", icon=":material/filter_alt:")
        st.stop()

view = pickers.switch("Show", explorer.VIEWS, Key.VIEW)
if view == "counts":
    explorer.counts(benchmark, samples)
elif view == "samples":
    explorer.sample_grid(benchmark, samples)
elif view == "faces":
    explorer.mean_faces(benchmark)
elif view == "statistics":
    explorer.statistics(benchmark, samples)
elif view == "map":
    image_map.dataset_map(benchmark, samples)
else:
    explorer.votes(benchmark, samples)

if text := dataset.card_text(benchmark):
    with st.expander("Dataset card", icon=":material/description:"):
        st.markdown(text.partition("\n")[2])  # the title is the page's
        download.button("Download the card (Markdown)", text, f"{benchmark.info.name}-card.md")
