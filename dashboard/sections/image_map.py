"""The map of a dataset's images: colours, the selected region, and every model's result on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks, dataset, results
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import chart, pickers, slices, stored_samples, viewer
from dashboard.components.columns import percent_column
from dashboard.components.gallery import strip
from dashboard.components.text import column_title, plain
from dashboard.state import BIND, Key
from fer_core.data import annotators
from fer_core.data.embedding import inside
from fer_core.errors import ArtifactError
from fer_core.evaluation.saved_slices import membership
from fer_core.evaluation.scope import Scope
from fer_core.evaluation.slices import properties
from fer_core.figures import dataset as figures
from fer_core.figures import tables
from fer_core.figures.dataset import PointGroups, PointValues

REGION_CORNERS = 24
"""Largest number of a region's corners in the address."""

MOST_POINTS = 6000
"""Largest number of images drawn; a lasso still selects among all images."""

MOST_GROUPS = 12
"""Largest number of values of a property that get a colour each."""

CLASS, ERRORS, SPLIT, AGREEMENT = "Class", "Errors of a model", "Split", "Annotator agreement"
_OUTCOMES = {"not evaluated": "#77777780", "right": "#0b7a5c", "wrong": "#CC3311"}
_GROUP_COLOURS = (
    "#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377",
    "#EE7733", "#0077BB", "#33BBEE", "#009988", "#882255", "#999933",
)  # fmt: skip


def dataset_map(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows the map of the images, and beside it each model's result on the selected region.

    Args:
        benchmark: The benchmark.
        samples: The shown images.
    """
    if not stored_samples.needs_columns(samples, "x", "y"):
        return
    card = dataset.card(benchmark)
    region = _region_in_address()
    points = _some(samples)
    left, right = st.columns([3, 2], gap="large")
    with left:
        colouring = _colouring(benchmark, points)
        caption = (
            "Each dot is an image at its first two principal components, after normalising "
            "brightness and contrast (eigenfaces). They mostly reflect light, framing and pose; "
            f"labels are not used. Up to {MOST_POINTS:,} images are drawn; a region selects "
            "among all images. Click a dot to open its image."
        )
        st.plotly_chart(
            figures.dataset_map(points, colouring, region, card.explained if card else ()),
            on_select=_follow_map,
            selection_mode=("points", "lasso", "box"),
            key="map",
            config=chart.saved_as("image-map"),
            alt=caption,
        )
        st.caption(caption)
    with right:
        selected = _region(benchmark, samples, region)
    _axis_faces(benchmark)
    if selected is not None:
        stored_samples.show(benchmark, selected, key="region")


def _some(samples: pd.DataFrame) -> pd.DataFrame:
    """Returns a random subset of the samples that have map coordinates."""
    points = samples[samples["x"].notna()]
    return points.sample(min(MOST_POINTS, len(points)), random_state=0).sort_index()


def _region(
    benchmark: Benchmark, samples: pd.DataFrame, region: NDArray[np.float64] | None
) -> pd.DataFrame | None:
    """Shows what is known of the images in a region, and returns them; None without a region."""
    if region is None:
        st.info("Select a region of the map to see its faces.", icon=":material/gesture:")
        _region_by_limits(samples)
        return None
    selected = samples[inside(samples[["x", "y"]].to_numpy(dtype=np.float64), region)]
    st.subheader(f"{len(selected):,} images in the region", anchor=False)
    shares = selected["label"].value_counts(normalize=True)
    st.caption(", ".join(f"{plain(str(label))} {share:.0%}" for label, share in shares.items()))
    ids = [str(sample_id) for sample_id in selected["id"]]
    with st.container(horizontal=True):
        if st.button("Clear selection", icon=":material/close:"):
            del st.query_params[Key.REGION]
            st.rerun()
        slices.save_button(benchmark, lambda: ids, "region of the map of images", "region")
    _region_accuracies(benchmark, ids)
    return selected


def _region_by_limits(samples: pd.DataFrame) -> None:
    """Shows limits of the map's axes, for readers who cannot draw a region."""
    with st.popover("Select a region by its limits", icon=":material/crop:", type="tertiary"):
        limits = []
        for axis, title in (
            ("x", "First principal component"),
            ("y", "Second principal component"),
        ):
            low, high = float(samples[axis].min()), float(samples[axis].max())
            if not low < high:  # a slider needs two ends
                return
            limits.append(st.slider(title, low, high, (low, high), key=f"limits-{axis}"))
        region = _drawn_region({"box": [{"x": limits[0], "y": limits[1]}]})
        if st.button("Select the region", key="limits-select") and region is not None:
            st.query_params[Key.REGION] = region
            st.rerun()


def _colouring(benchmark: Benchmark, points: pd.DataFrame) -> PointGroups | PointValues:
    """Shows the picker of what colours the dots, and returns the colours."""
    columns = {column_title(name).capitalize(): name for name in _coloured_columns(points)}
    measures = stored_samples.MEASURE_TITLES.items()
    columns |= {title: name for name, title in measures if name in columns.values()}
    columns = {title: name for title, name in columns.items() if title not in _fixed(points)}
    options = [CLASS, *([ERRORS] if benchmark.runs else []), *_fixed(points), *columns]
    picker, models = st.columns(2)
    with picker:
        picked = st.selectbox("Colour by", options, key=Key.COLOUR, bind=BIND)
    if picked == ERRORS:
        with models:
            run_id = pickers.run_picker(benchmark)
        known = results.outcomes(benchmark, run_id).reindex(points["id"].astype(str))
        return PointGroups(known.fillna("not evaluated"), _OUTCOMES)
    if picked == SPLIT:
        return PointGroups(points["split"].astype(str), figures.SPLITS)
    if picked == AGREEMENT:
        return PointValues(AGREEMENT, annotators.agreement(points))
    if picked in columns:
        return _by_column(points[columns[str(picked)]], str(picked))
    return figures.class_groups(points, benchmark.info.labels)


def _fixed(points: pd.DataFrame) -> list[str]:
    return [SPLIT, *([AGREEMENT] if annotators.voted_classes(points) else [])]


def _coloured_columns(points: pd.DataFrame) -> list[str]:
    """Returns the properties with several values that can be told apart by colour."""
    return [
        name
        for name in properties(points)
        if points[name].nunique() > 1
        and (pd.api.types.is_float_dtype(points[name]) or points[name].nunique() <= MOST_GROUPS)
    ]


def _by_column(values: pd.Series, title: str) -> PointGroups | PointValues:
    if pd.api.types.is_float_dtype(values):
        return PointValues(title, values.to_numpy(dtype=np.float64))
    if pd.api.types.is_bool_dtype(values):
        values = values.map({False: "no", True: "yes"})
    names = values.astype("object").where(values.notna(), "unknown").astype(str)
    names = names.where(names != "", "none")
    distinct = sorted(set(names) - {"unknown", "none"})
    return PointGroups(names, dict(zip(distinct, _GROUP_COLOURS, strict=False)))


def _region_accuracies(benchmark: Benchmark, ids: Sequence[str]) -> None:
    """Shows every model's accuracy on the test images of a region."""
    if not benchmark.runs:
        return
    try:
        board = results.board(benchmark, Scope())
    except ArtifactError:
        return
    table = tables.slice_table(board.results.entries, board.aligned, {"accuracy": ids})
    if table.empty:
        st.caption("The region has no test image, so the models have no accuracy on it.")
        return
    table.columns = pd.Index(["accuracy", "95% (%)"])
    table.insert(0, "model", [entry.title for entry in board.results.entries])
    inside_region = membership(board.aligned.ids, ids)
    if not inside_region.all():
        outside = board.aligned.right[:, ~inside_region].mean(axis=1)
        table["elsewhere"] = [
            outside[board.aligned.row(entry.run_id)] for entry in board.results.entries
        ]
    percent = percent_column()
    st.dataframe(
        table,
        hide_index=True,
        column_config=dict.fromkeys(("accuracy", "elsewhere"), percent),
        key="region-accuracy",
    )
    st.caption(
        f"Accuracy on the {int(inside_region.sum()):,} test images of the region with 95% Wilson "
        "intervals, and on the test images outside it; in the order of the leaderboard."
    )


def _axis_faces(benchmark: Benchmark) -> None:
    faces = benchmarks.mean_faces(benchmark)
    ends = {
        "axis/x/low": "far left",
        "axis/x/high": "far right",
        "axis/y/low": "bottom",
        "axis/y/high": "top",
    }
    if set(ends) <= faces.keys():
        strip([(Image.fromarray(faces[key]), name) for key, name in ends.items()])
        st.caption(
            "The ends of the map's axes: mean of the outermost 2% of the images at each end."
        )


def _follow_map() -> None:
    """Writes the region that was drawn on the map, or the clicked image, to the address."""
    selection = st.session_state["map"]["selection"]
    if (drawn := _drawn_region(selection)) is not None:
        st.query_params[Key.REGION] = drawn
    elif len(selection["points"]) == 1:
        viewer.open_sample(str(selection["points"][0]["customdata"][0]))


def _drawn_region(selection: Mapping[str, Any]) -> str | None:
    """Returns the corners of the selected region in the format of the address."""
    if selection.get("lasso"):
        corners = list(zip(selection["lasso"][0]["x"], selection["lasso"][0]["y"], strict=True))
    elif selection.get("box"):
        (left, right), (bottom, top) = selection["box"][0]["x"], selection["box"][0]["y"]
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    else:
        return None
    step = -(-len(corners) // REGION_CORNERS)
    return "_".join(f"{x:.3f},{y:.3f}" for x, y in corners[::step])


def _region_in_address() -> NDArray[np.float64] | None:
    """Returns the region that the address names, shape (K, 2), or None."""
    try:
        corners = [
            [float(value) for value in corner.split(",")]
            for corner in st.query_params.get(Key.REGION, "").split("_")
        ]
        region = np.array(corners, dtype=np.float64)
    except ValueError:
        return None
    usable = region.ndim == 2 and region.shape[1] == 2 and 3 <= len(region) <= 2 * REGION_CORNERS
    return region if usable and np.isfinite(region).all() else None
