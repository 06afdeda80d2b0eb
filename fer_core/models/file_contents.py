"""What a file holds by its first bytes, whatever its name says."""

import re
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

from fer_core.errors import WeightsError

_ARCHIVE = "is an archive. Unpack it, and give the file or folder that was in it."
_PAGE = "is a web page, not the file that was meant. Download the file itself."
_TENSORFLOW = (
    "is a model of TensorFlow. Export it as ONNX with tf2onnx (pip install tf2onnx), by "
    "from_keras, from_tflite or from_graph_def of tf2onnx.convert; a file of weights needs its "
    "network for that. Import the .onnx file."
)
_PICKLE = (
    "is a pickle, which is refused, because it could run anything. Export the model as ONNX "
    "(torch.onnx.export; tf2onnx for TensorFlow), or save its weights with "
    "torch.save(model.state_dict(), path)."
)
_STARTS = {
    b"version https://git-lfs": (
        "is a pointer of Git LFS, without the content of the file. Run `git lfs pull` in its "
        "repository, or download the file itself."
    ),
    b"<!doctype": _PAGE,
    b"<html": _PAGE,
    b"\x1f\x8b": _ARCHIVE,
    b"7z\xbc\xaf": _ARCHIVE,
    b"rar!": _ARCHIVE,
    b"\x89hdf\r\n": _TENSORFLOW,
    b"\x08\x01\x12": _TENSORFLOW,  # a SavedModel
}
"""What is wrong with files that start so, in lower case."""

REMEDIES = {
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".tflite", ".pb"), _TENSORFLOW),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE),
    **dict.fromkeys((".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), _ARCHIVE),
    ".json": "only describes weights. Give its folder.",
}
"""What to do with files of no known content, by extension."""

_TORCH_PICKLE = b"l\xfc\x9cF\xf9 j\xa8P\x19."
"""Number that a file of torch before 1.6 starts with, as a pickle."""

_ONNX = re.compile(rb"\x08[\x02-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]")
"""Version of the format, and the key of the next field in ONNX's ModelProto."""

_HEADER = 8  # bytes before the JSON header of a safetensors file
_PICKLE_IN_ZIP = "data.pkl"
_KERAS_IN_ZIP = "model.weights.h5"


def is_safetensors(path: Path) -> bool:
    """Whether a file starts as safetensors do: with the length of a JSON header."""
    start = _start(path)
    return start[_HEADER : _HEADER + 1] == b"{" and start[5:_HEADER] == bytes(3)


def is_torch(path: Path) -> bool:
    """Whether a file starts as those of `torch.save` do."""
    start = _start(path)
    return start.startswith(b"PK\3\4") or _TORCH_PICKLE in start


def is_onnx(path: Path) -> bool:
    """Whether a file starts as ONNX networks do."""
    return bool(_ONNX.match(_start(path))) and not is_safetensors(path)


def kind_of(path: Path) -> Literal["onnx", "weights"] | None:
    """Returns what a file holds by its content; None if that says nothing."""
    if is_onnx(path):
        return "onnx"
    return "weights" if is_safetensors(path) or is_torch(path) else None


def require_content(path: Path) -> None:
    """Refuses a pointer, a web page, an archive, a model of TensorFlow and a plain pickle.

    Raises:
        WeightsError: If it is one of these; says what to do.
    """
    problem = "" if is_safetensors(path) else _problem(_start(path))
    if problem := problem or _problem_of_archive(path):
        raise WeightsError(f"{path.name} {problem}")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _problem(start: bytes) -> str:
    """Returns what is wrong with a file that starts so; empty if nothing is."""
    if start[4:8] == b"TFL3":
        return _TENSORFLOW
    if re.match(rb"\x80[\2-\5]", start) and _TORCH_PICKLE not in start:
        return _PICKLE
    plain = start.lstrip().lower()
    return next((text for known, text in _STARTS.items() if plain.startswith(known)), "")


def _problem_of_archive(path: Path) -> str:
    """Returns what is wrong with a zip or tar archive; empty if torch wrote it, or it is none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
        if _KERAS_IN_ZIP in names:
            return _TENSORFLOW
        return "" if _PICKLE_IN_ZIP in names else _ARCHIVE
    return _ARCHIVE if tarfile.is_tarfile(path) else ""
