"""The saliency lab's grid of methods and models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks, explanations
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.explanations import Asked
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.explain.methods import METHODS
from fer_core.explain.saliency import SaliencyMap
from fer_core.explain.tables import BASELINES
from fer_core.figures.explanations import CurvePair, curves_chart
from fer_core.figures.overlay import SCALES, heat_overlay, overlay_sheet, signed_overlay

if TYPE_CHECKING:
    from fer_core.explain.faithfulness import Curves

DEFAULT = "default"
OWN = "each model's answer"
TRUE = "the true class"
NONE = "nothing"
SIGNED = "For and against"
OWN_DEPTH = "the method's own"
_DEPTHS = (OWN_DEPTH, "0%", "20%", "40%", "60%", "80%", "100%")
_HEADS = ("mean", *(str(number) for number in range(1, 13)))

Cells = Mapping[tuple[str, str], SaliencyMap | str]
Tests = Mapping[tuple[str, str], "Curves"]
"""By method and run."""


@dataclass(frozen=True)
class Look:
    """How overlays are drawn."""

    opacity: float
    scale: str

    def draw(self, face: Image.Image, saliency: NDArray[np.float32]) -> Image.Image:
        """Lays a map over a face."""
        if self.scale == SIGNED:
            return signed_overlay(face, saliency, opacity=self.opacity)
        return heat_overlay(face, saliency, opacity=self.opacity, scale=self.scale)


def title_of(method: str) -> str:
    """Returns a method's name as the page shows it."""
    return "Each model's default" if method == DEFAULT else METHODS[method].title


def pickers(chosen: Benchmark) -> tuple[list[Run], list[str]]:
    """Shows which models and methods take part; imported predictions have no network."""
    runs = [run for run in chosen.runs if benchmarks.answers_faces(run)]
    titles = chosen.titles
    picked = st.pills(
        "Models",
        [run.run_id for run in runs],
        default=[run.run_id for run in runs][:8],
        selection_mode="multi",
        format_func=titles.__getitem__,
        key=Key.RUNS,
        bind=BIND,
        wrap=True,
    )
    methods = st.pills(
        "Methods",
        [DEFAULT, *METHODS],
        default=[DEFAULT],
        selection_mode="multi",
        format_func=title_of,
        key=Key.METHODS,
        bind=BIND,
        wrap=True,
        help="The default is HiRes-CAM for CNNs, Chefer relevance for ViTs, and the mean of the "
        "members' maps for ensembles. Occlusion, Ablation-CAM and integrated gradients ask the "
        "model many times and take longer.",
    )
    return [run for run in runs if run.run_id in (picked or [])], list(methods or [])


def question(labels: Sequence[str], methods: Sequence[str], true: str | None) -> Asked:
    """Shows what is explained and where methods read; returns the question without a method.

    Args:
        labels: The classes.
        methods: The picked methods.
        true: The face's label, if it has one.
    """
    known = [OWN, TRUE] if true in labels else [OWN]
    if st.session_state.get(Key.TARGET) == TRUE and TRUE not in known:
        st.session_state[Key.TARGET] = OWN
    left, right = st.columns(2)
    with left:
        of = st.selectbox("Why", [*known, *labels], key=Key.TARGET, bind=BIND)
        of = true if of == TRUE else of
    with right:
        against = st.selectbox(
            "and not", [NONE, *labels], key=Key.CONTRAST, bind=BIND,
            help="Contrast: what speaks for the first class rather than for this one.",
        )  # fmt: skip
    depth, head = OWN_DEPTH, _HEADS[0]
    if any(name != DEFAULT and METHODS[name].needs_network for name in methods):
        left, right = st.columns(2)
        with left:
            depth = st.select_slider(
                "Depth at which CAMs and attention read", _DEPTHS, key=Key.DEPTH, bind=BIND,
                help="0% is the first layer. 100% is the last one, and for CAMs of ViTs the last "
                "in which patches still reach the classifier. Ensembles keep their members' own.",
            )  # fmt: skip
        with right:
            if any(name != DEFAULT and METHODS[name].reads_head for name in methods):
                head = st.select_slider("Attention head", _HEADS, key=Key.HEAD, bind=BIND)
    return Asked(
        of=None if of == OWN else labels.index(of),
        against=None if against == NONE else labels.index(against),
        depth=None if depth == OWN_DEPTH else int(depth.rstrip("%")) / 100,
        head=None if head == _HEADS[0] else int(head) - 1,
    )


def look() -> Look:
    """Shows how overlays are drawn."""
    left, right = st.columns(2)
    with left:
        opacity = st.slider("Opacity", 0, 100, 62, 2, key=Key.OPACITY, bind=BIND, format="%d%%")
    with right:
        scale = st.selectbox("Colours", [*SCALES, SIGNED], key=Key.SCALE, bind=BIND)
    return Look(opacity / 100, scale)


def compute(
    chosen: Benchmark,
    runs: Sequence[Run],
    methods: Sequence[str],
    face: NDArray[np.uint8],
    asked: Asked,
) -> Cells:
    """Returns each map, or the sentence that says why there is none."""
    return {
        (method, run.run_id): explanations.saliency(chosen, run, face, _ask(asked, method))
        for method in methods
        for run in runs
    }


def wants_test() -> bool:
    """Shows the switch that tests each map."""
    return st.toggle(
        "Test each map on this face", key=Key.CURVES, bind=BIND,
        help="Does the model change its mind when the marked places go? Asks each model 26 times "
        "a map.",
    )  # fmt: skip


def test(
    chosen: Benchmark,
    runs: Sequence[Run],
    methods: Sequence[str],
    face: NDArray[np.uint8],
    asked: Asked,
) -> Tests:
    """Returns the curves of each map and of the baselines, where a map can be tested."""
    baselines = [name for name in BASELINES if name not in methods]
    results = {
        (method, run.run_id): explanations.curves(chosen, run, face, _ask(asked, method))
        for run in runs
        for method in [*methods, *baselines]
    }
    return {place: result for place, result in results.items() if not isinstance(result, str)}


def show(
    chosen: Benchmark,
    runs: Sequence[Run],
    methods: Sequence[str],
    cells: Cells,
    tests: Tests,
    face: NDArray[np.uint8],
    look: Look,
) -> None:
    """Shows the grid and offers it as one picture."""
    labels, titles = chosen.info.labels, chosen.titles
    picture = Image.fromarray(face)
    tiles: list[list[Image.Image | None]] = []
    notes: list[list[str]] = []
    for method in methods:
        st.markdown(f"**{title_of(method)}**")
        if method != DEFAULT:
            st.caption(f"{METHODS[method].summary} {METHODS[method].reference}")
        line: list[Image.Image | None] = []
        noted: list[str] = []
        for start in range(0, len(runs), 8):
            columns = st.columns(max(4, min(8, len(runs))))
            for column, run in zip(columns, runs[start : start + 8], strict=False):
                cell = cells[method, run.run_id]
                with column:
                    if isinstance(cell, str):
                        reason = cell.split(". ", 1)[0].rstrip(".")
                        st.caption(f"{plain(titles[run.run_id])}: {plain(reason)}.")
                        line.append(None)
                        noted.append("")
                        continue
                    tile = look.draw(picture, cell.values)
                    line.append(tile)
                    st.image(tile.resize((224, 224), Image.Resampling.BICUBIC), width="stretch")
                    said = [_explains(cell, labels), *_areas(tests.get((method, run.run_id)))]
                    noted.append("\n".join(said))
                    st.caption("  \n".join([f"**{plain(titles[run.run_id])}**", *said]))
        tiles.append(line)
        notes.append(noted)
    st.caption(
        "Bright places speak for the class; a map without any shows the bare face. Maps are scaled "
        "one by one, so brightness cannot be compared between them."
    )
    st.download_button(
        "All maps (png)",
        lambda: overlay_sheet(
            tiles,
            [title_of(method) for method in methods],
            [titles[run.run_id] for run in runs],
            notes,
        ),
        file_name="ferscope-saliency.png",
        mime="image/png",
        icon=":material/download:",
    )


def scores(chosen: Benchmark, runs: Sequence[Run], tests: Tests) -> None:
    """Shows the insertion and deletion curves of each map that was tested."""
    st.subheader("Can these maps be believed?", anchor=False)
    drawn: dict[str, dict[str, CurvePair]] = {}
    for run in runs:
        own = {
            title_of(method): CurvePair(result.shares, result.deletion, result.insertion)
            for (method, run_id), result in tests.items()
            if run_id == run.run_id
        }
        if own:
            drawn[chosen.titles[run.run_id]] = own
    if not drawn:
        st.info("No map can be tested.")
        return
    st.plotly_chart(curves_chart(drawn, [title_of(name) for name in BASELINES]), key="curves-chart")
    st.caption(
        "The model's confidence in the explained class. Insertion: the most salient cells appear "
        "first in a blurred face; a faithful map rises early. Deletion: they are painted over "
        "first; a faithful map falls early. Dotted: maps that know nothing of the model. Under "
        "each map stand the areas under its two curves. One face proves little; *Where models "
        "look* has the averages with intervals."
    )


def _ask(asked: Asked, method: str) -> Asked:
    return replace(asked, method=None if method == DEFAULT else method)


def _explains(cell: SaliencyMap, labels: Sequence[str]) -> str:
    """Says what a map explains, and how sure the model is of it."""
    known = METHODS.get(cell.method)
    if known is not None and not known.by_class:
        return f"whatever the class{_members(cell)}"
    name = labels[cell.target.of]
    if cell.target.against is not None:
        name = f"{name}, not {labels[cell.target.against]}"
    raised = np.exp(cell.logits.astype(float) - float(cell.logits.max()))
    share = float(raised[cell.target.of] / raised.sum())
    empty = " · nothing speaks for it" if cell.blank else ""
    return f"{name} · {share:.0%}{empty}{_members(cell)}"


def _areas(tested: "Curves | None") -> list[str]:
    """Says the areas under a map's curves, if it was tested."""
    if tested is None:
        return []
    return [f"deletion {tested.deletion_area:.2f} · insertion {tested.insertion_area:.2f}"]


def _members(cell: SaliencyMap) -> str:
    """Says how many members an ensemble's map stands on, where the method does not suit all."""
    if cell.members is None or cell.members[0] == cell.members[1]:
        return ""
    return f" · of {cell.members[0]} of {cell.members[1]} members, whom the method suits"
