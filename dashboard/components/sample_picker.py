"""A picker of a benchmark's sample by its face."""

import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers, viewer
from dashboard.components.gallery import Card, gallery, label_and_colour
from dashboard.state import Key
from fer_core.data.stored_pictures import Pictures

PAGE_SIZE = 24

_PICKED = "picked sample"


def pick_sample(benchmark: Benchmark, pictures: Pictures) -> str:
    """Shows the picked face and a gallery of the test images to pick another; returns its id.

    The address names the sample, which may be of any split.
    """
    samples = benchmarks.samples(benchmark)
    ids = [key for key in samples.index[samples["split"] == "test"] if key in pictures.rows]
    if not ids:
        st.error("No picture of a test image is in the prepared dataset. Prepare it again.")
        st.stop()
    sample_id = _in_address(pictures) or st.session_state.get(_PICKED)
    if sample_id not in pictures.rows:
        sample_id = ids[0]
    st.session_state[_PICKED] = sample_id
    with st.container(width=240):
        card = _card(benchmark, pictures, sample_id)
        gallery([card], side=192, key="picked-sample", on_open=viewer.open_sample)
    with st.expander("Pick another face", icon=":material/grid_view:"):
        label = st.pills("Class", benchmark.info.labels, key="sample-class", wrap=True)
        if label:
            ids = [key for key in ids if samples.at[key, "label"] == label]
        cards = [_card(benchmark, pictures, key) for key in ids[pickers.page(ids, PAGE_SIZE)]]
        gallery(cards, side=72, key="sample-gallery", on_open=_pick)
    viewer.offer(benchmark, ids)
    return sample_id


def _pick(sample_id: str) -> None:
    st.query_params[Key.PICTURE] = sample_id


def _in_address(pictures: Pictures) -> str | None:
    # earlier versions wrote the label behind the id
    requested = st.query_params.get(Key.PICTURE, "").partition(" (")[0]
    return requested if requested in pictures.rows else None


def _card(benchmark: Benchmark, pictures: Pictures, sample_id: str) -> Card:
    label = benchmarks.samples(benchmark).at[sample_id, "label"]
    name, colour = label_and_colour(label, benchmark.info.labels)
    picture = pictures.get(sample_id)
    assert picture is not None  # noqa: S101 (the ids are those of the pictures)
    return Card(picture, name, "", colour, sample_id)
