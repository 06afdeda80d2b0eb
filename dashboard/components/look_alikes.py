"""The pictures of a dataset that look most like a face."""

from collections.abc import Sequence

import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark, Pictures
from dashboard.components.face_grid import Card, cards
from fer_core.figures.palette import class_colour

SAYS = (
    "By the correlation of their pixels. A close one under another label often explains an error; "
    "r near 1 is nearly the same picture."
)


def need_pictures(chosen: Benchmark) -> None:
    """Says how the pictures can be attached."""
    st.caption(
        "They are found by comparing pictures. Attach your own copy of the data: "
        f"`python -m training prepare path/to/the/data --name {chosen.info.name}`"
    )


def show(chosen: Benchmark, pictures: Pictures, found: Sequence[tuple[str, float]]) -> None:
    """Shows samples with their labels and how alike they are.

    Args:
        chosen: The benchmark.
        pictures: Its pictures.
        found: Sample ids and correlations, most alike first.
    """
    if not found:
        st.caption("There is no picture to compare with.")
        return
    labels = benchmarks.samples(chosen)["label"]
    shown = []
    for sample_id, alike in found:
        picture, label = pictures.get(sample_id), str(labels[sample_id])
        if picture is not None:
            colour = class_colour(label, chosen.info.labels)
            shown.append(Card(picture, f"{label}, r = {alike:.2f}", sample_id, colour))
    cards(shown)
