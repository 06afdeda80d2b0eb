"""Regions, claims, mean maps, agreement and the league of methods on the page."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard import theme
from dashboard.cache import benchmarks, explanations
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.explain import tables
from fer_core.explain.methods import METHODS
from fer_core.explain.regions import PARTS, areas
from fer_core.figures.explanations import agreement_heatmap, share_heatmap
from fer_core.figures.overlay import heat_overlay, region_picture

DEFAULT = "default"
Measured = Mapping[str, pd.DataFrame]

CLAIMS = {
    "the smile for happy": ("happy", "mouth"),
    "the brows for angry": ("angry", "brows"),
    "the open mouth for surprise": ("surprise", "mouth"),
    "the wide eyes for surprise": ("surprise", "eyes"),
}
"""What is often said of such models, as class and part."""


def measured(chosen: Benchmark) -> Measured:
    """Returns the runs' tables; ends the page with the command to run if there is none."""
    found = {
        run.run_id: table
        for run in chosen.runs
        if (table := explanations.regions_of(run)) is not None
    }
    if not found:
        st.info("No model of this benchmark has been explained over the test images yet. Run:")
        st.code(f"python -m training explain {chosen.info.name}", language="bash")
        st.stop()
    missing = [
        chosen.titles[run.run_id]
        for run in chosen.runs
        if run.run_id not in found and benchmarks.answers_faces(run)
    ]
    if missing:
        st.caption(
            f"Not explained yet: {plain(', '.join(missing))}. "
            f"`python -m training explain {chosen.info.name}` adds them."
        )
    return found


def method_picker(found: Measured) -> str:
    """Shows which method's maps are looked at; returns its key or `DEFAULT`."""
    known = [key for key in METHODS if any(key in set(table["method"]) for table in found.values())]
    method = st.selectbox(
        "Maps of",
        [DEFAULT, *known],
        format_func=method_title,
        key=Key.METHOD,
        bind=BIND,
        help="The default is HiRes-CAM for CNNs, Chefer relevance for ViTs, and the mean of the "
        "members' maps for ensembles.",
    )
    return method or DEFAULT


def method_title(method: str) -> str:
    """Returns a method's name as the page shows it."""
    if method == DEFAULT:
        return "each model's default method"
    return "Members' maps" if method == tables.MEMBERS else METHODS[method].title


def region_legend(masks: Mapping[str, NDArray[np.bool_]], *, exact: bool) -> dict[str, float]:
    """Shows where the parts are taken to be; returns the share of the picture that each covers."""
    left, right = st.columns([1, 4], gap="large", vertical_alignment="center")
    left.image(region_picture(masks), width="stretch")
    where = (
        "Where brows, eyes, nose and mouth mostly are. These faces are drawn, so each one's own "
        "parts are known exactly, and its saliency is counted on them."
        if exact
        else "Where brows, eyes, nose and mouth are taken to be in every crop: the known places on "
        "drawn faces, moved to the framing of the dataset and averaged. Faces turned far away "
        "blur this; the drawn faces of the last table have exact masks."
    )
    right.caption(
        f"{where} A part is looked at more than by chance where its share of the saliency is "
        "larger than its share of the picture: orange below; blue is less."
    )
    return areas(masks)


def shares_by_model(
    chosen: Benchmark, found: Measured, method: str, parts: Mapping[str, float]
) -> None:
    """Shows each model's shares over all faces."""
    rows = {
        _row_title(chosen, found, run_id, method): own[list(PARTS)].mean()
        for run_id, table in found.items()
        if len(own := _of(chosen.run(run_id), table, method))
    }
    if not rows:
        st.info("This method was measured on none of the models.")
        return
    st.plotly_chart(
        share_heatmap(pd.DataFrame(rows).T, parts, dark=theme.is_dark()), key="by-model"
    )
    faces = max(table["id"].nunique() for table in found.values())
    st.caption(
        f"Mean share of positive saliency over {faces} test images, the classes in equal parts; "
        f"each map explains the model's own answer.{_caveat(chosen, found, method)}"
    )


def run_of(chosen: Benchmark, found: Measured) -> Run:
    """Shows which explained model is looked at; returns it."""
    runs = [run.run_id for run in chosen.runs if run.run_id in found]
    return chosen.run(pickers.run_picker(chosen, runs))


def shares_by_class(
    chosen: Benchmark, run: Run, table: pd.DataFrame, method: str, parts: Mapping[str, float]
) -> None:
    """Shows a model's shares by the emotion that it saw."""
    own = _of(run, table, method)
    if own.empty:
        st.info("This method was not measured on this model.")
        return
    shares = own.groupby("predicted")[list(PARTS)].mean()
    order = [label for label in chosen.info.labels if label in shares.index]
    st.plotly_chart(share_heatmap(shares.loc[order], parts, dark=theme.is_dark()), key="by-class")
    st.caption("Rows are the emotions that the model answered.")


def claims(found: Measured, chosen: Benchmark, method: str) -> None:
    """Shows whether common sayings hold, model by model."""
    rows = []
    for saying, (label, part) in CLAIMS.items():
        if label not in chosen.info.labels:
            continue
        row: dict[str, str] = {"saying": saying}
        for run_id, table in found.items():
            key = _key(chosen.run(run_id), method)
            result = tables.claim(table, key, label, part)
            if result is None:
                row[chosen.titles[run_id]] = "not measured"
                continue
            word = {True: "yes", False: "no, the opposite", None: "not shown"}[result.holds]
            row[chosen.titles[run_id]] = f"{word}: {result.share:.0%} against {result.others:.0%}"
        rows.append(row)
    if not rows:
        return
    st.markdown("**Smiles for happy, eyebrows for angry?**")
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="claims")
    st.caption(
        "Share of saliency on the part where the model answers that emotion, against its other "
        "answers. Yes or no only where the 95% bootstrap interval of the difference leaves 0 out."
    )


def mean_maps(chosen: Benchmark, run: Run, table: pd.DataFrame, method: str) -> None:
    """Shows each emotion's mean map over the mean face."""
    maps = tables.mean_maps(table, _key(run, method)) if len(_of(run, table, method)) else {}
    faces = benchmarks.mean_faces(chosen)
    labels = [label for label in chosen.info.labels if label in maps]
    if not labels:
        return
    st.markdown("**The mean map of each emotion, over its mean face**")
    for column, label in zip(st.columns(len(labels)), labels, strict=True):
        mean = faces.get(f"train/{label}/mean")
        grey = np.full((48, 48), 128, np.uint8) if mean is None else mean.round().astype(np.uint8)
        picture = Image.fromarray(grey).resize((192, 192), Image.Resampling.BICUBIC)
        column.image(heat_overlay(picture, maps[label]), caption=label, width="stretch")
    st.caption("Maps of the faces for which the model gave that answer, each scaled to its peak.")


def agreement(chosen: Benchmark, found: Measured, method: str) -> None:
    """Shows how alike the models' maps of the same faces are."""
    own = {
        run_id: rows
        for run_id, table in found.items()
        if len(rows := _of(chosen.run(run_id), table, method))
    }
    if len(own) < 2:
        st.info("It takes two explained models to compare them.")
        return
    st.plotly_chart(agreement_heatmap(tables.agreement(own), chosen.titles), key="agreement")
    st.caption(
        "Spearman's rank correlation of two models' maps of the same face, averaged over faces: 1 "
        "is the same order of places, 0 no relation. Models may agree on the answer and look "
        f"elsewhere.{_caveat(chosen, found, method)}"
    )


def league(chosen: Benchmark, run: Run) -> None:
    """Shows how far each method can be believed on a model."""
    table = explanations.faithfulness(run)
    if table is None:
        st.info("The methods have not been tested on this model yet. Run:")
        st.code(f"python -m training explain {chosen.info.name} {run.run_id}", language="bash")
        return
    faithful = tables.faithful_methods(table)
    name = plain(chosen.titles[run.run_id])
    if not set(tables.BASELINES) <= set(table["method"]):
        st.info(
            f"The controls have not been measured on {name} yet, so nothing can be said of its "
            f"maps. `python -m training explain {chosen.info.name} {run.run_id}` goes on."
        )
    elif faithful:
        names = ", ".join(method_title(key) for key in faithful)
        st.success(
            f"On {name}, better than both controls in deletion and insertion: {names}.",
            icon=":material/verified:",
        )
    else:
        st.warning(
            f"On {name}, no method beats both controls in deletion and insertion: do not believe "
            "its maps.",
            icon=":material/warning:",
        )
    rows = []
    for method, own in table.groupby("method", sort=False):
        row: dict[str, object] = {"method": method_title(str(method))}
        for item in own.itertuples():
            star = " ✓" if item.beats is True else ""
            row[tables.METRICS[str(item.metric)]] = (
                f"{item.value:.2f} [{item.low:.2f}, {item.high:.2f}]{star}"
            )
        rows.append((str(method) not in tables.BASELINES, str(method) in faithful, row))
    ordered = [row for _, _, row in sorted(rows, key=lambda item: (-item[0], -item[1]))]
    columns = ["method", *tables.METRICS.values()]
    st.dataframe(pd.DataFrame(ordered).reindex(columns=columns), hide_index=True, key="league")
    st.caption(
        "Means with 95% bootstrap intervals over faces; ✓ where the method beats both controls on "
        "the same faces (not asked of stability and randomisation: a map that never moves is "
        "perfect in the one and hopeless in the other). Deletion: low is good, the model loses "
        "confidence when marked cells go. "
        "Insertion: high is good. ROAD: the same with removed cells filled in from around; above 0 "
        "is good. Stability: 1 if a little noise leaves the map as it is. Randomisation: likeness "
        "to the maps of a network with random weights; near 0 is good, a map that stays shows the "
        "picture and not the model. Pointing game and mass on evidence: how often the peak, and "
        "how much of the map, lies on the parts of drawn faces that make the expression, asked for "
        "that expression whether or not the model recognises it in a drawing."
    )
    st.download_button(
        "Download (csv)",
        table.to_csv(index=False),
        file_name=f"{run.run_id}-faithfulness.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _several(chosen: Benchmark, found: Measured, method: str) -> bool:
    """Whether the models' maps are not all of one method."""
    return len({_key(chosen.run(run_id), method) for run_id in found}) > 1


def _caveat(chosen: Benchmark, found: Measured, method: str) -> str:
    if not _several(chosen, found, method):
        return ""
    return (
        " The default is another method for CNNs (HiRes-CAM), ViTs (Chefer relevance) and "
        "ensembles (their members' maps), and methods differ as well as models: to compare models "
        "alone, take occlusion above, which suits all."
    )


def _row_title(chosen: Benchmark, found: Measured, run_id: str, method: str) -> str:
    title = chosen.titles[run_id]
    if not _several(chosen, found, method):
        return title
    return f"{title}: {method_title(_key(chosen.run(run_id), method))}"


def _key(run: Run, method: str) -> str:
    return explanations.default_of(run) if method == DEFAULT else method


def _of(run: Run, table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == _key(run, method)]
