"""Models' answers for one face, side by side."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fer_core.figures.charts import probability_bars
from fer_core.figures.overlay import heat_overlay
from fer_core.predictor import Answer

PER_ROW = 3
_TILE = 224
_CAPTION = 34


def side_by_side(answers: Sequence[Answer], stored: NDArray[np.uint8], explain: str | None) -> None:
    """Shows each model's answer with its overlay.

    Args:
        answers: In the order to show.
        stored: The face as the models see it, uint8, (side, side) or (side, side, 3).
        explain: The explained class, or None where each model explains its own answer.
    """
    face = Image.fromarray(stored)
    for start in range(0, len(answers), PER_ROW):
        columns = st.columns(PER_ROW, gap="medium")
        for column, answer in zip(columns, answers[start : start + PER_ROW], strict=False):
            with column.container(border=True):
                st.markdown(f"**{answer.title}**")
                st.markdown(f"### {answer.top} · {answer.probabilities.max():.0%}")
                st.image(heat_overlay(face, answer.saliency), width="stretch")
                st.caption(
                    f"What speaks for *{explain or answer.top}* ({answer.method}); "
                    f"{1000 * answer.seconds:.0f} ms"
                )
                st.plotly_chart(
                    probability_bars(answer.probabilities, answer.labels.names),
                    key=f"bars-{answer.run_id}",
                    config={"displayModeBar": False},
                )


def agreement(answers: Sequence[Answer]) -> str:
    """Returns one sentence on whether the models agree."""
    tops = [answer.top for answer in answers]
    if len(answers) == 1:
        return f"{answers[0].title} says {tops[0]}."
    if len(set(tops)) == 1:
        return f"All {len(tops)} models say {tops[0]}."
    parts = [f"{tops.count(top)} say {top}" for top in dict.fromkeys(tops)]
    return f"The models disagree: {', '.join(parts)}."


def downloads(answers: Sequence[Answer], stored: NDArray[np.uint8]) -> None:
    """Offers the probabilities as csv and the overlays as one picture."""
    left, right, _ = st.columns([1, 1, 2])
    left.download_button(
        "Probabilities (csv)",
        table(answers).to_csv(index=False),
        file_name="ferscope-answers.csv",
        mime="text/csv",
        icon=":material/download:",
    )
    right.download_button(
        "Overlays (png)",
        lambda: sheet(answers, Image.fromarray(stored)),
        file_name="ferscope-overlays.png",
        mime="image/png",
        icon=":material/download:",
    )


def table(answers: Sequence[Answer]) -> pd.DataFrame:
    """Returns one row a model: run, model, answer, and a probability a class."""
    return pd.DataFrame(
        {
            "run": answer.run_id,
            "model": answer.title,
            "answer": answer.top,
            **dict(zip(answer.labels.names, answer.probabilities, strict=True)),
        }
        for answer in answers
    )


def sheet(answers: Sequence[Answer], face: Image.Image) -> bytes:
    """Returns the face and all overlays in one row, as PNG."""
    tiles = [("what the models see", face.convert("RGB"))] + [
        (f"{answer.title}: {answer.top} {answer.probabilities.max():.0%}",
         heat_overlay(face, answer.saliency))
        for answer in answers
    ]  # fmt: skip
    canvas = Image.new("RGB", (_TILE * len(tiles), _TILE + _CAPTION), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (caption, tile) in enumerate(tiles):
        canvas.paste(tile.resize((_TILE, _TILE), Image.Resampling.BICUBIC), (index * _TILE, 0))
        draw.text((index * _TILE + 6, _TILE + 10), caption[:36], fill="black")
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()
