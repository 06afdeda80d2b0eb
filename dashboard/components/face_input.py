"""A visitor's faces: uploaded, photographed, or one of the examples. Nothing is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.errors import FerscopeError, ImageError

if TYPE_CHECKING:  # torch-free, but slow to import before it is needed
    from fer_core.data.faces import FaceCrop

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PHOTOGRAPH = "a photograph"
"""Rear Admiral Grace Hopper, public domain; found through matplotlib, not copied."""

UPLOAD, CAMERA, EXAMPLE = "Upload", "Camera", "Example"
MOST_PICTURES = 12


@dataclass(frozen=True)
class UploadedPicture:
    """Bytes from outside and the name they came under."""

    data: bytes
    name: str


@dataclass(frozen=True)
class Found:
    """A picture and its faces.

    Attributes:
        name: What it is called; from outside.
        picture: Upright, RGB.
        crops: The faces, the one that the picture is about first. Where none was found, the
            picture's middle.
        problem: Why there is no face; empty if there is one.
    """

    name: str
    picture: Image.Image
    crops: tuple["FaceCrop", ...]
    problem: str = ""


def face_input(chosen: Benchmark, *, several: bool = False) -> list[Found]:
    """Shows the ways to bring a face and returns the pictures that can be read.

    What is wrong with a picture is said on the page.

    Args:
        chosen: The benchmark, whose framing the crops take.
        several: Whether more than one picture can be uploaded.
    """
    examples = _examples()
    way = st.segmented_control(
        "Where the face comes from", [EXAMPLE, UPLOAD, CAMERA], default=EXAMPLE, required=True,
        key=Key.FACE, bind=BIND,
    )  # fmt: skip
    uploads = _receive(way, examples, several=several)
    cropped = st.checkbox(
        "The picture is already a cropped face",
        key="cropped",
        help="Skips face detection and takes the picture's central square.",
    )
    st.caption("Pictures stay in this machine's memory for a while and are written nowhere.")
    if len(uploads) > MOST_PICTURES:
        st.warning(f"Only the first {MOST_PICTURES} of {len(uploads)} pictures are taken.")
    found = [_open(chosen, upload, cropped=cropped) for upload in uploads[:MOST_PICTURES]]
    return [one for one in found if one is not None]


def _open(chosen: Benchmark, upload: UploadedPicture, *, cropped: bool) -> Found | None:
    try:
        picture = benchmarks.picture(upload.data, upload.name)
    except ImageError as error:
        st.error(plain(str(error)), icon=":material/no_photography:")
        return None
    try:
        crops = benchmarks.face_crops(chosen, upload.data, upload.name, cropped=cropped)
    except FerscopeError as error:
        whole = benchmarks.face_crops(chosen, upload.data, upload.name, cropped=True)
        return Found(upload.name, picture, whole, str(error))
    return Found(upload.name, picture, crops)


def _receive(way: str, examples: Mapping[str, Path], *, several: bool) -> list[UploadedPicture]:
    if way == EXAMPLE:
        names = [*examples, *([PHOTOGRAPH] if find_spec("matplotlib") else [])]
        name = st.segmented_control(
            "Example", names, default=names[0], required=True, key="example", bind=BIND
        )
        path = _photograph() if name == PHOTOGRAPH else examples[name]
        return [UploadedPicture(path.read_bytes(), path.name)]
    if way == CAMERA:
        photograph = st.camera_input("Look at the camera", key="camera")
        return (
            [] if photograph is None else [UploadedPicture(photograph.getvalue(), photograph.name)]
        )
    # No list of types here: the browser's word for a file's type is not to be trusted, and
    # open_picture says more clearly what it cannot read.
    label = "Pictures with faces" if several else "A picture with a face"
    given = st.file_uploader(label, key="upload", accept_multiple_files=several)
    files = given if isinstance(given, list) else [given] if given is not None else []
    return [UploadedPicture(file.getvalue(), file.name) for file in files]


def _examples() -> Mapping[str, Path]:
    return {name: EXAMPLES / f"{name}.jpg" for name in ("happy", "surprise", "angry")}


def _photograph() -> Path:
    from matplotlib import cbook

    return Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
