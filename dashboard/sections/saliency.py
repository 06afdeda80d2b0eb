"""The sections of the Saliency lab: a grid of methods and models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from dashboard.cache import explanations, results
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.explanations import MapRequest
from dashboard.components import chart, download, pickers, saliency_map
from dashboard.components.excluded import predicting_runs
from dashboard.components.saliency_map import SIGNED, OverlayStyle
from dashboard.components.text import plain
from dashboard.components.tiles import tiles
from dashboard.state import BIND, PREDICTED_CLASS, Key
from dashboard.work_queue import queued
from fer_core.explain.methods import METHODS
from fer_core.explain.methods import title_of as method_name
from fer_core.explain.saliency import SaliencyMap
from fer_core.explain.tables import BASELINES
from fer_core.figures.explanations import CurvePair, curves_chart
from fer_core.figures.overlay import SCALES, overlay_sheet

if TYPE_CHECKING:
    from fer_core.explain.faithfulness import Curves

DEFAULT = "default"
TRUE = "true class"
NONE = "none"
DEFAULT_DEPTH = "default"
_DEPTHS = (DEFAULT_DEPTH, "0%", "20%", "40%", "60%", "80%", "100%")
_HEADS = ("mean", *(str(number) for number in range(1, 13)))


PER_ROW = 8

Cells = Mapping[tuple[str, str], SaliencyMap | str]
Tests = Mapping[tuple[str, str], "Curves"]
"""Faithfulness curves by method and run."""


@dataclass(frozen=True)
class Grid:
    """Maps of one face, one row per method and one column per model.

    Attributes:
        runs: The models.
        methods: Keys of the methods.
        cells: Each map, or the reason why there is none.
        style: Options of the overlays.
    """

    runs: Sequence[Run]
    methods: Sequence[str]
    cells: Cells
    style: OverlayStyle


def title_of(method: str) -> str:
    """Returns a method's display name."""
    return "Each model's default" if method == DEFAULT else METHODS[method].title


def run_and_method_pickers(benchmark: Benchmark) -> tuple[list[Run], list[str]]:
    """Shows pickers of models and methods."""
    offered = predicting_runs(benchmark)
    runs = [run for run in benchmark.runs if run.run_id in offered]
    run_ids = [run.run_id for run in runs]
    picked = pickers.models(benchmark, run_ids, run_ids[:8])
    methods = st.pills(
        "Methods",
        [DEFAULT, *METHODS],
        default=[DEFAULT],
        selection_mode="multi",
        format_func=title_of,
        key=Key.METHODS,
        bind=BIND,
        wrap=True,
        help="Each model's default is the fastest of its methods that beat both baselines on "
        "validation images. Occlusion, Ablation-CAM and integrated gradients run the model many "
        "times and take longer.",
    )
    return [run for run in runs if run.run_id in picked], list(methods or [])


def request_picker(labels: Sequence[str], methods: Sequence[str], true: str | None) -> MapRequest:
    """Shows pickers of the explained class and the layer; returns the request without a method.

    Args:
        labels: The classes.
        methods: The picked methods.
        true: The face's label, if it has one.
    """
    known = [PREDICTED_CLASS, TRUE] if true in labels else [PREDICTED_CLASS]
    if st.session_state.get(Key.TARGET) == TRUE and TRUE not in known:
        st.session_state[Key.TARGET] = PREDICTED_CLASS
    left, right = st.columns(2)
    with left:
        target = st.selectbox("Explain class", [*known, *labels], key=Key.TARGET, bind=BIND)
        target = str(true) if target == TRUE else target
    with right:
        contrast = st.selectbox(
            "instead of", [NONE, *labels], key=Key.CONTRAST, bind=BIND,
            help="Contrast: evidence for the first class relative to this one.",
        )  # fmt: skip
    depth, head = DEFAULT_DEPTH, _HEADS[0]
    if any(name != DEFAULT and METHODS[name].needs_network for name in methods):
        left, right = st.columns(2)
        with left:
            depth = st.select_slider(
                "Layer depth for CAMs and attention", _DEPTHS, key=Key.DEPTH, bind=BIND,
                help="0% is the first layer, 100% the last one; for CAMs of ViTs, the last one in "
                "which patches still affect the logits. Ensembles use their members' defaults.",
            )  # fmt: skip
        with right:
            if any(name != DEFAULT and METHODS[name].reads_head for name in methods):
                head = st.select_slider("Attention head", _HEADS, key=Key.HEAD, bind=BIND)
    return MapRequest(
        target=None if target == PREDICTED_CLASS else labels.index(str(target)),
        contrast=None if contrast == NONE else labels.index(contrast),
        depth=None if depth == DEFAULT_DEPTH else int(depth.rstrip("%")) / 100,
        head=None if head == _HEADS[0] else int(head) - 1,
    )


def overlay_style() -> OverlayStyle:
    """Shows the options of the overlays."""
    left, right = st.columns(2)
    with left:
        opacity = st.slider("Opacity", 0, 100, 62, 2, key=Key.OPACITY, bind=BIND, format="%d%%")
    with right:
        scale = st.selectbox("Colours", [*SCALES, SIGNED], key=Key.SCALE, bind=BIND)
    return OverlayStyle(opacity / 100, scale)


def compute(
    benchmark: Benchmark,
    runs: Sequence[Run],
    methods: Sequence[str],
    face: NDArray[np.uint8],
    request: MapRequest,
) -> Cells:
    """Returns each map, or the reason why there is none; waits for a turn to compute them."""
    with queued("maps", *_named(benchmark, runs), *methods, face.tobytes(), request):
        return {
            (method, run.run_id): explanations.saliency(benchmark, run, face, _of(request, method))
            for method in methods
            for run in runs
        }


def _named(benchmark: Benchmark, runs: Sequence[Run]) -> list[str]:
    return [benchmark.info.name, *(run.run_id for run in runs)]


def wants_test() -> bool:
    """Shows a toggle; returns whether to test the faithfulness of each map."""
    return st.toggle(
        "Test each map on this face", key=Key.CURVES, bind=BIND,
        help="Does the prediction change when salient regions are removed? Runs each model 26 "
        "times per map.",
    )  # fmt: skip


def test(
    benchmark: Benchmark,
    runs: Sequence[Run],
    methods: Sequence[str],
    face: NDArray[np.uint8],
    request: MapRequest,
) -> Tests:
    """Returns the curves of each map and of the baselines, where a map can be tested."""
    baselines = [name for name in BASELINES if name not in methods]
    with queued("curves", *_named(benchmark, runs), *methods, face.tobytes(), request):
        results = {
            (method, run.run_id): explanations.curves(benchmark, run, face, _of(request, method))
            for run in runs
            for method in [*methods, *baselines]
        }
    return {key: result for key, result in results.items() if not isinstance(result, str)}


def show(benchmark: Benchmark, grid: Grid, tests: Tests, face: NDArray[np.uint8]) -> None:
    """Shows the grid, one row per method, and a button that downloads it as one picture."""
    picture = Image.fromarray(face)
    tiles: list[list[Image.Image | None]] = []
    notes: list[list[str]] = []
    for method in grid.methods:
        st.markdown(f"**{title_of(method)}**")
        if method != DEFAULT:
            st.caption(f"{METHODS[method].summary} {METHODS[method].reference}")
        row = _row(benchmark, grid, method, tests, picture)
        tiles.append([picture, *(tile for tile, _ in row)])
        notes.append(["", *(note for _, note in row)])
    st.caption(
        "Bright regions are evidence for the class; without evidence, the face stays grey. Each "
        "map is scaled separately, so brightness cannot be compared between maps."
    )
    download.button(
        "All maps (png)",
        lambda: overlay_sheet(
            tiles,
            [title_of(method) for method in grid.methods],
            ["input face", *(benchmark.titles[run.run_id] for run in grid.runs)],
            notes,
            bar=grid.style.bar(),
        ),
        "ferscope-saliency.png",
    )


def _row(
    benchmark: Benchmark, grid: Grid, method: str, tests: Tests, picture: Image.Image
) -> list[tuple[Image.Image | None, str]]:
    """Shows a method's maps, one a model, and returns them with their captions."""
    row: list[tuple[Image.Image | None, str]] = []
    for start in range(0, len(grid.runs), PER_ROW):
        columns = tiles(max(4, min(PER_ROW, len(grid.runs))), f"maps-{method}-{start}")
        for column, run in zip(columns, grid.runs[start : start + PER_ROW], strict=False):
            title = plain(benchmark.titles[run.run_id])
            cell = grid.cells[method, run.run_id]
            if isinstance(cell, str):
                column.caption(f"{title}: {plain(cell.split('. ', 1)[0].rstrip('.'))}.")
                row.append((None, ""))
                continue
            tested = tests.get((method, run.run_id))
            name = [method_name(cell.method)] if method == DEFAULT else []
            notes = [*name, _explains(benchmark, run, cell), *_areas(tested)]
            tile = saliency_map.show(
                column, picture, cell.values, cell.evidence, [f"**{title}**", *notes],
                grid.style,
            )  # fmt: skip
            row.append((tile, "\n".join([*notes, cell.evidence.label])))
    return row


def faithfulness(benchmark: Benchmark, runs: Sequence[Run], tests: Tests) -> None:
    """Shows the insertion and deletion curves of each map that was tested."""
    st.subheader("Are these maps faithful?", anchor=False)
    drawn: dict[str, dict[str, CurvePair]] = {}
    for run in runs:
        of_run = {
            title_of(method): CurvePair(result.shares, result.deletion, result.insertion)
            for (method, run_id), result in tests.items()
            if run_id == run.run_id
        }
        if of_run:
            drawn[benchmark.titles[run.run_id]] = of_run
    if not drawn:
        st.info("No map can be tested.")
        return
    chart.show(
        curves_chart(drawn, [title_of(name) for name in BASELINES]),
        "curves",
        "Uncalibrated probability of the explained class by share of cells. Insertion: the most "
        "salient cells are revealed first in a blurred face; a faithful map rises early. Deletion: "
        "they are covered first; a faithful map falls early. Dotted: model-agnostic baselines. The "
        "areas under both curves are below each map. One face is not enough to judge a method: "
        "*Where models look* has averages with intervals.",
    )


def _of(request: MapRequest, method: str) -> MapRequest:
    return replace(request, method=None if method == DEFAULT else method)


def _explains(benchmark: Benchmark, run: Run, cell: SaliencyMap) -> str:
    """Returns which class a map explains, and its calibrated probability."""
    labels = benchmark.info.labels
    known = METHODS.get(cell.method)
    if known is not None and not known.by_class:
        return f"independent of the class{_members(cell)}"
    name = labels[cell.target.of]
    if cell.target.against is not None:
        name = f"{name} instead of {labels[cell.target.against]}"
    scaled = cell.logits.astype(float) / (results.temperature(run) or 1.0)
    probability = float(softmax(scaled)[cell.target.of])
    empty = " · no evidence for it" if cell.blank else ""
    return f"{name} · {probability:.0%}{empty}{_members(cell)}"


def _areas(tested: "Curves | None") -> list[str]:
    """Returns the areas under a map's curves, if it was tested."""
    if tested is None:
        return []
    return [f"deletion {tested.deletion_area:.2f} · insertion {tested.insertion_area:.2f}"]


def _members(cell: SaliencyMap) -> str:
    """Returns how many members an ensemble's map averages, if some do not support the method."""
    if cell.members is None or cell.members[0] == cell.members[1]:
        return ""
    return f" · from {cell.members[0]} of {cell.members[1]} members; the others do not support it"
