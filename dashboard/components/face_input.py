"""A visitor's face: uploaded, photographed, or one of the examples. Nothing is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard import data_access
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.data.faces import FaceCrop
from fer_core.errors import FerscopeError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

UPLOAD, CAMERA, EXAMPLE = "Upload", "Camera", "Example"


@dataclass(frozen=True)
class Upload:
    """Bytes from outside and the name they came under."""

    data: bytes
    name: str


def face_input() -> FaceCrop | None:
    """Shows the ways to bring a face and returns its crop.

    Returns:
        None until there is a picture with a face; what is wrong is said on the page.
    """
    examples = _examples()
    ways = [EXAMPLE, UPLOAD, CAMERA] if examples else [UPLOAD, CAMERA]
    way = st.segmented_control(
        "Where the face comes from", ways, default=ways[0], required=True, key=Key.FACE, bind=BIND
    )
    upload = _receive(way, examples)
    cropped = st.checkbox(
        "The picture is already a cropped face",
        key="cropped",
        help="Skips face detection and takes the picture's central square.",
    )
    st.caption("Pictures stay in memory for this visit and are stored nowhere.")
    if upload is None:
        return None
    try:
        return data_access.face_crop(upload.data, upload.name, cropped)
    except FerscopeError as error:
        st.error(plain(str(error)), icon=":material/no_photography:")
        return None


def _receive(way: str, examples: Mapping[str, Path]) -> Upload | None:
    if way == UPLOAD:
        # No list of types here: the browser's word for a file's type is not to be trusted, and
        # open_picture says more clearly what it cannot read.
        file = st.file_uploader("A picture with a face", key="upload")
    elif way == CAMERA:
        file = st.camera_input("Look at the camera", key="camera")
    else:
        name = st.segmented_control(
            "Drawn example", list(examples), default=next(iter(examples)), required=True,
            key="example", bind=BIND,
        )  # fmt: skip
        return Upload(examples[name].read_bytes(), examples[name].name)
    return None if file is None else Upload(file.getvalue(), file.name)


def _examples() -> Mapping[str, Path]:
    return {path.stem: path for path in sorted(EXAMPLES.glob("*.jpg"))}
