"""Exports of predictions: one face as image and HTML page, all faces as JSON."""

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from PIL import Image

from fer_core.evaluation.regression import CAVEAT
from fer_core.figures.overlay import heat_bar, heat_overlay, overlay_sheet
from fer_core.figures.palette import class_colour
from fer_core.predictor.predictions import ExplainedPrediction, decide
from fer_core.records import BenchmarkInfo, shown_titles

LIMITS = (
    "A model names the expression that annotators would most likely see in this picture. It does "
    "not know what the person feels, thinks or intends, and one picture of a moment says little "
    "about a person. It learned from faces of one collection, and errs more often on faces, ages, "
    "light and poses that are rare there. Do not use it for diagnosis, or for decisions about "
    "people."
)
"""Limits of expression recognition; shown wherever predictions for a face are shown."""

_PNG_COLUMNS = 4

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font: 600 1.7rem Georgia, serif; } .note { opacity: .75; font-size: .9rem; }
.models { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr));
  gap: 1rem; }
.model { border: 1px solid #8885; border-radius: .6rem; padding: .8rem; }
.model img, .seen img { width: 100%; border-radius: .4rem; }
.seen { width: 230px; } h2 { font-size: 1rem; margin: 0 0 .3rem; }
.bar { display: grid; grid-template-columns: 5.2rem 1fr 2.8rem; gap: .4rem; font-size: .85rem;
  align-items: center; }
.bar span:nth-child(2) { height: .7rem; } .bar i { display: block; height: 100%;
  border-radius: 2px; }
"""


def predictions_png(
    predictions: Sequence[ExplainedPrediction], face: Image.Image, unsure_below: float = 0.0
) -> bytes:
    """Returns the face and each model's saliency overlay with its evidence, as PNG.

    Args:
        predictions: Predictions for one face.
        face: The models' input.
        unsure_below: Threshold of the calibrated probability; below it a model is unsure.
    """
    tiles = [face, *(heat_overlay(face, prediction.saliency) for prediction in predictions)]
    titles = _titles(predictions)
    notes = [
        "model input",
        *(
            f"{titles[item.run_id]}: {_verdict(item, unsure_below)}\n{_evidence(item)}"
            for item in predictions
        ),
    ]
    columns = min(_PNG_COLUMNS, len(tiles))
    starts = range(0, len(tiles), columns)
    rows = [tiles[start : start + columns] for start in starts]
    captions = [notes[start : start + columns] for start in starts]
    return overlay_sheet(rows, [""] * len(rows), [""] * columns, captions, bar=heat_bar())


def faces_json(
    table: pd.DataFrame, info: BenchmarkInfo, unsure_below: float = 0.0
) -> dict[str, Any]:
    """Returns the predictions of faces as JSON-serialisable values.

    Args:
        table: One row per face and run, as `tabulate` returns it.
        info: The benchmark that the runs belong to.
        unsure_below: Threshold of the calibrated probability; below it the model is unsure.
    """
    rows = json.loads(table.to_json(orient="records", double_precision=6))
    return {
        "benchmark": info.name,
        "split_hash": info.split_hash,
        "labels": list(info.labels),
        "unsure_below": unsure_below,
        "faces": rows,
        "note": LIMITS,
    }


def predictions_html(
    predictions: Sequence[ExplainedPrediction],
    face: Image.Image,
    info: BenchmarkInfo,
    unsure_below: float = 0.0,
) -> str:
    """Returns a self-contained HTML page with the face and each model's prediction and overlay.

    Args:
        predictions: Predictions for one face.
        face: The models' input.
        info: The benchmark that the runs belong to.
        unsure_below: Threshold of the calibrated probability; below it a model is unsure.
    """
    titles = _titles(predictions)
    cards = "".join(
        _card(prediction, titles[prediction.run_id], face, unsure_below)
        for prediction in predictions
    )
    enlarged = face.convert("RGB").resize((230, 230), Image.Resampling.BICUBIC)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>FERscope: one face, {len(predictions)} models</title>"
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>One face, {len(predictions)} models</h1>"
        f'<p class="note">Trained on {escape(info.title)} (split {escape(info.split_hash)}). '
        "Confidence is temperature-scaled; temperatures are fitted on validation.</p>"
        f'<p class="seen"><img src="{_data(enlarged)}" alt="the cropped face"></p>'
        f'<div class="models">{cards}</div><p class="note">{escape(LIMITS)}</p></body></html>\n'
    )


def _titles(predictions: Sequence[ExplainedPrediction]) -> dict[str, str]:
    return shown_titles({prediction.run_id: prediction.title for prediction in predictions})


def _verdict(prediction: ExplainedPrediction, unsure_below: float) -> str:
    text = f"{prediction.top} {prediction.calibrated.max():.0%}"
    sure = decide(prediction.calibrated, prediction.labels, unsure_below)
    return text if sure else f"unsure (most likely {text})"


def _evidence(prediction: ExplainedPrediction) -> str:
    return f"{prediction.method}: {prediction.evidence.label}"


def _card(
    prediction: ExplainedPrediction, title: str, face: Image.Image, unsure_below: float
) -> str:
    names = prediction.labels.names
    bars = "".join(
        f'<div class="bar"><span>{escape(name)}</span>'
        f'<span><i style="width:{100 * value:.1f}%;background:{class_colour(name, names)}"></i>'
        f"</span><span>{value:.0%}</span></div>"
        for name, value in zip(names, prediction.calibrated, strict=True)
    )
    overlay = _data(heat_overlay(face, prediction.saliency))
    return (
        f'<div class="model"><h2>{escape(title)}</h2>'
        f"<p><b>{escape(_verdict(prediction, unsure_below))}</b></p>"
        f'<img src="{overlay}" alt="evidence for {escape(prediction.explained)}">'
        f'<p class="note" title="{escape(prediction.evidence.detail)}">'
        f"Evidence for {escape(prediction.explained)} ({escape(_evidence(prediction))})</p>"
        f"{bars}{_estimates(prediction)}</div>"
    )


def _estimates(prediction: ExplainedPrediction) -> str:
    if not prediction.estimates:
        return ""
    lines = "<br>".join(
        f"{escape(name)}: <b>{escape(item.text())}</b>"
        for name, item in prediction.estimates.items()
    )
    return f'<p>{lines}</p><p class="note">{escape(CAVEAT)}</p>'


def _data(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
