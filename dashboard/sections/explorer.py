"""The sections of the Dataset explorer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks, dataset, results
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import chart, pickers, slices, viewer
from dashboard.components.attach import need_pictures
from dashboard.components.columns import share_bar
from dashboard.components.gallery import Card, gallery, mean_face_row, strip
from dashboard.components.text import column_title
from dashboard.state import BIND, Key
from fer_core.data import annotators
from fer_core.data.embedding import inside
from fer_core.data.outliers import MEASURES
from fer_core.data.sources.base import SPLITS
from fer_core.errors import ArtifactError
from fer_core.evaluation.saved_slices import membership
from fer_core.evaluation.scope import Scope
from fer_core.figures import charts, tables
from fer_core.figures import dataset as dataset_figures
from fer_core.figures.palette import class_colour

PAGE_SIZE = 40
REGION_CORNERS = 24
"""Largest number of a region's corners in the address."""

SHOWN_SPLITS = (*SPLITS, "excluded")
SORTS: Mapping[str, str] = {
    "id": "Id",
    "brightness": "Dark to bright",
    "contrast": "Low to high contrast",
    "sharpness": "Blurred to sharp",
    "outlier": "Strongest outliers first",
    "agreement": "Lowest agreement first",
}
_DESCENDING = {"outlier"}
MEASURE_TITLES = {name: measure.title for name, measure in MEASURES.items()} | {"width": "Size"}


def needs_columns(samples: pd.DataFrame, *columns: str) -> bool:
    """Returns whether the samples have the columns; if not, shows how to add them."""
    if set(columns) <= set(samples.columns):
        return True
    st.info(
        "An earlier version of FERscope prepared this dataset. Prepare it again to see this view."
    )
    return False


def filters(benchmark: Benchmark, samples: pd.DataFrame) -> pd.DataFrame:
    """Shows the filters and returns the samples that pass them."""
    columns = st.columns([2, 4, 2])
    with columns[0]:
        split = st.selectbox("Split", ["all", *SHOWN_SPLITS], key=Key.SPLIT, bind=BIND)
    with columns[1]:
        classes = st.pills(
            "Classes (all if none is selected)",
            list(benchmark.info.labels),
            selection_mode="multi",
            key=Key.EMOTIONS,
            bind=BIND,
        )
    sources = sorted(samples["source"].unique())
    picked: list[str] = []
    if len(sources) > 1:
        with columns[2]:
            picked = st.multiselect("Sources (all if empty)", sources, key=Key.SOURCES, bind=BIND)
    mask = np.ones(len(samples), dtype=bool)
    if split in SHOWN_SPLITS:
        mask &= (samples["split"] == split).to_numpy()
    if classes:
        mask &= samples["label"].isin(classes).to_numpy()
    if picked:
        mask &= samples["source"].isin(picked).to_numpy()
    return samples[mask]


def counts(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows the number of images by class, split and source, and the reasons of exclusions."""
    labels = benchmark.info.labels
    chart.show(
        charts.class_balance(benchmark.info.counts, labels),
        "balance",
        "Share of each class by split, without excluded images.",
    )
    by = "source" if samples["source"].nunique() > 1 else "split"
    table = pd.crosstab(samples["label"], samples[by])
    order = [name for name in SHOWN_SPLITS if name in table.columns] if by == "split" else None
    table = table[order] if order else table
    chart.show(
        dataset_figures.class_counts(table, labels),
        "counts",
        f"Number of images by class and {by}, including excluded images that have a class. The "
        "reasons for exclusion are listed below.",
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**By class and split**")
        st.dataframe(
            pd.DataFrame(benchmark.info.counts).assign(all=lambda t: t.sum(axis=1)), key="table"
        )
    with right:
        st.markdown("**Excluded images**")
        reasons = pd.Series(dict(benchmark.info.excluded), name="images", dtype=int)
        if reasons.empty:
            st.caption("No image was excluded.")
        else:
            st.dataframe(
                reasons.rename_axis("reason").reset_index(), hide_index=True, key="excluded"
            )


def sample_grid(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows the samples that pass the filters, as faces or as a table."""
    table = filters(benchmark, samples)
    sorts = {
        name: title
        for name, title in SORTS.items()
        if name in samples.columns or (name == "agreement" and annotators.voted_classes(samples))
    }
    sort = pickers.switch("Order", sorts, Key.SORT)
    key = (
        pd.Series(annotators.agreement(table), index=table.index)
        if sort == "agreement"
        else table[sort]
    )
    table = table.loc[key.sort_values(ascending=sort not in _DESCENDING, kind="stable").index]
    st.caption(f"{len(table):,} images")
    show_samples(benchmark, table, key="grid")


def show_samples(benchmark: Benchmark, table: pd.DataFrame, key: str) -> None:
    """Shows one page of samples as a table, and as faces if there are pictures."""
    if table.empty:
        st.info("No image passes these filters.")
        return
    page = pickers.page(len(table), PAGE_SIZE)
    shown = table.iloc[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, key)
    else:
        labels = benchmark.info.labels
        gallery(
            [
                Card(
                    picture,
                    row.label if isinstance(row.label, str) else "no class",
                    str(row.excluded or row.split),
                    class_colour(str(row.label), labels) if row.label in labels else "transparent",
                    str(row.id),
                )
                for row in shown.itertuples(index=False)
                if (picture := pictures.get(str(row.id))) is not None
            ],
            key=f"faces-{key}",
            on_open=viewer.open_sample,
        )
    facts = ["id", "label", "second_label", "split", "excluded", *MEASURES, "width", "height"]
    with st.expander("Table of these images", expanded=pictures is None):
        st.dataframe(
            shown[[name for name in facts if name in shown.columns]],
            hide_index=True,
            key=key,
            column_config={"second_label": column_title("second_label")},
        )
    viewer.offer(benchmark, table["id"])


def mean_faces(benchmark: Benchmark) -> None:
    """Shows mean faces, their standard deviation, and the means of successive batches."""
    faces = benchmarks.mean_faces(benchmark)
    if not faces:
        st.info("The mean faces are missing or damaged. Prepare the dataset again.")
        return
    mean_face_row(benchmark.info, faces)
    st.markdown("**Standard deviation of each class**")
    spread = [
        (_grey_image(faces[key]), label)
        for label in benchmark.info.labels
        if (key := f"train/{label}/std") in faces
    ]
    strip(spread)
    st.caption(
        "Standard deviation of the pixels of each class, scaled to the full range. The images of a "
        "class differ most in the bright areas, such as hair, background and mouth."
    )
    batches = {
        label: faces[f"batch/{label}"]
        for label in benchmark.info.labels
        if f"batch/{label}" in faces
    }
    if batches:
        st.markdown("**Mean faces of successive batches**")
        label = pickers.switch("Class", {name: name for name in batches}, Key.BATCH)
        strip([(Image.fromarray(face), f"batch {n}") for n, face in enumerate(batches[label], 1)])
        st.caption(
            "Each picture is the mean of one of up to eight parts of the class's training images, "
            "in the order of the dataset. If one differs from the others, check its images."
        )


def statistics(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows distributions of the image statistics."""
    titles = {name: t for name, t in MEASURE_TITLES.items() if name in samples.columns}
    left, right = st.columns([3, 1])
    with left:
        name = pickers.switch("Statistic", titles, Key.MEASURE)
    with right:
        by = pickers.switch("Compare", {"label": "Classes", "split": "Splits"}, Key.BY)
    labels = benchmark.info.labels
    groups = list(labels) if by == "label" else list(SHOWN_SPLITS)
    values = {
        group: group_values
        for group in groups
        if len(group_values := samples.loc[samples[by] == group, name].to_numpy(dtype=np.float64))
    }
    colours = (
        {label: class_colour(label, labels) for label in labels}
        if by == "label"
        else dict(dataset_figures.SPLITS)
    )
    log = name in MEASURES and MEASURES[name].ratio
    chart.show(
        dataset_figures.histogram(values, colours, titles[name], log),
        "histogram",
        _STATISTIC_HELP[name],
    )
    summary = pd.DataFrame(
        {
            group: np.nanquantile(group_values, [0.05, 0.5, 0.95])
            for group, group_values in values.items()
            if np.isfinite(group_values).any()
        },
        index=["5% quantile", "median", "95% quantile"],
    ).T
    st.dataframe(summary, key="summary")


_STATISTIC_HELP = {
    "brightness": "Mean grey level, 0 (black) to 255 (white).",
    "contrast": "Standard deviation of the grey levels.",
    "sharpness": "Variance of the Laplacian: low for blurred pictures, high for noisy ones.",
    "outlier": (
        "Share of a picture's variance that the principal components of all pictures do not "
        "explain, 0 to 1; high for unusual framings and for pictures without a face."
    ),
    "width": "Width in pixels before resizing.",
}


def dataset_map(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows the map of all images, and the faces of the selected region."""
    if not needs_columns(samples, "x", "y"):
        return
    card = dataset.card(benchmark)
    region = _region_in_address()
    caption = (
        "Each dot is an image at its first two principal components, after normalising brightness "
        "and contrast (eigenfaces). They reflect mostly light, framing and pose; labels are not "
        f"used. Up to {dataset.MAP_POINTS:,} images are drawn; a region selects among all images. "
        "Click a dot to open its image."
    )
    st.plotly_chart(
        dataset_figures.dataset_map(
            dataset.map_points(benchmark),
            benchmark.info.labels,
            region,
            card.explained if card else (),
        ),
        on_select=_follow_map,
        selection_mode=("points", "lasso", "box"),
        key="map",
        alt=caption,
    )
    st.caption(caption)
    _axis_faces(benchmark)
    if region is None:
        st.info("Select a region of the map to see its faces.", icon=":material/gesture:")
        _region_by_limits(samples)
        return
    selected = samples[inside(samples[["x", "y"]].to_numpy(dtype=np.float64), region)]
    st.subheader(f"{len(selected):,} images in the region", anchor=False)
    shares = selected["label"].value_counts(normalize=True)
    st.caption(", ".join(f"{label} {share:.0%}" for label, share in shares.items()))
    ids = [str(sample_id) for sample_id in selected["id"]]
    with st.container(horizontal=True):
        if st.button("Clear selection", icon=":material/close:"):
            del st.query_params[Key.REGION]
            st.rerun()
        slices.save_button(benchmark, lambda: ids, "region of the map of images", "region")
    _region_accuracies(benchmark, ids)
    show_samples(benchmark, selected, key="region")


def _region_by_limits(samples: pd.DataFrame) -> None:
    """Shows limits of the map's axes, for readers who cannot draw a region."""
    with st.popover("Select a region by its limits", icon=":material/crop:", type="tertiary"):
        limits = []
        for axis, title in (
            ("x", "First principal component"),
            ("y", "Second principal component"),
        ):
            low, high = float(samples[axis].min()), float(samples[axis].max())
            if low == high:  # a slider needs two ends
                return
            limits.append(st.slider(title, low, high, (low, high), key=f"limits-{axis}"))
        region = _drawn_region({"box": [{"x": limits[0], "y": limits[1]}]})
        if st.button("Select the region", key="limits-select") and region is not None:
            st.query_params[Key.REGION] = region
            st.rerun()


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
        st.caption("No test image is in the region, so there is no accuracy of the models on it.")
        return
    table.columns = pd.Index(["accuracy", "95% (%)"])
    table.insert(0, "model", [entry.info.title for entry in board.results.entries])
    bar = share_bar()
    st.dataframe(table, hide_index=True, column_config={"accuracy": bar}, key="region-accuracy")
    inside = membership(board.aligned.ids, ids)
    elsewhere = board.aligned.right[0, ~inside].mean() if not inside.all() else float("nan")
    st.caption(
        f"Accuracy on the {int(inside.sum()):,} test images of the region, with 95% Wilson "
        f"intervals, in the order of the leaderboard. {board.results.entries[0].info.title} is "
        f"right on {elsewhere:.1%} of the test images outside it."
    )


def votes(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows the annotators' agreement, their votes by label, and a second annotation."""
    labels = benchmark.info.labels
    used = samples[samples["split"] != "excluded"]
    if annotators.voted_classes(samples):
        st.subheader("Annotator agreement", anchor=False)
        _agreement_by_class(used, labels)
        chart.show(
            dataset_figures.vote_heatmap(annotators.votes_by_label(used, labels)),
            "votes",
            "Share of the annotators' votes (columns) for the images of each label (rows).",
        )
    else:
        st.info("This dataset has no annotator votes.", icon=":material/how_to_vote:")
    compared = annotators.annotations_compared(used, labels)
    if compared is not None:
        st.subheader("Compared with the second annotation", anchor=False)
        agree = np.trace(compared.to_numpy()) / compared.to_numpy().sum()
        chart.show(
            dataset_figures.annotation_heatmap(compared),
            "annotations",
            f"The two annotations of the same {compared.to_numpy().sum():,} images agree on "
            f"{agree:.1%} of them.",
        )


def _agreement_by_class(samples: pd.DataFrame, labels: Sequence[str]) -> None:
    agreement = pd.Series(annotators.agreement(samples), index=samples.index)
    by_class = agreement.groupby(samples["label"])
    table = pd.DataFrame(
        {
            "images": by_class.size(),
            "mean agreement": by_class.mean(),
            "unanimous": (agreement == 1).groupby(samples["label"]).mean(),
        }
    )
    table = table.reindex(list(labels)).fillna({"images": 0}).astype({"images": "int64"})
    bar = share_bar()
    st.dataframe(
        table.rename_axis("class").reset_index(),
        hide_index=True,
        column_config={"mean agreement": bar, "unanimous": bar},
        key="agreement",
    )
    st.caption(
        "Mean agreement: share of the votes for the most frequent class, averaged over the "
        "images of a class. Unanimous: share of images on which all annotators agree."
    )


def _grey_image(values: NDArray[np.float32]) -> Image.Image:
    """Returns values as a picture, scaled from the lowest (black) to the highest (white)."""
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8))


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
