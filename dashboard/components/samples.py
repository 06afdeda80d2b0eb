"""Samples of a run: which are scored, which stand in a cell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import data_access
from dashboard.components.faces import GALLERY_SIZE
from dashboard.components.text import plain
from dashboard.data_access import Benchmark, Run
from dashboard.state import BIND, Key
from fer_core.errors import FerscopeError
from fer_core.evaluation.predictions import Scores
from fer_core.figures.confusion import SELECTION

SCORED: Mapping[str, str] = {
    "test": "Test",
    "test_leak_free": "Test, leak-free",
    "validation": "Validation",
    data_access.SECOND: "Test, second labels",
}
SCORED_HELP = (
    "Leak-free leaves out test images with a duplicate in the original training or validation "
    "data. Second labels are the other annotation of the same images: with FER+, the original "
    "labels of FER2013, which other publications use."
)

_DETAILS = ("second_label", "leak", "brightness", "contrast", "sharpness")


def parts(chosen: Benchmark) -> dict[str, str]:
    """Returns the parts of `SCORED` that the benchmark has, with their shown names."""
    second = all(run.second_report is not None for run in chosen.runs)
    return {part: name for part, name in SCORED.items() if second or part != data_access.SECOND}


def scored(chosen: Benchmark, run: Run, name: str) -> Scores:
    """Returns a run's scores on a part of the benchmark; ends the page if they are damaged."""
    try:
        return data_access.scores(chosen, run, name)
    except FerscopeError as error:
        st.error(plain(str(error)))
        st.stop()


def cell_in_address(labels: Sequence[str]) -> tuple[str, str] | None:
    """Returns the (true, predicted) cell that the address bar names, if any."""
    true, predicted = st.query_params.get(Key.TRUE), st.query_params.get(Key.PREDICTED)
    if true in labels and predicted in labels:
        return str(true), str(predicted)
    return None


def follow_click(event: Any, cell: tuple[str, str] | None) -> bool:  # noqa: ANN401 (streamlit's)
    """Puts a clicked cell into the address bar; True if it is another one than before."""
    points = event["selection"].get(SELECTION, []) if event else []
    if not points:
        return False
    clicked = (str(points[0]["truth"]), str(points[0]["predicted"]))
    if clicked == cell:
        return False
    st.query_params[Key.TRUE], st.query_params[Key.PREDICTED] = clicked
    return True


def of_cell(scores: Scores, samples: pd.DataFrame, true: str, predicted: str) -> pd.DataFrame:
    """Returns the samples of one cell with what is known of them, most confident first."""
    labels = scores.labels
    inside = (scores.truth == labels.index(true)) & (scores.predicted == labels.index(predicted))
    chosen = scores.select(inside)
    order = np.argsort(-chosen.confidence, kind="stable")
    rows = pd.DataFrame(
        {
            "id": chosen.ids[order],
            "true": true,
            "predicted": predicted,
            "confidence": chosen.confidence[order],
        }
    )
    details = [name for name in _DETAILS if name in samples.columns]
    return rows.join(samples[details], on="id")


def page_picker(count: int) -> int:
    """Shows which page of a gallery is open, if there are several; returns it, from 0."""
    pages = -(-count // GALLERY_SIZE)
    if pages <= 1:
        return 0
    page = st.number_input(f"Page (of {pages})", 1, pages, key=Key.PAGE, bind=BIND, width=160)
    return int(page) - 1
