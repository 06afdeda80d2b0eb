"""Paged lists of samples, shown as a gallery and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download, pickers, slices, viewer
from dashboard.components.attach import need_pictures
from dashboard.components.columns import share_bar
from dashboard.components.gallery import Card, gallery
from dashboard.components.text import column_title
from dashboard.state import Key
from fer_core.csv_text import csv_text
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.figures.confusion import ANY, SELECTION
from fer_core.figures.palette import class_colour

PAGE_SIZE = 24
_DETAILS = ("second_label", "leak", "brightness", "contrast", "sharpness")
_CLICKED = "clicked cell"
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
            page: Range of the listed samples.
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
        # `table.join(..., on="id")` looks at all samples, also for a page of a few
        return table.join(samples[details].reindex(table["id"]).reset_index(drop=True))


def show(benchmark: Benchmark, listing: Listing, name: str, *, empty: str) -> None:
    """Shows one page of a list as a table, and as faces if the pictures are attached.

    A click on a face or a row opens the viewer, which walks through the whole list.

    Args:
        benchmark: The benchmark.
        listing: The samples.
        name: Name of the csv file to download.
        empty: Message if there is no sample.
    """
    if not len(listing):
        st.info(empty, icon=":material/check:")
        return
    samples = benchmarks.samples(benchmark)
    aligned = listing.aligned
    ids = aligned.ids[listing.order]
    rows = listing.rows(samples, pickers.page(ids, PAGE_SIZE))
    viewer.offer(benchmark, ids, aligned.labels.names)  # before the list, which takes longer
    _faces(benchmark, rows)
    sample_table(rows)
    with st.container(horizontal=True):
        download.button(
            f"Download these {len(listing):,} samples (csv)",
            lambda: csv_text(listing.rows(samples)),
            f"{benchmark.info.name}-{name}.csv",
        )
        slices.save_button(benchmark, lambda: [str(sample_id) for sample_id in ids], name, "list")


def _faces(benchmark: Benchmark, rows: pd.DataFrame) -> None:
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, "list")
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
    gallery(cards, key="faces", on_open=viewer.open_sample)


def sample_table(rows: pd.DataFrame) -> None:
    """Shows samples as a table; picking a row opens its sample.

    Args:
        rows: Columns `id`, `true`, `predicted`, `confidence`, and any others.
    """
    ids = [str(sample_id) for sample_id in rows["id"]]
    # the ids are in the key, so that another page or filter clears the selected row
    key = f"samples {ids}"

    def open_row() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked and picked[0] < len(ids):
            viewer.open_sample(ids[picked[0]])

    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "confidence": share_bar("confidence"),
            **{name: st.column_config.NumberColumn(format="%.1f") for name in _LIGHT},
            "second_label": st.column_config.TextColumn(column_title("second_label")),
        },
        key=key,
        on_select=open_row,
        selection_mode="single-row",
    )


def cell_in_address(labels: Sequence[str]) -> tuple[str, str] | None:
    """Returns the cell of the confusion matrix in the address as (true, predicted), if any."""
    true, predicted = st.query_params.get(Key.TRUE), st.query_params.get(Key.PREDICTED)
    known = {*labels, ANY}
    if true in known and predicted in known and (true, predicted) != (ANY, ANY):
        return str(true), str(predicted)
    return None


def chart_key(name: str, cell: tuple[str, str] | None) -> str:
    """Returns the key of a chart whose clicks set the cell in the address.

    A chart keeps its selection, and a second click on a selected cell clears it. So the chart
    starts anew, with another key, whenever the cell changes without a click, as it does by Back.
    """
    last, version = st.session_state.get(_CLICKED, (cell, 0))
    version += last != cell
    st.session_state[_CLICKED] = (cell, version)
    return f"{name}-{version}"


def follow_click(key: str, cell: tuple[str, str] | None) -> None:
    """Writes the cell that was clicked on a chart to the address.

    It is the chart's callback, so it follows a click once, and Back can undo it.

    Args:
        key: The chart's.
        cell: The cell in the address, if any.
    """
    points = st.session_state[key]["selection"].get(SELECTION, [])
    if not points:
        return
    clicked = (str(points[0]["truth"]), str(points[0]["predicted"]))
    if clicked != cell:
        st.session_state[_CLICKED] = (clicked, st.session_state[_CLICKED][1])
        # at once, so that they are one step of the history
        st.query_params.update({Key.TRUE: clicked[0], Key.PREDICTED: clicked[1]})


def cell_picker(labels: Sequence[str], cell: tuple[str, str] | None) -> None:
    """Shows pickers of a cell's classes, for readers who cannot click the matrix.

    Args:
        labels: Class names.
        cell: The cell in the address, if any.
    """
    true, predicted = cell or (ANY, ANY)
    options = [ANY, *labels]
    columns = st.columns(2)
    for column, title, key, value in (
        (columns[0], "Samples of true class", "cell-true", true),
        (columns[1], "Samples of predicted class", "cell-predicted", predicted),
    ):
        st.session_state[key] = value  # a click on the matrix moves the pickers
        column.selectbox(title, options, key=key, on_change=_follow_pickers)


def _follow_pickers() -> None:
    picked: dict[str, str] = {
        Key.TRUE: st.session_state["cell-true"],
        Key.PREDICTED: st.session_state["cell-predicted"],
    }
    if set(picked.values()) == {ANY}:
        for key in picked:
            st.query_params.pop(key, None)
    else:
        st.query_params.update(picked)


def in_cell(
    aligned: AlignedPredictions, cell: tuple[str, str], run_id: str, minus: str | None = None
) -> NDArray[np.bool_]:
    """Returns a mask of the samples in a cell, row or column of a matrix, shape (N,).

    Args:
        aligned: The predictions.
        cell: True and predicted class; `ANY` for a column or a row.
        run_id: The run whose matrix it is.
        minus: A run whose matrix is subtracted: the samples behind the difference are those that
            are in the cell for exactly one of the two.
    """
    if minus is not None:
        return in_cell(aligned, cell, run_id) ^ in_cell(aligned, cell, minus)
    true, predicted = cell
    inside = np.ones(len(aligned), dtype=bool)
    if true != ANY:
        inside &= aligned.of_class(true)
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
