"""What a file holds by its first bytes, whatever its name says."""

import tarfile
import zipfile
from pathlib import Path

from fer_core.errors import WeightsError

_ARCHIVE = "is an archive. Unpack it, and give the file or folder that was in it."
_PAGE = "is a web page, not the file that was meant. Download the file itself."
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
}
"""What is wrong with files that start so, in lower case."""

_HEADER = 8  # bytes before the JSON header of a safetensors file
_PICKLE_IN_ZIP = "data.pkl"


def is_safetensors(path: Path) -> bool:
    """Whether a file starts as safetensors do."""
    with path.open("rb") as file:
        return file.read(_HEADER + 1)[_HEADER:] == b"{"


def is_torch(path: Path) -> bool:
    """Whether a file starts as those of `torch.save` do: with a zip or a pickle."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\3\4", b"\x80"))


def require_content(path: Path) -> None:
    """Refuses a file that only stands for a model's: a pointer, a web page or an archive.

    Raises:
        WeightsError: If it is one of these; says what to do.
    """
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    problem = next((text for known, text in _STARTS.items() if start.startswith(known)), "")
    if problem or _is_other_archive(path):
        raise WeightsError(f"{path.name} {problem or _ARCHIVE}")


def _is_other_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive that torch did not write."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith(_PICKLE_IN_ZIP) for name in archive.namelist())
    return tarfile.is_tarfile(path)
