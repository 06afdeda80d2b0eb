"""The sample viewer: everything about one sample, beside the list that it was opened from.

A page offers each list of samples that it shows. If the address names one of them, the viewer opens
as a drawer on the right and walks through that list. A run opens one viewer at most.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import pages, theme
from dashboard.cache import benchmarks, embeddings, inference, results
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import chart, look_alikes, review_form, saliency_map
from dashboard.components.attach import need_pictures
from dashboard.components.gallery import enlarge
from dashboard.components.text import column_title, plain
from dashboard.state import BIND, TEST_SAMPLE, Key
from fer_core.data import annotators
from fer_core.data.stored_pictures import Pictures
from fer_core.errors import FerscopeError
from fer_core.evaluation.human_votes import Votes
from fer_core.figures.charts import predictions_heatmap
from fer_core.labels import LabelSet

WIDTH = 560
"""Width of the drawer in pixels; it fills narrower windows."""

_OPENED = "the viewer is open"
_NEIGHBOURS = 6
_OVERLAY_COLUMNS = 3
_FACTS = ("split", "second_label", "leak", "excluded", "brightness", "contrast", "sharpness",
          "outlier", "width", "height", "source", "source_split", "duplicate_group")  # fmt: skip
_OPENED_FROM = {"saliency": Key.SOURCE, "features": Key.SOURCE, "compare": Key.FACE}
"""Pages that explain a sample, with the parameter that makes them take one of the benchmark."""


def open_sample(sample_id: str) -> None:
    """Writes a sample's id to the address, which opens the viewer in the next run."""
    st.query_params[Key.SAMPLE] = sample_id


def reset() -> None:
    """Starts a run, in which no viewer is open yet."""
    st.session_state[_OPENED] = False


def offer(benchmark: Benchmark, ids: Iterable[object], classes: Sequence[str] = ()) -> None:
    """Opens the viewer on the sample in the address if a list has it.

    Args:
        benchmark: The benchmark.
        ids: The whole list, in display order.
        classes: The scored classes; all if empty.
    """
    requested = st.query_params.get(Key.SAMPLE)
    if requested is None or st.session_state.get(_OPENED):
        return
    listed = tuple(map(str, ids))
    if requested in listed:
        _open(benchmark, listed, tuple(classes))


def show_requested(benchmark: Benchmark) -> None:
    """Opens the viewer on the sample in the address if no list of the page has it."""
    requested = st.query_params.get(Key.SAMPLE)
    if requested is None or st.session_state.get(_OPENED):
        return
    try:
        known = requested in benchmarks.samples(benchmark).index
    except FerscopeError:  # the page has said so
        return
    if known:
        _open(benchmark, (requested,), ())
    else:
        name = plain(repr(requested[:80]))
        st.warning(f"The address names the sample {name}, which this benchmark does not have.",
                   icon=":material/link_off:")  # fmt: skip


def _open(benchmark: Benchmark, ids: tuple[str, ...], classes: tuple[str, ...]) -> None:
    st.session_state[_OPENED] = True
    dialog = st.dialog("Sample", width=WIDTH, position="right", on_dismiss=_close)
    dialog(_content)(benchmark, ids, classes)


def _close() -> None:
    if Key.SAMPLE in st.query_params:
        del st.query_params[Key.SAMPLE]


def _content(benchmark: Benchmark, ids: tuple[str, ...], classes: tuple[str, ...]) -> None:
    """Shows the sample in the address; runs again, alone, when the user walks on."""
    samples = benchmarks.samples(benchmark)
    sample_id = st.query_params.get(Key.SAMPLE, "")
    if sample_id not in samples.index:
        return
    _walk(ids, sample_id)
    row = samples.loc[[sample_id]]
    pictures = benchmarks.pictures(benchmark)
    left, right = st.columns([2, 3], vertical_alignment="top")
    with left:
        _picture(pictures, sample_id)
    with right:
        _heading(benchmark, row)
        _links(benchmark, sample_id, attached=pictures is not None)
    theme.draw_first()
    _predictions(benchmark, row, classes)
    _maps(benchmark, pictures, sample_id)
    _neighbours(benchmark, pictures, sample_id)
    with st.expander("Properties", icon=":material/info:"):
        _properties(row)
    with st.expander("Tags and note", icon=":material/edit_note:"):
        review_form.show(benchmark, sample_id)


def _walk(ids: tuple[str, ...], sample_id: str) -> None:
    """Shows the buttons to the previous and the next sample, which the arrow keys press."""
    # a similar picture that was opened from here may be on no list
    position = ids.index(sample_id) if sample_id in ids else None
    before = None if position in (None, 0) else ids[position - 1]
    after = None if position is None or position + 1 == len(ids) else ids[position + 1]
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, target, icon, key in (
            ("Previous", before, "arrow_back", "Left"),
            ("Next", after, "arrow_forward", "Right"),
        ):
            st.button(
                name,
                key=f"viewer-{name.lower()}",
                icon=f":material/{icon}:",
                shortcut=key,
                disabled=target is None,
                on_click=open_sample,
                args=(target,),
            )
        if position is not None:
            st.caption(f"{position + 1:,} of {len(ids):,}")


def _picture(pictures: Pictures | None, sample_id: str) -> None:
    picture = pictures.get(sample_id) if pictures is not None else None
    if picture is None:
        st.caption("The picture is not on this machine.")
    else:
        st.image(enlarge(picture, 240), width="stretch", alt=f"Image {sample_id}")


def _heading(benchmark: Benchmark, row: pd.DataFrame) -> None:
    """Shows the sample's id, labels and votes."""
    sample = row.iloc[0]
    st.markdown(f"**{plain(str(sample['id']))}**")
    label = _label(sample)
    if label:
        st.html(theme.chip(label, benchmark.info.labels))
    else:
        st.caption(_why_no_label(sample))
    lines = [f"Split: {plain(str(sample['split']))}."]
    second = sample.get("second_label")
    if isinstance(second, str) and second and second != label:
        lines.append(f"Second label (second annotation): {plain(second)}.")
    votes = {name: int(sample[f"votes_{name}"]) for name in annotators.voted_classes(row)}
    if any(votes.values()):
        ordered = sorted(votes, key=lambda name: -votes[name])
        counts = ", ".join(f"{column_title(name)} {votes[name]}" for name in ordered if votes[name])
        lines.append(f"{sum(votes.values())} annotators voted: {plain(counts)}.")
    st.caption("  \n".join(lines))


def _label(sample: pd.Series) -> str:
    """Returns a sample's label; empty without one."""
    return sample["label"] if isinstance(sample["label"], str) else ""


def _why_no_label(sample: pd.Series) -> str:
    """Returns why a sample has no label: it was excluded, or nobody labelled it."""
    reason = sample.get("excluded")
    if isinstance(reason, str) and reason:
        return f"No class: {plain(reason)}."
    return "Not labelled."


def _links(benchmark: Benchmark, sample_id: str, *, attached: bool) -> None:
    """Shows links to the pages that explain this sample; they need its picture."""
    if not attached or not benchmark.runs:
        return
    for name, source in _OPENED_FROM.items():
        query: pages.Query = {
            Key.BENCHMARK: benchmark.info.name,
            Key.PICTURE: sample_id,
            source: TEST_SAMPLE,
        }
        pages.link(name, f"Open in {pages.BY_NAME[name].title}", query)


def _predictions(benchmark: Benchmark, row: pd.DataFrame, classes: tuple[str, ...]) -> None:
    """Shows every model's calibrated probabilities, and the annotators' votes."""
    sample_id, label = str(row["id"].iloc[0]), _label(row.iloc[0])
    scored = LabelSet.of(classes) if classes else benchmark.info.label_set
    probabilities = results.sample_probabilities(benchmark, sample_id, scored.names)
    if not probabilities:
        st.caption(
            "Stored predictions exist for validation and test images only. Open this image in "
            "*Compare on a face* to run the models on it."
        )
        return
    rows = {}
    votes = Votes.of(row, row["id"].to_numpy(dtype=object), scored)
    if votes is not None:
        rows["annotators"] = votes.distribution[0]
    rows |= {benchmark.titles[run_id]: values for run_id, values in probabilities.items()}
    caption = "Calibrated probability of each class, one row per model"
    if label:
        right = sum(scored.names[values.argmax()] == label for values in probabilities.values())
        caption += (
            f"; the label is in bold. {right} of {len(probabilities)} models predict the label"
        )
    chart.show(
        predictions_heatmap(rows, scored.names, label),
        "viewer-predictions",  # the page below may have such a chart of its own
        f"{caption}.",
    )


def _maps(benchmark: Benchmark, pictures: Pictures | None, sample_id: str) -> None:
    """Shows every model's saliency map on request."""
    picture = None if pictures is None else pictures.get(sample_id)
    runs = [run for run in benchmark.runs if inference.can_predict(run)]
    if picture is None or not runs:
        return
    if not st.toggle("Show saliency maps of all models", key=Key.OVERLAYS, bind=BIND):
        return
    columns = st.columns(_OVERLAY_COLUMNS)
    with st.spinner("Running the models ..."):
        for index, run in enumerate(runs):
            column = columns[index % _OVERLAY_COLUMNS]
            result = inference.explained_prediction(benchmark, run, np.asarray(picture), None)
            if isinstance(result, str):
                column.caption(plain(result))
                continue
            lines = [
                f"{plain(benchmark.titles[run.run_id])}: {plain(result.top)}, "
                f"{result.calibrated.max():.0%}",
                result.method,
            ]
            saliency_map.show(column, picture, result.saliency, result.evidence, lines)


def _neighbours(benchmark: Benchmark, pictures: Pictures | None, sample_id: str) -> None:
    st.markdown("**Most similar training pictures**")
    if pictures is None:
        need_pictures(benchmark, "viewer")
        return
    row = pictures.rows.get(sample_id)
    if row is None:
        st.caption("This sample's picture is missing from the prepared dataset.")
        return
    matches = results.nearest(benchmark, np.asarray(pictures.images[row]), _NEIGHBOURS + 1)
    others = [match for match in matches if match[0] != sample_id][:_NEIGHBOURS]
    st.caption("By pixels")
    look_alikes.show(benchmark, pictures, others, key="viewer-neighbours", on_open=open_sample)
    st.caption(look_alikes.EXPLANATION)
    _embedding_neighbours(benchmark, pictures, sample_id)


def _embedding_neighbours(benchmark: Benchmark, pictures: Pictures, sample_id: str) -> None:
    """Shows the training pictures that the chosen network sees most like a sample."""
    run = embeddings.chosen_network(benchmark, st.query_params.get(Key.RUN, ""))
    if run is None:
        return
    st.caption(f"By the embedding of {plain(benchmark.titles[run.run_id])}")
    index = embeddings.index_of(run)
    vector = None if index is None else embeddings.vector_of(index, sample_id)
    if index is None or vector is None:
        st.caption("The embedding has not been computed yet. Compute it:")
        name = benchmark.info.name
        st.code(f"python -m training embed {name} {run.run_id}", language="bash")
        return
    matches = embeddings.nearest(benchmark, index, vector, _NEIGHBOURS + 1)
    others = [match for match in matches if match[0] != sample_id][:_NEIGHBOURS]
    look_alikes.show(
        benchmark, pictures, others, key="viewer-embedded", on_open=open_sample, symbol="cos"
    )
    st.caption(look_alikes.EMBEDDING_EXPLANATION)


def _properties(row: pd.DataFrame) -> None:
    facts = row[[name for name in _FACTS if name in row.columns]].iloc[0]
    st.table(facts.map(_short).rename(column_title).rename("value"))


def _short(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "unknown" if pd.isna(value) else f"{value:.1f}"
    return str(value)
