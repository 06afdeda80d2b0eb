"""Paged lists of samples, shown as a gallery and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers
from dashboard.components.gallery import Card, gallery, need_pictures
from dashboard.components.text import column_title
from dashboard.state import Key
from fer_core.csv_text import csv_text
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.figures.confusion import ANY, SELECTION
from fer_core.figures.palette import class_colour

PAGE_SIZE = 24
_DETAILS = ("second_label", "leak", "brightness", "contrast", "sharpness")
_LIGHT = ("brightness", "contrast", "sharpness")


@dataclass(frozen=True)
class Listing:
    """Samples in display order; table rows are computed for one page at a time.

    Attributes:
        aligned: The runs' predictions.
        run_id: The run whose prediction and confidence are shown.
        order: Positions in the aligned predictions, shape (M,).
        others: Further runs whose predictions are shown, with the names of their columns.
    """

    aligned: AlignedPredictions
    run_id: str
    order: NDArray[np.int64]
    others: Mapping[str, str]

    @classmethod
    def of(
        cls,
        aligned: AlignedPredictions,
        run_id: str,
        inside: NDArray[np.bool_],
        others: Mapping[str, str] | None = None,
    ) -> "Listing":
        """Lists the samples where the mask is true, most confident first."""
        positions = np.flatnonzero(inside)
        confidence = aligned.confidence[aligned.row(run_id), positions]
        order = positions[np.argsort(-confidence, kind="stable")]
        return cls(aligned, run_id, order, others or {})

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, samples: pd.DataFrame, page: slice = slice(None)) -> pd.DataFrame:
        """Returns a table of the samples: id, true and predicted class, confidence, details.

        Args:
            samples: The benchmark's, indexed by id.
            page: Which of the listed samples.
        """
        positions = self.order[page]
        names = np.array(self.aligned.labels.names, dtype=object)
        row = self.aligned.row(self.run_id)
        table = pd.DataFrame(
            {
                "id": self.aligned.ids[positions],
                "true": names[self.aligned.truth[positions]],
                "predicted": names[self.aligned.predicted[row, positions]],
                "confidence": self.aligned.confidence[row, positions],
            }
        )
        for run_id, title in self.others.items():
            other = self.aligned.row(run_id)
            table[title] = names[self.aligned.predicted[other, positions]]
            table[f"{title}, confidence"] = self.aligned.confidence[other, positions]
        details = [name for name in _DETAILS if name in samples.columns]
        return table.join(samples[details], on="id")


def show(benchmark: Benchmark, listing: Listing, name: str, *, openable: bool = False) -> None:
    """Shows one page of a list as a table, and as faces if the pictures are attached.

    Args:
        benchmark: The benchmark.
        listing: At least one sample.
        name: Name of the csv file to download.
        openable: Whether a click on a sample's button or row opens it, as `sample` in the address.
    """
    samples = benchmarks.samples(benchmark)
    page = pickers.page(len(listing), PAGE_SIZE)
    rows = listing.rows(samples, slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE))
    _faces(benchmark, rows, openable=openable)
    sample_table(rows, openable=openable)
    st.download_button(
        f"Download these {len(listing):,} samples (csv)",
        lambda: csv_text(listing.rows(samples)),
        file_name=f"{benchmark.info.name}-{name}.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _faces(benchmark: Benchmark, rows: pd.DataFrame, *, openable: bool) -> None:
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark.info.name)
        return
    labels = benchmark.info.labels
    cards = [
        Card(
            picture,
            f"true: {row.true}",
            f"{row.predicted}, {row.confidence:.0%}",
            class_colour(str(row.true), labels),
            str(row.id),
        )
        for row in rows.itertuples(index=False)
        if (picture := pictures.get(str(row.id))) is not None
    ]
    gallery(cards, on_open=open_sample if openable else None)


def sample_table(rows: pd.DataFrame, *, openable: bool) -> None:
    """Shows samples as a table.

    Args:
        rows: Columns `id`, `true`, `predicted`, `confidence`, and any others.
        openable: Whether picking a row opens its sample.
    """
    ids = [str(sample_id) for sample_id in rows["id"]]
    # the ids are in the key, so that another page or filter clears the selected row
    key = f"samples {ids}"

    def open_row() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked and picked[0] < len(ids):
            open_sample(ids[picked[0]])

    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "confidence": st.column_config.ProgressColumn(
                "confidence", min_value=0.0, max_value=1.0, format="percent"
            ),
            **{name: st.column_config.NumberColumn(format="%.1f") for name in _LIGHT},
            "second_label": st.column_config.TextColumn(column_title("second_label")),
        },
        key=key,
        on_select=open_row if openable else "ignore",
        selection_mode="single-row",
    )


def open_sample(sample_id: str) -> None:
    """Writes a sample's id to the address, which opens it on the page."""
    st.query_params[Key.SAMPLE] = sample_id


def cell_in_address(labels: Sequence[str]) -> tuple[str, str] | None:
    """Returns the cell of the confusion matrix in the address as (true, predicted), if any."""
    true, predicted = st.query_params.get(Key.TRUE), st.query_params.get(Key.PREDICTED)
    known = {*labels, ANY}
    if true in known and predicted in known and (true, predicted) != (ANY, ANY):
        return str(true), str(predicted)
    return None


def follow_click(event: Any, cell: tuple[str, str] | None) -> bool:  # noqa: ANN401 (streamlit's)
    """Writes a clicked cell to the address; returns whether it differs from the previous cell."""
    points = event["selection"].get(SELECTION, []) if event else []
    if not points:
        return False
    clicked = (str(points[0]["truth"]), str(points[0]["predicted"]))
    if clicked == cell:
        return False
    st.query_params[Key.TRUE], st.query_params[Key.PREDICTED] = clicked
    return True


def in_cell(aligned: AlignedPredictions, run_id: str, cell: tuple[str, str]) -> NDArray[np.bool_]:
    """Returns a mask of the samples in a cell, row or column of a run's matrix, shape (N,)."""
    true, predicted = cell
    inside = np.ones(len(aligned), dtype=bool)
    if true != ANY:
        inside &= aligned.truth == aligned.labels.index(true)
    if predicted != ANY:
        inside &= aligned.predicted[aligned.row(run_id)] == aligned.labels.index(predicted)
    return inside


def heading(cell: tuple[str, str]) -> str:
    """Returns a title for a cell, a row or a column of the matrix."""
    true, predicted = cell
    if predicted == ANY:
        return f"All labelled {true}"
    if true == ANY:
        return f"All predicted {predicted}"
    return f"{true} predicted as {predicted}" if true != predicted else f"{true}, correct"
