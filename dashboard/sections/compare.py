"""The sections of Compare on a face: changes of the face, predictions, similar pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from dashboard import pages
from dashboard.cache import benchmarks, embeddings, inference, results
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.figures import figure
from dashboard.components import chart, look_alikes, pickers, saliency_map, viewer
from dashboard.components.attach import need_pictures
from dashboard.components.face_cards import PickedFace
from dashboard.components.gallery import enlarge, strip
from dashboard.components.text import plain
from dashboard.components.tiles import tiles
from dashboard.sections import compare_downloads
from dashboard.sections.compare_downloads import Faces
from dashboard.state import BIND, PREDICTED_CLASS, Key
from dashboard.work_queue import queued
from fer_core.data.faces import SMALLEST_READABLE, CropSquare
from fer_core.data.imaging import SampleFormat
from fer_core.data.stored_pictures import Pictures
from fer_core.data.whatif import CHANGES, Turn, changed, sweep, turns
from fer_core.evaluation.regression import CAVEAT
from fer_core.extras import INSTALL_FULL, torch_installed
from fer_core.figures.boxes import BoxLabel, draw_boxes
from fer_core.figures.charts import predictions_heatmap, probability_bars
from fer_core.figures.overlay import outlined
from fer_core.figures.whatif import sweep_chart
from fer_core.predictor import BasePrediction, ExplainedPrediction, calibrated, decide

PER_ROW = 4
NEIGHBOURS = 8
_SHOWN = 320
_SLIDERS_OF = "face of the sliders"


def reset_for_another_face(face: PickedFace) -> None:
    """Resets every slider if another face is shown than in the last run."""
    crop = face.crop.crop  # smaller than the picture, and another one for each face
    shown = (crop.size, sha256(crop.tobytes()).hexdigest())
    if st.session_state.get(_SLIDERS_OF, shown) != shown:
        _reset()
    st.session_state[_SLIDERS_OF] = shown


def crop_sliders(face: PickedFace) -> CropSquare:
    """Shows the sliders that move the crop, and returns its square in the picture."""
    st.markdown("**Crop**")
    zoom = _slider("zoom", "Zoom", (0.5, 2.5, 1.0), "above 1 shows less of the picture")
    right = _slider("right", "Right", (-1.0, 1.0, 0.0), "in widths of the crop")
    down = _slider("down", "Down", (-1.0, 1.0, 0.0), "in heights of the crop")
    return face.crop.frame.moved(zoom, right, down)


def change_sliders() -> dict[str, float]:
    """Shows one slider per change, and returns the amounts by name."""
    columns = st.columns(2)
    amounts = {}
    for index, change in enumerate(CHANGES.values()):
        with columns[index % 2]:
            amounts[change.name] = _slider(
                f"change-{change.name}", change.title, (change.low, change.high, 0.0), change.says
            )
    return amounts


def reset_button() -> None:
    """Shows a button that resets every slider."""
    st.button("Reset", icon=":material/undo:", on_click=_reset)


def cut(benchmark: Benchmark, face: PickedFace, frame: CropSquare) -> NDArray[np.uint8]:
    """Returns the cropped part of the picture in the benchmark's format."""
    stored_format = SampleFormat.of(benchmark.info)
    return stored_format.convert(frame.cut(face.source.picture))


def show_face(
    benchmark: Benchmark, face: PickedFace, frame: CropSquare, amounts: Mapping[str, float]
) -> NDArray[np.uint8]:
    """Shows the picture with the crop and the models' input, and returns the input.

    Returns:
        uint8, in the benchmark's format.
    """
    stored = changed(cut(benchmark, face, frame), amounts)
    picture, model_input = st.columns(2)
    small = face.source.too_small
    boxes = [BoxLabel(small_face, "too small") for small_face in small]
    marked = draw_boxes(face.source.picture, boxes, benchmark.info.labels)
    picture.image(_framed(marked, frame), width="stretch", alt="The picture and the crop")
    picture.caption(
        "The picture and the crop."
        + (f" Faces under {SMALLEST_READABLE} pixels get no prediction." if small else "")
    )
    enlarged = enlarge(Image.fromarray(stored), _SHOWN)
    model_input.image(enlarged, width="stretch", alt="The models' input")
    side = benchmark.info.side
    model_input.caption(
        f"The models' input: {side} x {side} pixels, framed like the training images."
    )
    if face.source.problem:
        st.info(
            "No face was detected here. Move the crop to the face with the sliders below.",
            icon=":material/crop_free:",
        )
    return stored


def predictions(benchmark: Benchmark, run_ids: Sequence[str], faces: Faces) -> None:
    """Shows the models' predictions for the picked face, with maps and downloads.

    Each prediction appears as soon as it is there; the maps, which take longer, follow.

    Args:
        benchmark: The benchmark.
        run_ids: The models.
        faces: All faces; one is shown.
    """
    stored = faces.stored
    left, right = st.columns(2, gap="large")
    explain = left.selectbox(
        "Explain", [PREDICTED_CLASS, *benchmark.info.labels], key=Key.EXPLAIN, bind=BIND,
        help="The class whose evidence is shown: each model's predicted class, or one for all.",
    )  # fmt: skip
    unsure_below = right.slider(
        "Unsure below", 0, 95, 0, 5, format="%d%%", key=Key.UNSURE, bind=BIND,
        help="Below this calibrated confidence a model abstains. For the recommended model, the "
        "page Verdict shows the resulting coverage and error rate.",
    ) / 100  # fmt: skip
    target = None if explain == PREDICTED_CLASS else str(explain)
    heading, heat_map = st.empty(), st.empty()
    cards = _model_cards(benchmark, run_ids)
    work = (benchmark.info.name, *run_ids, stored.tobytes())
    with queued("predictions", *work):
        predicted = _predict(benchmark, cards, stored, unsure_below)
    if not predicted:
        return
    heading.markdown(f"#### {agreement(predicted, unsure_below)}")
    with heat_map.container():
        _heatmap(predicted, benchmark.titles)
    with queued("maps", *work, target):
        explained = _explain(benchmark, cards, predicted, stored, target)
    _explanation_notes(predicted)
    if explained:
        compare_downloads.show(benchmark, faces, explained, unsure_below)


def agreement(predictions: Sequence[BasePrediction], unsure_below: float) -> str:
    """Returns one sentence on whether the models agree."""
    predicted = [
        plain(decide(item.calibrated, item.labels, unsure_below) or "unsure")
        for item in predictions
    ]
    if len(predictions) == 1:
        return f"{plain(predictions[0].title)}: {predicted[0]}."
    if len(set(predicted)) == 1:
        return f"All {len(predicted)} models: {predicted[0]}."
    ordered = sorted(dict.fromkeys(predicted), key=lambda name: -predicted.count(name))
    counts = [f"{name} ({predicted.count(name)})" for name in ordered]
    return f"The models disagree: {', '.join(counts)}."


@dataclass(frozen=True)
class _ModelCard:
    """Places on the page for a model's prediction and for its map, which follows later."""

    prediction: DeltaGenerator
    map: DeltaGenerator


def _model_cards(benchmark: Benchmark, run_ids: Sequence[str]) -> dict[str, _ModelCard]:
    """Shows a card for each model, with a link to its page, and returns its empty places."""
    cards = {}
    for start in range(0, len(run_ids), PER_ROW):
        columns = tiles(PER_ROW, f"models-{start}", "wide")
        for column, run_id in zip(columns, run_ids[start : start + PER_ROW], strict=False):
            with column.container(border=True):
                query = pages.run_query(benchmark.info.name, run_id)
                pages.link("run", f"**{plain(benchmark.titles[run_id])}**", query)
                cards[run_id] = _ModelCard(st.empty(), st.empty())
                cards[run_id].prediction.caption("The model is running ...")
    return cards


def _predict(
    benchmark: Benchmark,
    cards: Mapping[str, _ModelCard],
    stored: NDArray[np.uint8],
    unsure_below: float,
) -> list[BasePrediction]:
    """Shows each model's prediction as soon as it is there; returns them in the order shown."""
    predicted = {}
    for run_id, result in inference.each_prediction(benchmark, list(cards), stored):
        with cards[run_id].prediction.container():
            if isinstance(result, str):
                title = plain(benchmark.titles[run_id])
                st.warning(f"{title} has no prediction. {plain(result)}")
                continue
            predicted[run_id] = result
            top = decide(result.calibrated, result.labels, unsure_below)
            st.markdown(f"### {plain(top or 'unsure')} · {result.calibrated.max():.0%}")
            for name, item in result.estimates.items():
                st.markdown(f"{plain(name)}: **{item.text()}**")
            st.plotly_chart(
                figure(probability_bars, result.calibrated, result.labels.names),
                key=f"bars-{run_id}",
                config={"displayModeBar": False},
                alt=_probabilities(result),
            )
        cards[run_id].map.caption("The saliency map follows.")
    return [predicted[run_id] for run_id in cards if run_id in predicted]


def _explain(
    benchmark: Benchmark,
    cards: Mapping[str, _ModelCard],
    predicted: Sequence[BasePrediction],
    stored: NDArray[np.uint8],
    target: str | None,
) -> list[ExplainedPrediction]:
    """Shows each model's saliency map as soon as it is there; returns predictions with maps.

    Args:
        benchmark: The benchmark.
        cards: Places for the maps by run.
        predicted: Predictions of the models.
        stored: The face in the benchmark's format.
        target: The explained class; each model's predicted class if None.
    """
    if not torch_installed():
        for card in cards.values():
            card.map.empty()
        st.info(f"Saliency maps need PyTorch. Install it with: {INSTALL_FULL}.")
        return []
    face = Image.fromarray(stored)
    explained: dict[str, ExplainedPrediction] = {}
    # an ensemble's map is made of its members' maps
    ids = [item.run_id for item in predicted]
    for run_id in sorted(ids, key=lambda run_id: bool(benchmark.run(run_id).info.members)):
        result = inference.explained_prediction(benchmark, benchmark.run(run_id), stored, target)
        if isinstance(result, str):
            cards[run_id].map.warning(f"There is no map. {plain(result)}")
            continue
        explained[run_id] = result
        note = (
            f"Evidence for *{plain(result.explained)}* ({result.method}); "
            f"{1000 * result.seconds:.0f} ms"
        )
        with cards[run_id].map.container():
            saliency_map.show(st.container(), face, result.saliency, result.evidence, note)
    return [explained[run_id] for run_id in ids if run_id in explained]


def _heatmap(predictions: Sequence[BasePrediction], titles: Mapping[str, str]) -> None:
    """Shows all distributions as one heat map, one row per model."""
    rows = {titles[item.run_id]: item.calibrated for item in predictions}
    chart.show(
        figure(predictions_heatmap, rows, predictions[0].labels.names, ""),
        "predictions",
        "Calibrated probability of each class, one row per model.",
    )


def _explanation_notes(predictions: Sequence[BasePrediction]) -> None:
    """Says how to read the cards."""
    st.caption(
        "Bright regions are evidence for the named class; without evidence, the face stays grey. A "
        "map shows what influenced a model, not what a person would look at. Confidence is scaled "
        "by each model's temperature, fitted on validation. Times include prediction and map. The "
        "badge says whether such maps beat model-agnostic baselines on that model; hover over it "
        "for the intervals."
    )
    if any(item.estimates for item in predictions):
        st.caption(f"Numbers below a prediction are estimates with 90% intervals. {CAVEAT}")


def _probabilities(prediction: BasePrediction) -> str:
    """Returns a model's probabilities as text."""
    return "Class probabilities: " + ", ".join(
        f"{name} {share:.0%}"
        for name, share in zip(prediction.labels.names, prediction.calibrated, strict=True)
    )


def sweep_one_change(
    benchmark: Benchmark,
    run_ids: Sequence[str],
    face: NDArray[np.uint8],
    amounts: Mapping[str, float],
) -> None:
    """Shows each model's predictions over the amounts of one change, and where they flip.

    Args:
        benchmark: The benchmark.
        run_ids: The models.
        face: The unchanged face in the benchmark's format.
        amounts: Amounts of the sliders, by change.
    """
    titles = {name: change.title for name, change in CHANGES.items()}
    name = pickers.switch("Change", titles, Key.CHANGE)
    change, labels = CHANGES[name], benchmark.info.labels
    images = sweep(face, name, amounts)
    rows, flips = {}, []
    for run_id, result in inference.predictions_of(benchmark, tuple(run_ids), images).items():
        title = benchmark.titles[run_id]
        if isinstance(result, str):
            st.warning(f"{plain(title)} has no prediction. {plain(result)}")
            continue
        rows[title] = calibrated(result.probabilities, result.temperature)
        down, up = turns(change.amounts.tolist(), rows[title].argmax(axis=1).tolist())
        flips.append({"model": title, "below 0": _flip(down, labels), "above 0": _flip(up, labels)})
    if not rows:
        return
    shown = range(0, len(images), 2)
    strip([(Image.fromarray(images[n]), f"{change.amounts[n]:+.2f}") for n in shown])
    chart.show(
        sweep_chart(rows, labels, change, amounts[name]),
        "what-if",
        "One square per model and amount. Colour: predicted class; size: confidence. Dotted line: "
        "the slider's current value.",
    )
    columns = ["model", "above 0"] if change.low == 0 else ["model", "below 0", "above 0"]
    st.markdown("**Where each prediction changes**")
    st.dataframe(flips, column_order=columns, hide_index=True)


def similar_pictures(benchmark: Benchmark, stored: NDArray[np.uint8]) -> None:
    """Shows the training and test pictures that are most similar to a face."""
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, "compare")
        return
    for split, title in (("train", "training"), ("test", "test")):
        st.markdown(f"**Most similar {title} pictures**")
        matches = results.nearest(benchmark, stored, NEIGHBOURS, split)
        look_alikes.show(
            benchmark, pictures, matches, key=f"similar-{split}", on_open=viewer.open_sample
        )
        viewer.offer(benchmark, [sample_id for sample_id, _ in matches])
    st.caption(look_alikes.EXPLANATION)
    _similar_by_embedding(benchmark, pictures, stored)


def _similar_by_embedding(
    benchmark: Benchmark, pictures: Pictures, stored: NDArray[np.uint8]
) -> None:
    """Shows the training pictures that a network sees most like a face, if it was embedded."""
    run = embeddings.chosen_network(benchmark, st.query_params.get(Key.RUN, ""))
    if run is None:
        return
    title = plain(benchmark.titles[run.run_id])
    st.markdown(f"**Most similar training pictures by the embedding of {title}**")
    index = embeddings.index_of(run)
    if index is None:
        st.caption("The embedding has not been computed yet. Compute it:")
        name = benchmark.info.name
        st.code(f"python -m training embed {name} {run.run_id}", language="bash")
        return
    vector = embeddings.embed_face(benchmark, run, index, stored)
    matches = embeddings.nearest(benchmark, index, vector, NEIGHBOURS)
    look_alikes.show(
        benchmark,
        pictures,
        matches,
        key="similar-embedded",
        on_open=viewer.open_sample,
        symbol="cos",
    )
    viewer.offer(benchmark, [sample_id for sample_id, _ in matches])
    st.caption(look_alikes.EMBEDDING_EXPLANATION)


def _flip(turn: Turn | None, labels: Sequence[str]) -> str:
    return "unchanged" if turn is None else f"at {turn.amount:+.2f}: {labels[turn.predicted]}"


def _slider(name: str, label: str, bounds: tuple[float, float, float], help_text: str) -> float:
    """Shows a slider; `bounds` are its lowest, highest and initial value."""
    low, high, initial = map(float, bounds)
    step = 1.0 if high - low > 10 else 0.01
    key = f"whatif-{name}"
    if key not in st.session_state:  # written, so that the browser moves a slider that was reset
        st.session_state[key] = initial
    return float(st.slider(label, low, high, step=step, key=key, help=help_text))


def _reset() -> None:
    for key in [key for key in st.session_state if str(key).startswith("whatif-")]:
        del st.session_state[key]


def _framed(picture: Image.Image, frame: CropSquare) -> Image.Image:
    """Returns the picture, no larger than the page shows it, with the crop drawn on it."""
    shown = picture.copy()
    shown.thumbnail((2 * _SHOWN, 2 * _SHOWN))
    right, bottom = frame.left + frame.side, frame.top + frame.side
    box = (
        frame.left / picture.width,
        frame.top / picture.height,
        right / picture.width,
        bottom / picture.height,
    )
    return outlined(shown, box)
