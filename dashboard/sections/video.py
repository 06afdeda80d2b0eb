"""A video's predictions over time: timeline, changes, and the frame of a moment."""

from functools import partial
from hashlib import sha256
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.cache import video
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.uploads import UploadedFile
from dashboard.components import download
from dashboard.components.chart import values
from dashboard.components.columns import percent_column
from dashboard.state import digest_of
from fer_core.csv_text import csv_text
from fer_core.data.faces import DetectedFace
from fer_core.data.imaging import printable_name
from fer_core.figures.boxes import BoxLabel, draw_boxes
from fer_core.figures.video import NO_FACE, SELECTION, timeline_chart
from fer_core.predictor.table import TOO_SMALL, prediction_changes


def timeline(benchmark: Benchmark, table: pd.DataFrame, upload: UploadedFile) -> int | None:
    """Shows each model's predictions for each person over time, and a picker of a frame.

    Returns:
        Number of the frame that was clicked or picked last; None without one.
    """
    # what was picked belongs to one video: another one has other frames
    key = digest_of([benchmark.directory.root, upload.name, sha256(upload.data).hexdigest()])
    rows = _rows(benchmark, table)
    picker, picks = f"picked-frame-{key}", f"picks-{key}"
    # the chart starts anew after a pick: a click on the frame that it keeps selected does nothing
    clicked = f"timeline-{key}-{st.session_state.get(picks, 0)}"
    st.vega_lite_chart(
        rows,
        timeline_chart(benchmark.info.labels),
        on_select=partial(_follow_click, clicked, picker),
        selection_mode=[SELECTION],
        key=clicked,
        alt="Predictions of each model for each person over time",
    )
    values(lambda: rows, "timeline")
    frames = sorted({int(frame) for frame in rows["frame"]})
    if st.session_state.get(picker) not in frames:  # fewer frames per second are left
        st.session_state[picker] = None
    return st.selectbox("Or pick a frame", frames, key=picker, on_change=_count_pick, args=(picks,))


def _follow_click(clicked: str, picker: str) -> None:
    """Moves the picker to the clicked frame."""
    points = st.session_state[clicked]["selection"].get(SELECTION, [])
    st.session_state[picker] = int(points[0]["frame"]) if points else None


def _count_pick(picks: str) -> None:
    st.session_state[picks] = st.session_state.get(picks, 0) + 1


def _rows(benchmark: Benchmark, table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table of the timeline.

    Each line is a person and a model, so that the models' predictions for a person are neighbours.
    """
    rows = table[["seconds", "frame", "face", "run", "confidence"]].copy()
    rows["prediction"] = table[_column(table)].fillna(NO_FACE)
    rows["person"] = [NO_FACE if pd.isna(face) else f"person {face + 1}" for face in rows["face"]]
    rows["model"] = rows["run"].map(benchmark.titles)
    several = rows["run"].nunique() > 1
    rows["line"] = rows["person"] + (" · " + rows["model"] if several else "")
    return rows.astype({"seconds": float, "frame": int}).drop(columns=["face", "run"])


def moment(benchmark: Benchmark, table: pd.DataFrame, upload: UploadedFile, number: int) -> None:
    """Shows a frame with the boxes of its faces and every model's prediction."""
    rows = table[table["frame"] == number]
    picture = video.frame(upload, number)
    if picture is None or rows.empty:
        st.warning("This frame cannot be read again.")
        return
    column = _column(table)
    first = rows[rows["run"] == rows["run"].iloc[0]]
    boxes = [_label(row, column) for row in first.to_dict("records") if pd.notna(row["left"])]
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.image(
            draw_boxes(picture, boxes, benchmark.info.labels),
            caption=f"Frame {number}, {float(rows['seconds'].iloc[0]):.2f} s",
            alt="The frame with the boxes of its faces",
        )
    with right:
        shown = rows[rows["face"].notna()]
        predictions = pd.DataFrame(
            {
                "person": [f"person {face + 1}" for face in shown["face"]],
                "model": shown["run"].map(benchmark.titles).to_numpy(),
                "prediction": shown[column].fillna("").to_numpy(),
                "confidence": shown["confidence"].to_numpy(),
            }
        )
        st.dataframe(
            predictions,
            hide_index=True,
            column_config={"confidence": percent_column()},
        )


def changes(benchmark: Benchmark, table: pd.DataFrame) -> None:
    """Lists the moments at which a prediction changes."""
    rows = prediction_changes(table)
    if rows.empty:
        st.caption("No prediction changes.")
        return
    rows["model"] = rows["run"].map(benchmark.titles)
    rows["person"] = [f"person {face + 1}" for face in rows["face"]]
    st.dataframe(rows[["seconds", "person", "model", "before", "after"]], hide_index=True)


def offer_table(table: pd.DataFrame, name: str) -> None:
    """Offers the whole table as csv."""
    download.button(
        "Download the table (csv)",
        lambda: csv_text(table, "%.6g"),
        f"{_stem(name)}.csv",
    )


def _stem(name: str) -> str:
    """Returns an uploaded file's name for a download, without its ending and its folders."""
    return Path(printable_name(Path(name.replace("\\", "/")).stem or "video")).name


def _column(table: pd.DataFrame) -> str:
    return "smoothed_answer" if "smoothed_answer" in table else "answer"


def _label(row: "dict[str, object]", column: str) -> BoxLabel:
    edges = [float(str(row[edge])) for edge in ("left", "top", "right", "bottom")]
    face = DetectedFace(edges[0], edges[1], edges[2], edges[3], float(str(row["score"])))
    predicted = row[column] if isinstance(row[column], str) else None
    number = f"person {int(str(row['face'])) + 1}"
    note = TOO_SMALL if row["note"] == TOO_SMALL else predicted or "unsure"
    return BoxLabel(face, f"{number}: {note}", str(predicted) if predicted else None)
