"""Faces and samples on the page."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache.benchmarks import Pictures
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.records import BenchmarkInfo

GALLERY_COLUMNS = 8
GALLERY_ROWS = 3
GALLERY_SIZE = GALLERY_COLUMNS * GALLERY_ROWS
_LIGHT = ("brightness", "contrast", "sharpness")


def mean_face_row(info: BenchmarkInfo, faces: Mapping[str, NDArray[np.float32]]) -> None:
    """Shows the mean training face of each class; nothing where there are none."""
    shown = [label for label in info.labels if f"train/{label}/mean" in faces]
    if not shown:
        return
    st.subheader("The mean face of each class", anchor=False)
    for column, label in zip(st.columns(len(shown)), shown, strict=True):
        mean = faces[f"train/{label}/mean"].round().astype(np.uint8)
        column.image(enlarge(Image.fromarray(mean), 160), caption=label, width="stretch")
    st.caption(
        "Each is the average of all training images of its class: what they share stays sharp, "
        "what differs blurs. Single pictures of the dataset are not shipped."
    )


def enlarge(picture: Image.Image, side: int) -> Image.Image:
    """Returns a small picture scaled so that browsers need not blur it further."""
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def gallery(
    rows: pd.DataFrame, pictures: Pictures | None, benchmark: str, *, openable: bool = False
) -> None:
    """Shows one page of samples: pictures where they are on this machine, and their rows.

    Args:
        rows: Columns `id`, `true`, `predicted`, `confidence`, and any others; in order, at most
            `GALLERY_SIZE`.
        pictures: The prepared set's pictures, if attached.
        benchmark: Its name, for the hint on attaching them.
        openable: Whether a sample can be opened: by the button under its picture, or by picking
            its row. It is put into the address bar as `sample`.
    """
    if pictures is None:
        st.info(
            "The pictures of this dataset are not shipped, so samples are shown as rows. To see "
            "the faces, prepare your own copy of the data: "
            f"`python -m training prepare path/to/fer2013.csv --name {benchmark}`",
            icon=":material/hide_image:",
        )
    else:
        columns = st.columns(GALLERY_COLUMNS)
        for place, row in enumerate(rows.itertuples(index=False)):
            picture = pictures.get(str(row.id))
            column = columns[place % GALLERY_COLUMNS]
            if picture is not None:
                column.image(enlarge(picture, 144), width="stretch")
            # short lines: there are eight columns, and a button cuts what does not fit
            true, said = f"true: {plain(str(row.true))}", f"{row.predicted}, {row.confidence:.0%}"
            if openable:
                column.caption(true)
                column.button(
                    plain(said),
                    key=f"open-{row.id}",
                    help=f"The model's answer. Open {row.id}.",
                    on_click=open_sample,
                    args=(str(row.id),),
                    width="stretch",
                    type="tertiary",
                )
            else:
                column.caption(f"{true}  \n{plain(said)}  \n`{row.id}`")
    ids = [str(sample_id) for sample_id in rows["id"]]
    # the ids are in the key: a row picked on another page or under another filter is forgotten
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
        },
        key=key,
        on_select=open_row if openable else "ignore",
        selection_mode="single-row",
    )


def open_sample(sample_id: str) -> None:
    """Puts a sample into the address bar: the page shows it."""
    st.query_params[Key.SAMPLE] = sample_id
