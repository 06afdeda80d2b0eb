"""Models' answers for one face, side by side."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import chart
from dashboard.components.face_grid import strip
from dashboard.components.text import plain
from fer_core.data.whatif import CHANGES, Turn, turns
from fer_core.figures.charts import answers_heatmap, probability_bars
from fer_core.figures.overlay import heat_overlay
from fer_core.figures.whatif import sweep_chart
from fer_core.predictor import Answer, calibrated, decide
from fer_core.predictor.export import answers_html, answers_json, answers_png, answers_table
from fer_core.records import BenchmarkInfo

PER_ROW = 4


def agreement(answers: Sequence[Answer], unsure_below: float) -> str:
    """Returns one sentence on whether the models agree."""
    tops = [decide(one.calibrated, one.labels, unsure_below) or "unsure" for one in answers]
    if len(answers) == 1:
        return f"{plain(answers[0].title)} says {tops[0]}."
    if len(set(tops)) == 1:
        return f"All {len(tops)} models say {tops[0]}."
    counted = sorted(dict.fromkeys(tops), key=lambda top: -tops.count(top))
    parts = [f"{tops.count(top)} say {top}" for top in counted]
    return f"The models disagree: {', '.join(parts)}."


def at_a_glance(answers: Sequence[Answer], titles: Mapping[str, str]) -> None:
    """Shows all distributions as one picture, a row a model."""
    rows = {titles[answer.run_id]: answer.calibrated for answer in answers}
    chart.show(
        answers_heatmap(rows, answers[0].labels.names, ""),
        "answers",
        "Each row is one model's calibrated distribution over the classes: columns that are "
        "bright all the way down are what the models agree on.",
    )


def side_by_side(
    answers: Sequence[Answer],
    titles: Mapping[str, str],
    stored: NDArray[np.uint8],
    unsure_below: float,
) -> None:
    """Shows each model's answer with its overlay.

    Args:
        answers: In the order to show.
        titles: Shown names by run id.
        stored: The face as the models see it, uint8, (side, side) or (side, side, 3).
        unsure_below: Calibrated probability below which a model's answer is "unsure".
    """
    face = Image.fromarray(stored)
    for start in range(0, len(answers), PER_ROW):
        columns = st.columns(PER_ROW, gap="medium")
        for column, answer in zip(columns, answers[start : start + PER_ROW], strict=False):
            with column.container(border=True):
                sure = decide(answer.calibrated, answer.labels, unsure_below)
                st.markdown(f"**{plain(titles[answer.run_id])}**")
                st.markdown(f"### {sure or 'unsure'} · {answer.calibrated.max():.0%}")
                st.image(heat_overlay(face, answer.saliency), width="stretch")
                st.caption(
                    f"What speaks for *{answer.explained}* ({answer.method}); "
                    f"{1000 * answer.seconds:.0f} ms"
                )
                st.plotly_chart(
                    probability_bars(answer.calibrated, answer.labels.names),
                    key=f"bars-{answer.run_id}",
                    config={"displayModeBar": False},
                )
    st.caption(
        "Bright parts speak for the named emotion; where nothing does, the face stays grey. A map "
        "shows what moved a model, which is not always what a person would look at. Confidence is "
        "scaled by each model's temperature, fitted on validation; milliseconds are for answer "
        "and map together."
    )


def downloads(
    answers: Sequence[Answer],
    stored: NDArray[np.uint8],
    info: BenchmarkInfo,
    unsure_below: float,
) -> None:
    """Offers the answers as a picture, a page, JSON and csv."""
    face = Image.fromarray(stored)
    files = (
        ("Picture (png)", "ferscope-face.png", "image/png",
         lambda: answers_png(answers, face, unsure_below)),
        ("Page (html)", "ferscope-face.html", "text/html",
         lambda: answers_html(answers, face, info, unsure_below)),
        ("Data (json)", "ferscope-face.json", "application/json",
         lambda: json.dumps(answers_json(answers, info, unsure_below), indent=2)),
        ("Table (csv)", "ferscope-face.csv", "text/csv",
         lambda: answers_table(answers, unsure_below).to_csv(index=False)),
    )  # fmt: skip
    for column, (label, name, mime, make) in zip(st.columns(len(files)), files, strict=True):
        column.download_button(
            label, make, file_name=name, mime=mime, icon=":material/download:", width="stretch"
        )


def turning(
    chosen: Benchmark, run_ids: Sequence[str], images: NDArray[np.uint8], name: str, now: float
) -> None:
    """Shows each model's answers along the amounts of one change, and where it changes its mind.

    Args:
        chosen: The benchmark.
        run_ids: The models that are asked.
        images: The face under each amount, as `fer_core.data.whatif.sweep` gives it.
        name: The change.
        now: The amount that the face has.
    """
    change, labels = CHANGES[name], chosen.info.labels
    given = benchmarks.predictions_of(chosen, run_ids, images)
    rows, turned = {}, []
    for run_id, result in given.items():
        title = chosen.titles[run_id]
        if isinstance(result, str):
            st.warning(f"{plain(title)} cannot answer. {plain(result)}")
            continue
        rows[title] = calibrated(result.probabilities, result.temperature)
        down, up = turns(change.amounts.tolist(), rows[title].argmax(axis=1).tolist())
        turned.append(
            {"model": title, "below 0": _said(down, labels), "above 0": _said(up, labels)}
        )
    if not rows:
        return
    shown = range(0, len(images), 2)
    strip([(Image.fromarray(images[n]), f"{change.amounts[n]:+.2f}") for n in shown])
    chart.show(
        sweep_chart(rows, labels, change, now),
        "what-if",
        "A square a model and amount: its colour is the answer, its size how sure the model is. "
        "The dotted line is where the sliders stand.",
    )
    columns = ["model", "above 0"] if change.low == 0 else ["model", "below 0", "above 0"]
    st.markdown("**Where each model changes its mind**")
    st.dataframe(turned, column_order=columns, hide_index=True)


def _said(turn: Turn | None, labels: Sequence[str]) -> str:
    return "stays" if turn is None else f"at {turn.amount:+.2f}: {labels[turn.answer]}"
