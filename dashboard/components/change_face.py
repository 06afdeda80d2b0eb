"""Sliders that change a face: its crop, its light, and what covers it."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache.benchmarks import Benchmark
from dashboard.components.face_cards import Looked
from dashboard.components.faces import enlarge
from dashboard.components.text import plain
from fer_core.data.faces import CropSquare
from fer_core.data.imaging import SampleFormat
from fer_core.data.whatif import CHANGES, changed
from fer_core.figures.overlay import outlined

_SHOWN = 320


def crop_sliders(face: Looked) -> CropSquare:
    """Shows the sliders that move the crop, and returns its frame in the picture."""
    st.markdown("**Crop**")
    zoom = _slider("zoom", "Zoom", 0.5, 2.5, 1.0, "above 1 shows less of the picture")
    right = _slider("right", "To the right", -1.0, 1.0, 0.0, "in widths of the crop")
    down = _slider("down", "Downwards", -1.0, 1.0, 0.0, "in heights of the crop")
    return face.crop.frame.moved(zoom, right, down)


def change_sliders() -> dict[str, float]:
    """Shows one slider a change, and returns the amounts by name."""
    columns = st.columns(2)
    amounts = {}
    for place, change in enumerate(CHANGES.values()):
        with columns[place % 2]:
            amounts[change.name] = _slider(
                f"change-{change.name}", change.title, change.low, change.high, 0.0, change.says
            )
    return amounts


def cut(chosen: Benchmark, face: Looked, frame: CropSquare) -> NDArray[np.uint8]:
    """Returns the frame's part of the picture in the benchmark's format."""
    stored_format = SampleFormat(chosen.info.side, chosen.info.colour)
    return stored_format.convert(frame.cut(face.found.picture))


def show_face(
    chosen: Benchmark,
    face: Looked,
    frame: CropSquare,
    amounts: dict[str, float],
) -> NDArray[np.uint8]:
    """Shows the picture with its frame, and the face as the models see it; returns the latter.

    Returns:
        uint8, in the benchmark's format.
    """
    stored = changed(cut(chosen, face, frame), amounts)
    picture, model_input = st.columns(2)
    picture.image(_framed(face.found.picture, frame), width="stretch")
    picture.caption("The picture, and the square that is cut out.")
    model_input.image(enlarge(Image.fromarray(stored), _SHOWN), width="stretch")
    model_input.caption(
        f"What the models see: {chosen.info.side} x {chosen.info.side} pixels, framed as the "
        "faces that they learned from."
    )
    if face.found.problem:
        st.warning(
            f"{plain(face.found.problem)} Or place the square on the face yourself, below.",
            icon=":material/crop_free:",
        )
    return stored


def reset_button() -> None:
    """Shows a button that puts every slider back."""
    st.button("Put everything back", icon=":material/undo:", on_click=_reset)


def _slider(name: str, label: str, low: float, high: float, rest: float, says: str) -> float:
    step = 1.0 if high - low > 10 else 0.01
    key = f"whatif-{name}"
    return float(st.slider(label, float(low), float(high), rest, step, key=key, help=says))


def _reset() -> None:
    for key in [key for key in st.session_state if str(key).startswith("whatif-")]:
        del st.session_state[key]


def _framed(picture: Image.Image, frame: CropSquare) -> Image.Image:
    """Returns the picture, no larger than the page shows it, with the frame drawn on it."""
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
