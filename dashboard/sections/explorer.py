"""The sections of the Dataset explorer."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.components import chart, opening_table, pickers, stored_samples
from dashboard.components.columns import share_bar
from dashboard.components.gallery import mean_face_row, strip
from dashboard.components.opening_table import TableTarget
from dashboard.state import BIND, EXPLORER_SAMPLES, Key
from fer_core.data import annotators
from fer_core.data.outliers import MEASURES
from fer_core.data.sources.base import SPLITS
from fer_core.figures import charts
from fer_core.figures import dataset as dataset_figures
from fer_core.figures.palette import class_colour

VIEWS: Mapping[str, str] = {
    "counts": "Classes",
    "samples": EXPLORER_SAMPLES,
    "faces": "Mean faces",
    "statistics": "Image statistics",
    "map": "Map",
    "votes": "Annotators",
}
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
    if split == "excluded":
        mask &= _reason_filter(samples)
    if classes:
        mask &= samples["label"].isin(classes).to_numpy()
    if picked:
        mask &= samples["source"].isin(picked).to_numpy()
    return samples[mask]


def _reason_filter(samples: pd.DataFrame) -> NDArray[np.bool_]:
    """Shows a picker of the reason of exclusion; returns a mask of the samples with it."""
    reasons = samples["excluded"].astype("object").fillna("")
    known = sorted(set(reasons[reasons != ""]))
    picked = st.selectbox("Reason of exclusion", ["all", *known], key=Key.EXCLUDED, bind=BIND)
    if picked not in known:
        return np.ones(len(samples), dtype=bool)
    return np.asarray(reasons == picked, dtype=bool)


def counts(benchmark: Benchmark, samples: pd.DataFrame) -> None:
    """Shows the number of images by class, split and source, and the reasons of exclusions."""
    labels = benchmark.info.labels
    whole = len(samples) == len(benchmarks.samples(benchmark))
    by_split = pd.DataFrame(benchmark.info.counts) if whole else _by_split(samples, labels)
    balance = {
        str(split): dict(zip(labels, by_split[split].reindex(list(labels)).tolist(), strict=True))
        for split in by_split
    }
    chart.show(
        figure(charts.class_balance, balance, labels),
        "balance",
        "Share of each class by split, without excluded images.",
    )
    by = "source" if samples["source"].nunique() > 1 else "split"
    table = pd.crosstab(samples["label"], samples[by])
    order = [name for name in SHOWN_SPLITS if name in table.columns] if by == "split" else None
    table = table[order] if order else table
    chart.show(
        figure(dataset_figures.class_counts, table, labels),
        "counts",
        f"Number of images by class and {by}, including excluded images that have a class. The "
        "reasons for exclusion are listed below.",
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**By class and split**")
        by_split = by_split.assign(all=by_split.sum(axis=1))
        opening_table.show(
            by_split,
            lambda row, column: _samples_of(label=str(by_split.index[row]), split=column),
            "table",
            hide_index=False,
        )
    with right:
        _excluded(benchmark.info.excluded if whole else _reasons(samples))
    st.caption(opening_table.HINT)


def _reasons(samples: pd.DataFrame) -> dict[str, int]:
    """Returns the number of excluded samples by reason."""
    reasons = samples.loc[samples["split"] == "excluded", "excluded"]
    return {str(reason): int(count) for reason, count in reasons.value_counts().items()}


def _excluded(counted: Mapping[str, int]) -> None:
    """Shows the number of excluded images by reason."""
    st.markdown("**Excluded images**")
    reasons = pd.Series(dict(counted), name="images", dtype=int)
    if reasons.empty:
        st.caption("No image was excluded.")
        return
    opening_table.show(
        reasons.rename_axis("reason").reset_index(),
        lambda row, _: _samples_of(split="excluded", reason=str(reasons.index[row])),
        "excluded-counts",
    )


def _by_split(samples: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Returns the number of samples by class and split, without excluded ones."""
    table = pd.crosstab(samples["label"], samples["split"])
    return table.reindex(index=list(labels), columns=list(SPLITS), fill_value=0)


def _samples_of(label: str = "", split: str = "all", reason: str = "") -> TableTarget:
    """Returns the view of the samples of a class, a split and a reason of exclusion."""
    query = {Key.SPLIT: split, Key.EMOTIONS: label, Key.EXCLUDED: reason}
    return TableTarget(
        query={key: value for key, value in query.items() if value}, picks={Key.VIEW: "samples"}
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
    stored_samples.show(benchmark, table, key="grid")


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
    titles = {
        name: t for name, t in stored_samples.MEASURE_TITLES.items() if name in samples.columns
    }
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
        f"Distribution by {'class' if by == 'label' else 'split'}. {_STATISTIC_HELP[name]}",
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
            "unanimous": (agreement == 1).where(agreement.notna()).groupby(samples["label"]).mean(),
        }
    )
    table = table.reindex(list(labels)).fillna({"images": 0}).astype({"images": "int64"})
    bar = share_bar()
    opening_table.show(
        table.rename_axis("class").reset_index(),
        lambda row, _: _samples_of(label=str(table.index[row])),
        "agreement",
        {"mean agreement": bar, "unanimous": bar},
    )
    st.caption(
        "Mean agreement: share of the votes for the most frequent class, averaged over the "
        "images of a class. Unanimous: share of images on which all annotators agree."
    )


def _grey_image(values: NDArray[np.float32]) -> Image.Image:
    """Returns values as a picture, scaled from the lowest (black) to the highest (white)."""
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8))
