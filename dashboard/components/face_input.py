"""Pickers of a face: upload, camera, example or test sample.

Visitors' pictures stay in memory; nothing is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks, inference
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.uploads import UploadedFile
from dashboard.components.attach import attach_pictures
from dashboard.components.gallery import enlarge
from dashboard.components.pickers import switch
from dashboard.components.sample_picker import pick_sample
from dashboard.components.text import plain
from dashboard.state import BIND, TEST_SAMPLE, Key
from fer_core.data.faces import no_face, whole_picture
from fer_core.data.imaging import SampleFormat, printable_name
from fer_core.data.stored_pictures import Pictures
from fer_core.errors import DetectorError, ImageError

if TYPE_CHECKING:  # torch-free, but slow to import before it is needed
    from fer_core.data.faces import DetectedFace, FaceCrop

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PHOTOGRAPH = "a photograph"
"""Grace Hopper, public domain; read from the installed matplotlib, which ships the picture."""

UPLOAD, CAMERA, EXAMPLE = "Upload", "Camera", "Example"
MAX_PICTURES = 12
OWN, SAMPLE = "own", "sample"


@dataclass(frozen=True)
class DetectedPicture:
    """A picture and its faces.

    Attributes:
        name: Name of the uploaded file.
        picture: Upright, RGB.
        crops: The faces, the main one first; or the region that the user picks.
        problem: Why no face was detected; empty if there is one.
        too_small: Faces that are too small for a prediction.
    """

    name: str
    picture: Image.Image
    crops: tuple["FaceCrop", ...]
    problem: str = ""
    too_small: tuple["DetectedFace", ...] = ()


@dataclass(frozen=True)
class StoredFace:
    """A face in a benchmark's format.

    Attributes:
        pixels: uint8, shape (side, side) or (side, side, 3).
        label: The label of a test sample; None for other faces.
    """

    pixels: NDArray[np.uint8]
    label: str | None = None


def face_input(benchmark: Benchmark, *, several: bool = False) -> list[DetectedPicture]:
    """Shows the pickers of a picture and returns the readable pictures.

    Problems with a picture are shown on the page.

    Args:
        benchmark: The benchmark, whose framing the crops take.
        several: Whether more than one picture can be uploaded, or a sample of the benchmark taken.
    """
    stored = benchmarks.pictures(benchmark) if several else None
    source = st.segmented_control(
        "Picture source",
        [EXAMPLE, UPLOAD, CAMERA, *([TEST_SAMPLE] if stored is not None else [])],
        default=EXAMPLE,
        required=True,
        key=Key.FACE,
        bind=BIND,
        wrap=True,
    )
    if source == TEST_SAMPLE and stored is not None:
        return [_sample_picture(benchmark, stored)]
    return _own_pictures(benchmark, _receive(source, several=several))


def _sample_picture(benchmark: Benchmark, pictures: Pictures) -> DetectedPicture:
    sample_id = pick_sample(benchmark, pictures)
    picture = Image.fromarray(pictures.images[pictures.rows[sample_id]]).convert("RGB")
    return DetectedPicture(sample_id, picture, (whole_picture(picture),))


def _own_pictures(benchmark: Benchmark, uploads: Sequence[UploadedFile]) -> list[DetectedPicture]:
    """Shows how pictures are read, detects their faces, and shows problems."""
    cropped = st.checkbox(
        "The picture is already a cropped face",
        key="cropped",
        help="Skips face detection and uses the picture's central square.",
    )
    st.caption("Pictures stay in this machine's memory for up to an hour and are never saved.")
    if len(uploads) > MAX_PICTURES:
        st.warning(f"Only the first {MAX_PICTURES} of {len(uploads)} pictures are used.")
    opened = [_open(benchmark, upload, cropped=cropped) for upload in uploads[:MAX_PICTURES]]
    pictures = [picture for picture in opened if picture is not None]
    faceless = [picture for picture in pictures if not picture.crops]
    if not (faceless and _pick_by_hand(faceless)):
        return pictures
    return [
        picture if picture.crops else replace(picture, crops=(whole_picture(picture.picture),))
        for picture in pictures
    ]


def _pick_by_hand(faceless: Sequence[DetectedPicture]) -> bool:
    """Lists the pictures without a face, and returns whether the user picks the region instead."""
    listed = "\n".join(f"- {plain(picture.problem)}" for picture in faceless)
    count = len(faceless)
    st.warning(
        plain(faceless[0].problem) if count == 1 else f"{count} pictures have no face:\n{listed}",
        icon=":material/no_photography:",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Treat as a cropped face",
            icon=":material/crop:",
            key="treat-as-cropped",
            on_click=_treat_as_cropped,
            help="Uses the central square of each picture.",
        )
        return st.toggle(
            "Pick the region by hand",
            key="by-hand",
            help="Shows the picture with a square that you move to the face.",
        )


def _treat_as_cropped() -> None:
    st.session_state["cropped"] = True


def stored_face(benchmark: Benchmark) -> StoredFace:
    """Shows the pickers of a face and returns it in the benchmark's format.

    Stops the page until a face is picked. Test samples need the benchmark's pictures.
    """
    pictures = benchmarks.pictures(benchmark)
    if pictures is not None:
        names = {OWN: "Upload or example", SAMPLE: TEST_SAMPLE}
        if switch("Face", names, Key.SOURCE) == SAMPLE:
            return _sample_face(benchmark, pictures)
    else:
        attach_pictures(benchmark, "face")
    detected = face_input(benchmark)
    if not detected:
        st.stop()
    first = detected[0]
    if not first.crops:
        st.stop()
    stored_format = SampleFormat.of(benchmark.info)
    pixels = stored_format.convert(first.crops[0].crop)
    st.image(
        enlarge(Image.fromarray(pixels), 192), caption="The models' input", alt="The models' input"
    )
    return StoredFace(pixels)


def _sample_face(benchmark: Benchmark, pictures: Pictures) -> StoredFace:
    sample_id = pick_sample(benchmark, pictures)
    label = benchmarks.samples(benchmark).at[sample_id, "label"]
    pixels = np.asarray(pictures.images[pictures.rows[sample_id]])
    return StoredFace(pixels, label if isinstance(label, str) else None)


def _open(benchmark: Benchmark, upload: UploadedFile, *, cropped: bool) -> DetectedPicture | None:
    try:
        picture = inference.picture(upload.data, upload.name)
    except ImageError as error:
        st.error(plain(str(error)), icon=":material/no_photography:")
        return None
    try:
        faces = inference.picture_faces(benchmark, upload.data, upload.name, cropped=cropped)
    except DetectorError as error:
        return DetectedPicture(upload.name, picture, (), str(error))
    problem = "" if faces.crops else no_face(printable_name(upload.name), faces.too_small)
    return DetectedPicture(upload.name, picture, faces.crops, problem, faces.too_small)


def _receive(source: str, *, several: bool) -> list[UploadedFile]:
    """Shows the widget of a picture source and returns its pictures."""
    if source == EXAMPLE:
        return [_example()]
    if source == CAMERA:
        photograph = st.camera_input("Take a photograph", key="camera")
        return [UploadedFile(photograph.getvalue(), photograph.name)] if photograph else []
    # No list of types here: a browser's file type cannot be trusted, and open_picture has the
    # clearer error.
    label = "Pictures with faces" if several else "A picture with a face"
    uploaded = st.file_uploader(label, key="upload", accept_multiple_files=several)
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded is not None else []
    return [UploadedFile(file.getvalue(), file.name) for file in files]


def _example() -> UploadedFile:
    paths = _examples()
    names = [*paths, *([PHOTOGRAPH] if find_spec("matplotlib") else [])]
    name = st.segmented_control(
        "Example", names, default=names[0], required=True, key="example", bind=BIND, wrap=True
    )
    path = _photograph() if name == PHOTOGRAPH else paths[str(name)]
    return UploadedFile(path.read_bytes(), path.name)


def _examples() -> Mapping[str, Path]:
    return {name: EXAMPLES / f"{name}.jpg" for name in ("happy", "surprise", "angry")}


def _photograph() -> Path:
    from matplotlib import cbook

    return Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
