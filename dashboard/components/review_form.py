"""The form with which a visitor labels, tags and annotates a sample."""

import streamlit as st

from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download, visitor
from dashboard.components.text import plain
from fer_core.errors import FerscopeError
from fer_core.reviews import NOTE_LIMIT, Review, ReviewStore

SUGGESTED_TAGS = ("blurred", "occluded", "profile", "not a face", "wrong label", "ambiguous")

_NO_LABEL = "none"


def show(benchmark: Benchmark, sample_id: str) -> None:
    """Shows the other annotators' reviews of a sample, and a form for the visitor's own."""
    store = ReviewStore.of(benchmark.directory)
    annotator = visitor.name_input("review-name", "Reviews are stored by annotator.")
    try:
        reviews = store.reviews(sample_id)
        tags = sorted({*SUGGESTED_TAGS, *store.tags()})
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    for review in reviews:
        if review.annotator != annotator:
            st.caption(_sentence(review))
    mine = next((item for item in reviews if item.annotator == annotator), None)
    review = mine or Review(sample_id, annotator)
    _form(store, review, benchmark.info.labels, tags)
    download.button(
        "Download all reviews (csv)",
        store.csv,
        f"{benchmark.info.name}-reviews.csv",
    )


def _form(store: ReviewStore, review: Review, labels: tuple[str, ...], tags: list[str]) -> None:
    """Shows the form and saves what is submitted."""
    key = f"{review.sample_id} {review.annotator}"  # another sample starts with its own values
    with st.form(f"review {key}", border=False):
        options = [_NO_LABEL, *labels]
        present = options.index(review.label) if review.label in options else 0
        label = st.selectbox("Your label", options, present, key=f"label {key}")
        picked = st.multiselect(
            "Tags", tags, list(review.tags), accept_new_options=True, key=f"tags {key}"
        )
        note = st.text_area("Note", review.note, max_chars=NOTE_LIMIT, key=f"note {key}")
        submitted = st.form_submit_button("Save", icon=":material/save:")
    if not submitted:
        return
    selected = "" if label == _NO_LABEL else label
    try:
        store.save(
            Review(review.sample_id, review.annotator, selected, tuple(picked), note.strip())
        )
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    st.success("Saved.", icon=":material/check:")


def _sentence(review: Review) -> str:
    parts = [f"label {review.label}"] if review.label else []
    parts += [f"tags {', '.join(review.tags)}"] if review.tags else []
    parts += [review.note] if review.note else []
    return f"{plain(review.annotator)}: {plain('; '.join(parts))}"
