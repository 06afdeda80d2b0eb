"""Cards of the detected faces, and a picker of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.face_input import DetectedPicture
from dashboard.components.gallery import Card, gallery
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.data.faces import FaceCrop
from fer_core.data.imaging import SampleFormat
from fer_core.figures.palette import class_colour

MAX_FACES = 24


@dataclass(frozen=True)
class PickedFace:
    """A face and its picture."""

    source: DetectedPicture
    crop: FaceCrop


@dataclass(frozen=True)
class FaceCards:
    """The cards of several faces; `add_predictions` completes them.

    Attributes:
        container: Container of the cards.
        faces: The faces in the benchmark's format.
    """

    container: DeltaGenerator
    faces: tuple[NDArray[np.uint8], ...]

    def add_predictions(self, benchmark: Benchmark, run_ids: Sequence[str]) -> None:
        """Adds to each card its most frequent prediction and how many models agree."""
        with self.container.container():
            gallery(_predicted_cards(benchmark, self.faces, run_ids))


def pick_face(
    benchmark: Benchmark, pictures: Sequence[DetectedPicture]
) -> tuple[PickedFace, FaceCards | None]:
    """Shows a card per face if there are several; returns the picked face, and the cards if any.

    Args:
        benchmark: The benchmark.
        pictures: At least one picture.
    """
    faces = [PickedFace(picture, crop) for picture in pictures for crop in picture.crops]
    if len(faces) == 1:
        return faces[0], None
    if len(faces) > MAX_FACES:
        st.warning(f"Only the first {MAX_FACES} of {len(faces)} faces are used.")
        faces = faces[:MAX_FACES]
    stored_format = SampleFormat.of(benchmark.info)
    st.markdown(f"**{len(faces)} faces**")
    cards = FaceCards(st.empty(), tuple(stored_format.convert(face.crop.crop) for face in faces))
    with cards.container.container():
        gallery(
            [Card(Image.fromarray(face), f"{n}.") for n, face in enumerate(cards.faces, start=1)]
        )
    index = st.segmented_control(
        "Show face",
        list(range(len(faces))),
        format_func=lambda index: str(index + 1),
        default=0,
        required=True,
        key=Key.WHICH,
    )
    # A picture may have been removed since the face was picked.
    face = faces[index if index is not None and index < len(faces) else 0]
    st.caption(f"From {plain(face.source.name)}.")
    return face, cards


def _predicted_cards(
    benchmark: Benchmark, stored: Sequence[NDArray[np.uint8]], run_ids: Sequence[str]
) -> list[Card]:
    """Returns one card per face: its most frequent prediction and how many models agree."""
    results = inference.predictions_of(benchmark, tuple(run_ids), np.stack(stored))
    labels = benchmark.info.labels
    predicted = [
        result.probabilities.argmax(axis=1)
        for result in results.values()
        if not isinstance(result, str)
    ]
    cards = []
    for index, pixels in enumerate(stored):
        picture, number = Image.fromarray(pixels), index + 1
        if not predicted:
            cards.append(Card(picture, f"{number}.", "no model could predict"))
            continue
        counts = np.bincount([classes[index] for classes in predicted], minlength=len(labels))
        top = int(counts.argmax())
        note = f"{counts[top]} of {len(predicted)} models"
        cards.append(
            Card(picture, f"{number}. {labels[top]}", note, class_colour(labels[top], labels))
        )
    return cards
