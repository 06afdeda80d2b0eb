"""A video's predictions over time: timeline, changes, and the frame of a moment."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from dashboard.cache import video
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download
from dashboard.components.chart import values
from dashboard.components.columns import percent_column
from dashboard.state import digest_of
from fer_core.csv_text import csv_text
from fer_core.data.faces import DetectedFace
from fer_core.data.imaging import printable_name
from fer_core.figures.boxes import BoxLabel, draw_boxes
from fer_core.figures.palette import class_colour
from fer_core.predictor.table import TOO_SMALL, prediction_changes

_NO_FACE = "no face"
_SELECT = "moment"


def timeline(benchmark: Benchmark, table: pd.DataFrame, upload: tuple[bytes, str]) -> int | None:
    """Shows each model's predictions for each person over time, and a picker of a frame.

    Returns:
        Number of the frame that was clicked or picked last; None without one.
    """
    # what was picked belongs to one video: another one has other frames
    key = digest_of([benchmark.directory.root, upload[1], sha256(upload[0]).hexdigest()])
    rows = _rows(benchmark, table)
    picker, picks = f"picked-frame-{key}", f"picks-{key}"
    # the chart starts anew after a pick: a click on the frame that it keeps selected does nothing
    clicked = f"timeline-{key}-{st.session_state.get(picks, 0)}"
    st.altair_chart(
        _chart(rows, benchmark.info.labels),
        on_select=partial(_follow_click, clicked, picker),
        selection_mode=[_SELECT],
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
    points = st.session_state[clicked]["selection"].get(_SELECT, [])
    st.session_state[picker] = int(points[0]["frame"]) if points else None


def _count_pick(picks: str) -> None:
    st.session_state[picks] = st.session_state.get(picks, 0) + 1


def _rows(benchmark: Benchmark, table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table of the timeline.

    Each line is a person and a model, so that the models' predictions for a person are neighbours.
    """
    rows = table[["seconds", "frame", "face", "run", "confidence"]].copy()
    rows["prediction"] = table[_column(table)].fillna(_NO_FACE)
    rows["person"] = [_NO_FACE if pd.isna(face) else f"person {face + 1}" for face in rows["face"]]
    rows["model"] = rows["run"].map(benchmark.titles)
    several = rows["run"].nunique() > 1
    rows["line"] = rows["person"] + (" · " + rows["model"] if several else "")
    return rows.astype({"seconds": float, "frame": int}).drop(columns=["face", "run"])


def _chart(rows: pd.DataFrame, labels: Sequence[str]) -> alt.Chart:
    colours = [class_colour(label, labels) for label in labels] + ["#DDDDDD"]
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_tick(thickness=4, size=22)
        .encode(
            x=alt.X("seconds:Q", title="seconds"),
            y=alt.Y("line:N", title=None, axis=alt.Axis(labelLimit=220)),
            color=alt.Color(
                "prediction:N",
                scale=alt.Scale(domain=[*labels, _NO_FACE], range=colours),
                title=None,
                legend=alt.Legend(orient="top", columns=4),
            ),
            tooltip=["model", "person", alt.Tooltip("seconds:Q", format=".2f"), "prediction",
                     alt.Tooltip("confidence:Q", format=".0%")],
        )
        .properties(height=alt.Step(26))
        .add_params(alt.selection_point(name=_SELECT, fields=["frame"], on="click", nearest=True))
    )  # fmt: skip
    return chart


def moment(
    benchmark: Benchmark, table: pd.DataFrame, upload: tuple[bytes, str], number: int
) -> None:
    """Shows a frame with the boxes of its faces and every model's prediction."""
    rows = table[table["frame"] == number]
    picture = video.frame(*upload, number)
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
