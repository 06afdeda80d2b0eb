"""Tables whose rows name clips: folders that hold the frames of a video as pictures."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.files import is_image
from fer_core.data.sources.tree import FileTree

CLIP = "clip"
"""Name of the column that is added; images of one clip stay in one split."""

_SUFFIX = re.compile(r"\.(mp4|avi|flv|mov|mkv|webm|wmv|mpe?g)$", re.IGNORECASE)
_SAMPLE = 50


class ClipIndex:
    """Finds the folder of frames that a cell names: `Action/0267`, `00001.mp4`, or 1 for `00001`.

    Args:
        tree: The dataset's files.
    """

    def __init__(self, tree: FileTree) -> None:
        self._frames: dict[str, list[str]] = {}
        for folder, names in tree.by_folder.items():
            if folder and (frames := [name for name in names if is_image(name)]):
                self._frames[folder] = frames
        self._by_name: dict[str, list[str]] = {}
        for folder in self._frames:
            self._by_name.setdefault(_plain(PurePosixPath(folder).name), []).append(folder)

    def find(self, cell: str) -> str | None:
        """Returns the folder that a cell names; None if there is none or several."""
        path = _SUFFIX.sub("", cell.strip().replace("\\", "/").strip("/"))
        parts = PurePosixPath(path.lower()).parts
        if not parts:
            return None
        folders = [
            folder
            for folder in self._by_name.get(_plain(parts[-1]), [])
            if PurePosixPath(folder.lower()).parts[-len(parts) : -1] == parts[:-1]
        ]
        return folders[0] if len(folders) == 1 else None

    def frames(self, folder: str) -> Sequence[str]:
        """Returns the pictures of a folder."""
        return self._frames[folder]


def with_frames(rows: pd.DataFrame, tree: FileTree, *, header: bool) -> pd.DataFrame | None:
    """Returns a row for each frame of a table of clips, with the path of the frame in the tree.

    None if no column names clips. A clip that is missing keeps its row. Beside the clip, a single
    column of a table without a header holds the labels.
    """
    if any(is_image(str(cell)) for cell in rows.head(1).to_numpy().ravel()):
        return None
    index = ClipIndex(tree)
    column = next((str(name) for name in rows.columns if _names_clips(rows[name], index)), None)
    if column is None:
        return None
    others = [str(name) for name in rows.columns if str(name) != column]
    names = {others[0]: "label"} if not header and len(others) == 1 else {}
    expanded: list[Mapping[str, str]] = []
    for row in rows.to_dict(orient="records"):
        cells = {names.get(str(name), str(name)): str(cell) for name, cell in row.items()}
        cell = cells.pop(column)
        folder = index.find(cell)
        frames = [cell] if folder is None else index.frames(folder)
        expanded += [{**cells, "file": f"/{frame}", CLIP: folder or cell} for frame in frames]
    return pd.DataFrame(expanded, dtype="str")


def _names_clips(cells: "pd.Series[str]", index: ClipIndex) -> bool:
    """Whether most cells name folders of frames, each another one."""
    sample = [str(cell) for cell in cells.iloc[:: max(1, len(cells) // _SAMPLE)]]
    found = [folder for cell in sample if (folder := index.find(cell)) is not None]
    return 2 * len(found) > len(sample) and len(set(found)) == len(found) > 1


def _plain(name: str) -> str:
    return str(int(name)) if name.isdecimal() else name.lower()
