"""The faces of a visitor's pictures as cards, and the one that is looked at closely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.face_grid import Card, cards
from dashboard.components.face_input import Found
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.data.faces import FaceCrop
from fer_core.data.imaging import SampleFormat
from fer_core.figures.palette import class_colour

MOST_FACES = 24


@dataclass(frozen=True)
class Looked:
    """A face and the picture that it is from."""

    found: Found
    crop: FaceCrop


def pick_face(chosen: Benchmark, found: Sequence[Found], run_ids: Sequence[str]) -> Looked:
    """Shows all faces with what the models say, if there are several, and returns the picked one.

    Args:
        chosen: The benchmark.
        found: At least one picture.
        run_ids: The models that are asked.
    """
    faces = [Looked(one, crop) for one in found for crop in one.crops]
    if len(faces) == 1:
        return faces[0]
    if len(faces) > MOST_FACES:
        st.warning(f"Only the first {MOST_FACES} of {len(faces)} faces are taken.")
        faces = faces[:MOST_FACES]
    stored_format = SampleFormat(chosen.info.side, chosen.info.colour)
    stored = [stored_format.convert(face.crop.crop) for face in faces]
    verdicts = _verdicts(chosen, stored, run_ids)
    st.markdown(f"**{len(faces)} faces**")
    cards(
        [
            Card(Image.fromarray(image), f"{place + 1}. {label}", note, colour)
            for place, (image, (label, note, colour)) in enumerate(
                zip(stored, verdicts, strict=True)
            )
        ]
    )
    picked = st.segmented_control(
        "Look closely at face",
        list(range(len(faces))),
        format_func=lambda place: str(place + 1),
        default=0,
        required=True,
        key=Key.WHICH,
    )
    # A picture may have been taken away since the face was picked.
    face = faces[picked if picked is not None and picked < len(faces) else 0]
    st.caption(f"From {plain(face.found.name)}.")
    return face


def _verdicts(
    chosen: Benchmark, stored: Sequence[NDArray[np.uint8]], run_ids: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Returns each face's most frequent answer, how many models give it, and its colour."""
    given = benchmarks.predictions_of(chosen, run_ids, np.stack(stored))
    labels = chosen.info.labels
    answers = [result.probabilities.argmax(axis=1) for result in given.values()
               if not isinstance(result, str)]  # fmt: skip
    if not answers:
        return [("", "no model answered", "transparent") for _ in stored]
    verdicts = []
    for own in np.stack(answers, axis=1):
        votes = np.bincount(own, minlength=len(labels))
        best = int(votes.argmax())
        note = f"{votes[best]} of {len(own)} models"
        verdicts.append((labels[best], note, class_colour(labels[best], labels)))
    return verdicts
