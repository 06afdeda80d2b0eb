"""Lists of samples: which are in, in which order, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache.benchmarks import Benchmark
from dashboard.components.faces import GALLERY_SIZE
from dashboard.state import Key
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.figures.confusion import ANY, SELECTION

_DETAILS = ("second_label", "leak", "brightness", "contrast", "sharpness")


@dataclass(frozen=True)
class Listing:
    """Samples of a panel in the order to show; rows are made for one page at a time.

    Attributes:
        panel: The runs' scores.
        run_id: The run whose answer and confidence are shown.
        order: Positions in the panel, shape (M,).
        others: Further runs whose answers are shown, with the names of their columns.
    """

    panel: AlignedPredictions
    run_id: str
    order: NDArray[np.int64]
    others: Mapping[str, str]

    @classmethod
    def of(
        cls,
        panel: AlignedPredictions,
        run_id: str,
        inside: NDArray[np.bool_],
        others: Mapping[str, str] | None = None,
    ) -> "Listing":
        """Lists the samples where the mask is true, most confident first."""
        places = np.flatnonzero(inside)
        confidence = panel.confidence[panel.row(run_id), places]
        return cls(panel, run_id, places[np.argsort(-confidence, kind="stable")], others or {})

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, samples: pd.DataFrame, places: slice = slice(None)) -> pd.DataFrame:
        """Returns rows with what is known of the samples; columns as `faces.gallery` needs them.

        Args:
            samples: The benchmark's, indexed by id.
            places: Which of the listed samples.
        """
        chosen = self.order[places]
        names = np.array(self.panel.labels.names, dtype=object)
        row = self.panel.row(self.run_id)
        table = pd.DataFrame(
            {
                "id": self.panel.ids[chosen],
                "true": names[self.panel.truth[chosen]],
                "predicted": names[self.panel.predicted[row, chosen]],
                "confidence": self.panel.confidence[row, chosen],
            }
        )
        for run_id, title in self.others.items():
            other = self.panel.row(run_id)
            table[title] = names[self.panel.predicted[other, chosen]]
            table[f"{title}, confidence"] = self.panel.confidence[other, chosen]
        details = [name for name in _DETAILS if name in samples.columns]
        return table.join(samples[details], on="id")

    def page(self, samples: pd.DataFrame, page: int) -> pd.DataFrame:
        """Returns the rows of one page of a gallery, from 0."""
        return self.rows(samples, slice(page * GALLERY_SIZE, (page + 1) * GALLERY_SIZE))


def cell_in_address(labels: Sequence[str]) -> tuple[str, str] | None:
    """Returns the (true, predicted) cell or header that the address bar names, if any."""
    true, predicted = st.query_params.get(Key.TRUE), st.query_params.get(Key.PREDICTED)
    known = {*labels, ANY}
    if true in known and predicted in known and (true, predicted) != (ANY, ANY):
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


def in_cell(panel: AlignedPredictions, run_id: str, cell: tuple[str, str]) -> NDArray[np.bool_]:
    """Returns which samples stand in a cell, a row or a column of a run's matrix, shape (N,)."""
    true, predicted = cell
    inside = np.ones(len(panel), dtype=bool)
    if true != ANY:
        inside &= panel.truth == panel.labels.index(true)
    if predicted != ANY:
        inside &= panel.predicted[panel.row(run_id)] == panel.labels.index(predicted)
    return inside


def heading(cell: tuple[str, str]) -> str:
    """Returns what a cell, a row or a column of the matrix holds."""
    true, predicted = cell
    if predicted == ANY:
        return f"all that is {true}"
    if true == ANY:
        return f"all taken for {predicted}"
    return f"{true} taken for {predicted}" if true != predicted else f"{true}, recognised"


def download(listing: Listing, samples: pd.DataFrame, chosen: Benchmark, name: str) -> None:
    """Offers all listed samples as csv."""
    st.download_button(
        f"Download these {len(listing):,} samples (csv)",
        lambda: listing.rows(samples).to_csv(index=False),
        file_name=f"{chosen.info.name}-{name}.csv",
        mime="text/csv",
        icon=":material/download:",
    )
