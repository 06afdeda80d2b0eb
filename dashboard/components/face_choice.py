"""The face that a page explains: a visitor's own, a drawn example, or a test sample."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.face_input import face_input
from dashboard.components.pickers import switch
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.data.imaging import SampleFormat

OWN, SAMPLE = "own", "sample"


@dataclass(frozen=True)
class StoredFace:
    """A face in a benchmark's format.

    Attributes:
        pixels: uint8, shape (side, side) or (side, side, 3).
        label: What a test sample is labelled; None of other faces.
    """

    pixels: NDArray[np.uint8]
    label: str | None = None


def stored_face(chosen: Benchmark) -> StoredFace:
    """Shows where the face comes from and returns it in the benchmark's format.

    Ends the page until there is one. Test samples are offered where the pictures are.
    """
    pictures = benchmarks.pictures(chosen)
    source = OWN
    if pictures is not None:
        names = {OWN: "A face of yours, or a drawn one", SAMPLE: "A test sample"}
        source = switch("Face", names, Key.SOURCE)
    if source == SAMPLE and pictures is not None:
        samples = benchmarks.samples(chosen)
        test = samples[samples["split"] == "test"]
        names = test["label"].to_dict()
        name = st.selectbox(
            "Sample",
            list(names),
            format_func=lambda key: f"{key} ({names[key]})",
            key=Key.PICTURE,
            bind=BIND,
        )
        picture = pictures.get(str(name))
        if picture is None:
            st.error("This sample's picture is missing in the prepared set.")
            st.stop()
        return StoredFace(np.asarray(picture), str(names[name]))
    found = face_input(chosen)
    if not found:
        st.stop()
    if found[0].problem:
        st.error(plain(found[0].problem), icon=":material/no_photography:")
        st.stop()
    stored = SampleFormat(chosen.info.side, chosen.info.colour)
    return StoredFace(stored.convert(found[0].crops[0].crop))
