"""The pictures of a dataset that are most similar to a face."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.gallery import Card, gallery
from fer_core.data.stored_pictures import Pictures
from fer_core.figures.palette import class_colour

EXPLANATION = (
    "Similarity is the pixel correlation r; pictures with r near 1 are almost identical. A similar "
    "picture with another label can explain an error."
)
EMBEDDING_EXPLANATION = (
    "Similarity is the cosine of the network's embeddings (its last feature map, averaged over "
    "positions), so it depends less on light and framing than pixels do."
)


def show(
    benchmark: Benchmark,
    pictures: Pictures,
    matches: Sequence[tuple[str, float]],
    *,
    key: str,
    on_open: Callable[[str], None],
    symbol: str = "r",
) -> None:
    """Shows samples with their labels and similarities.

    Args:
        benchmark: The benchmark.
        pictures: Pictures of the benchmark.
        matches: Sample ids and similarities, highest first.
        key: Identifies the gallery on the page.
        on_open: Called with a sample's id when its picture is clicked.
        symbol: Symbol of the similarity.
    """
    if not matches:
        st.caption("There is no picture to compare with.")
        return
    labels = benchmarks.samples(benchmark)["label"]
    cards = []
    for sample_id, similarity in matches:
        picture, label = pictures.get(sample_id), str(labels[sample_id])
        if picture is not None:
            colour = class_colour(label, benchmark.info.labels)
            title = f"{label}, {symbol} = {similarity:.2f}"
            cards.append(Card(picture, title, sample_id, colour, sample_id))
    gallery(cards, key=key, on_open=on_open)
