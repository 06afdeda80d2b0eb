"""The sections of the page Where models look."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard import theme
from dashboard.cache import benchmarks, explanations, inference
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.figures import figure
from dashboard.components import chart, download, pickers, saliency_map
from dashboard.components.text import plain
from dashboard.components.tiles import tiles
from dashboard.state import BIND, Key
from fer_core.csv_text import csv_text
from fer_core.explain import tables
from fer_core.explain.methods import METHODS, title_of
from fer_core.explain.regions import PARTS, areas
from fer_core.figures.explanations import agreement_heatmap, share_heatmap
from fer_core.figures.overlay import region_picture

DEFAULT = "default"

RegionTables = Mapping[str, pd.DataFrame]
"""`regions.parquet` by run id."""

CLAIMS = {
    "mouth (smile) for happy": ("happy", "mouth"),
    "brows for angry": ("angry", "brows"),
    "open mouth for surprise": ("surprise", "mouth"),
    "wide eyes for surprise": ("surprise", "eyes"),
}
"""Common claims about such models, as class and face region."""


def region_tables(benchmark: Benchmark) -> RegionTables:
    """Returns the runs' tables; without any, shows the command to run and stops the page."""
    by_run = {
        run.run_id: table
        for run in benchmark.runs
        if (table := explanations.regions_of(run)) is not None
    }
    if not by_run:
        st.info("No model of this benchmark has been explained on the test images yet. Run:")
        st.code(f"python -m training explain {benchmark.info.name}", language="bash")
        st.stop()
    missing = [
        benchmark.titles[run.run_id]
        for run in benchmark.runs
        if run.run_id not in by_run and inference.can_predict(run)
    ]
    if missing:
        st.caption(
            f"Not explained yet: {plain(', '.join(missing))}. `python -m training explain "
            f"{benchmark.info.name}` adds them."
        )
    return by_run


def method_picker(by_run: RegionTables) -> str:
    """Shows a picker of the method; returns its key or `DEFAULT`."""
    measured = {key for table in by_run.values() for key in table["method"].unique()}
    known = [key for key in METHODS if key in measured]
    method = st.selectbox(
        "Saliency method",
        [DEFAULT, *known],
        format_func=method_title,
        key=Key.METHOD,
        bind=BIND,
        help="Each model's default is its best measured method among those that beat both "
        "baselines.",
    )
    return method or DEFAULT


def methods_by_run(benchmark: Benchmark, by_run: RegionTables, method: str) -> Mapping[str, str]:
    """Returns the key of each run's method: the picked one, or its most faithful one."""
    if method != DEFAULT:
        return dict.fromkeys(by_run, method)
    return {
        run_id: explanations.best_with_regions(benchmark, benchmark.run(run_id))
        for run_id in by_run
    }


def method_title(method: str) -> str:
    """Returns a method's display name."""
    if method == DEFAULT:
        return "each model's most faithful method"
    return title_of(method)


def region_legend(masks: Mapping[str, NDArray[np.bool_]], *, exact: bool) -> dict[str, float]:
    """Shows the face regions; returns the share of the picture that each covers."""
    left, right = st.columns([1, 4], gap="large", vertical_alignment="center")
    left.image(region_picture(masks), width="stretch", alt="The regions of a face")
    where = (
        "The average position of brows, eyes, nose and mouth. The saliency of each face is summed "
        "over its exact regions, which are known because these faces are drawn."
        if exact
        else "The assumed position of brows, eyes, nose and mouth in every crop: the average over "
        "drawn (synthetic) faces in the framing of the dataset. The position is inexact for turned "
        "faces. The drawn faces of the last table have exact masks."
    )
    right.caption(
        f"{where} In the table below, column titles give each region's share of the picture. "
        "Orange: the region's share of the saliency is larger than its share of the picture, so it "
        "gets more saliency than by chance. Blue: smaller."
    )
    return areas(masks)


def shares_by_model(
    benchmark: Benchmark,
    by_run: RegionTables,
    methods: Mapping[str, str],
    areas: Mapping[str, float],
) -> None:
    """Shows each model's shares of saliency by region, over all faces."""
    rows = {
        _row_title(benchmark.titles[run_id], run_id, methods): rows[list(PARTS)].mean()
        for run_id, table in by_run.items()
        if len(rows := _of(table, methods[run_id]))
    }
    if not rows:
        st.info("This method was not measured on any model.")
        return
    faces = max(table["id"].nunique() for table in by_run.values())
    chart.show(
        figure(share_heatmap, pd.DataFrame(rows).T, areas, dark=theme.is_dark()),
        "by-model",
        f"Mean share of positive saliency over {faces} test images, equally many of each "
        f"class; each map explains the predicted class.{_caveat(methods)}",
    )


def run_of(benchmark: Benchmark, by_run: RegionTables) -> Run:
    """Shows a picker of the explained models; returns the picked run."""
    runs = [run.run_id for run in benchmark.runs if run.run_id in by_run]
    return benchmark.run(pickers.run_picker(benchmark, runs))


def shares_by_class(
    benchmark: Benchmark, table: pd.DataFrame, method: str, areas: Mapping[str, float]
) -> None:
    """Shows a model's shares of saliency by region and predicted class."""
    rows = _of(table, method)
    if rows.empty:
        st.info("This method was not measured on this model.")
        return
    shares = rows.groupby("predicted")[list(PARTS)].mean()
    counts = rows["predicted"].value_counts()
    order = [label for label in benchmark.info.labels if label in shares.index]
    titled = shares.loc[order].rename(lambda label: f"{label} (n = {counts[label]})")
    chart.show(
        figure(share_heatmap, titled, areas, dark=theme.is_dark()),
        "by-class",
        "Mean share of positive saliency by region, one row per predicted class; n: number of "
        "faces.",
    )


def claims(benchmark: Benchmark, methods: Mapping[str, str]) -> None:
    """Shows whether common claims hold, model by model."""
    rows = []
    for text, (label, region) in CLAIMS.items():
        if label not in benchmark.info.labels:
            continue
        row: dict[str, str] = {"claim": text}
        for run_id, method in methods.items():
            result = explanations.claim(benchmark.run(run_id), method, label, region)
            if result is None:
                row[benchmark.titles[run_id]] = "not measured"
                continue
            word = {True: "yes", False: "no, the opposite", None: "inconclusive"}[result.holds]
            shares = f"{result.share:.0%} vs. {result.others:.0%} (n = {result.faces})"
            row[benchmark.titles[run_id]] = f"{word}: {shares}"
        rows.append(row)
    if not rows:
        return
    st.markdown("**Do common claims hold?**")
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="claims")
    st.caption(
        "Share of saliency on the region if the model predicts that class, vs. other classes; n: "
        f"faces with that prediction. Inconclusive: fewer than {tables.LEAST_FACES} faces, or the "
        "95% interval of the difference (Welch's t, not corrected for the number of claims) "
        "includes 0."
    )


def mean_maps(benchmark: Benchmark, run: Run, table: pd.DataFrame, method: str) -> None:
    """Shows the mean map of each class over its mean face."""
    maps = tables.mean_maps(table, method)
    evidence = explanations.evidence_of(benchmark, run, method)
    faces = benchmarks.mean_faces(benchmark)
    labels = [label for label in benchmark.info.labels if label in maps]
    if not labels:
        return
    st.markdown("**Mean map of each class, over its mean face**")
    counts = table.loc[table["method"] == method, "predicted"].value_counts()
    for column, label in zip(tiles(len(labels), "mean-maps"), labels, strict=True):
        mean = faces.get(f"train/{label}/mean")
        grey = np.full((48, 48), 128, np.uint8) if mean is None else mean.round().astype(np.uint8)
        picture = Image.fromarray(grey).resize((192, 192), Image.Resampling.BICUBIC)
        title = f"{label} (n = {counts[label]})"
        saliency_map.show(column, picture, maps[label], evidence, title)
    st.caption(
        f"Mean saliency over the n images with that prediction ({method_title(method)}), each map "
        "scaled to its maximum."
    )


def agreement(benchmark: Benchmark, by_run: RegionTables, methods: Mapping[str, str]) -> None:
    """Shows the correlation of the models' maps of the same faces."""
    compared = tuple(
        (benchmark.run(run_id), methods[run_id])
        for run_id, table in by_run.items()
        if len(_of(table, methods[run_id]))
    )
    if len(compared) < 2:
        st.info("Two explained models are needed for a comparison.")
        return
    chart.show(
        figure(agreement_heatmap, explanations.agreement(compared), benchmark.titles),
        "agreement",
        "Spearman's rank correlation of two models' maps of the same face, averaged over faces: 1 "
        "is the same ranking of regions, 0 no relation. Models can agree on the class and use "
        f"different regions.{_caveat(methods)}",
    )


def method_ranking(benchmark: Benchmark, run: Run) -> None:
    """Shows the faithfulness of each method on a model, compared with the baselines."""
    table = explanations.faithfulness(run)
    command = f"python -m training explain {benchmark.info.name} {run.run_id}"
    if table is None:
        st.info("The methods have not been tested on this model yet. Run:")
        st.code(command, language="bash")
        return
    faithful = tables.faithful_methods(table)
    _conclusion(plain(benchmark.titles[run.run_id]), table, faithful, command)
    st.dataframe(_ranking_rows(table, faithful), hide_index=True, key="ranking")
    st.caption(
        "Means with 95% bootstrap intervals over faces. ✓: the method beats both baselines on the "
        "same faces (not defined for stability and randomisation). Deletion: confidence "
        "while salient cells are removed; lower is better. Insertion: confidence while they are "
        "revealed; higher is better. ROAD: deletion with inpainting; above 0 is good. Stability: 1 "
        "if noise does not change the map; compare it between methods, not between models, whose "
        "inputs are normalised differently. Randomisation: rank correlation with the maps of the "
        "network after all its weights were made random (few faces); near 0 is good. Pointing "
        "game: how often the maximum lies on the regions of a drawn face that form its expression. "
        "Mass on evidence: the share of the map on these regions."
    )
    download.button(
        "Download (csv)",
        lambda: csv_text(table),
        f"{run.run_id}-faithfulness.csv",
    )


def _conclusion(title: str, table: pd.DataFrame, faithful: Sequence[str], command: str) -> None:
    """Shows which methods beat both baselines on a model."""
    if not set(tables.BASELINES) <= set(table["method"]):
        st.info(
            f"The baselines have not been measured on {title} yet, so its maps cannot be judged. "
            f"`{command}` continues."
        )
    elif faithful:
        names = ", ".join(method_title(key) for key in faithful)
        st.success(
            f"On {title}, these methods beat both baselines in deletion and insertion: {names}.",
            icon=":material/verified:",
        )
    else:
        st.warning(
            f"On {title}, no method beats both baselines in deletion and insertion: its maps are "
            "not reliable.",
            icon=":material/warning:",
        )


def _ranking_rows(table: pd.DataFrame, faithful: Sequence[str]) -> pd.DataFrame:
    """Returns one row per method, faithful ones first and baselines last."""
    rows = []
    for key, of_method in table.groupby("method", sort=False):
        method = str(key)
        row: dict[str, object] = {"method": method_title(method)}
        for item in of_method.itertuples():
            mark = " ✓" if item.beats is True else ""
            row[tables.METRICS[str(item.metric)]] = (
                f"{item.value:.2f} [{item.low:.2f}, {item.high:.2f}]{mark}"
            )
        rows.append(((method in tables.BASELINES, method not in faithful), row))
    ordered = [row for _, row in sorted(rows, key=lambda item: item[0])]
    return pd.DataFrame(ordered).reindex(columns=["method", *tables.METRICS.values()])


def _several(methods: Mapping[str, str]) -> bool:
    """Returns whether the models' maps come from different methods."""
    return len(set(methods.values())) > 1


def _caveat(methods: Mapping[str, str]) -> str:
    if not _several(methods):
        return ""
    return (
        " The method differs between models, so differences can come from the method. To "
        "compare only models, pick occlusion above, which every model supports."
    )


def _row_title(title: str, run_id: str, methods: Mapping[str, str]) -> str:
    return f"{title}<br>{method_title(methods[run_id])}" if _several(methods) else title


def _of(table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == method]
