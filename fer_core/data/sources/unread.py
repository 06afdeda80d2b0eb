"""Kinds of files that no reader supports, and what to do with them."""

from pathlib import PurePosixPath

from fer_core.data.sources.tree import ARCHIVES, UNREAD_ARCHIVES, FileTree, printable

_ARRAYS = "Save their arrays with np.savez('faces.npz', images=images, labels=labels)"
_KINDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("videos", (".mp4", ".avi", ".flv", ".mov", ".mkv", ".wmv", ".mpg", ".mpeg", ".webm", ".m4v"),
     "Save their frames as pictures, in a folder for each video"),
    ("HDF5 files", (".h5", ".hdf5", ".hdf"), _ARRAYS),
    ("MATLAB files", (".mat",), _ARRAYS),
    ("pickled objects", (".pkl", ".pickle", ".joblib", ".pt", ".pth"),
     f"Reading them could run any program. {_ARRAYS}"),
    ("TFRecord files", (".tfrecord", ".tfrecords", ".tfrec"),
     "Save their pictures as files, in a folder for each class"),
    ("LMDB files", (".mdb",), "Save their pictures as files, in a folder for each class"),
    ("tables of office programs", (".xlsx", ".xls", ".ods"), "Save them as csv"),
    ("archives", (*ARCHIVES, *UNREAD_ARCHIVES),
     "Unpack them into this folder, or give the path of a single zip or tar"),
    ("XML files", (".xml",),
     "Export the labels as PASCAL VOC or CVAT for images, into the folder of the pictures; of CVAT "
     "for video save the frames as frame_000000.png ..., in a folder called like the video"),
    ("annotation files", (".json", ".ndjson"),
     "Write the labels into a csv with the columns path and label, beside the pictures"),
)  # fmt: skip
"""Name of a kind, its suffixes, and the remedy."""


def unread_kind(name: str) -> tuple[str, str] | None:
    """Returns the kind of a file that no reader supports, and the remedy."""
    plain = name.lower()
    for kind, suffixes, remedy in _KINDS:
        # parts are called train.tfrecord-00000-of-00004
        if plain.endswith(suffixes) or any(f"{suffix}-" in plain for suffix in suffixes):
            return kind, remedy
    return None


def unread_files(tree: FileTree) -> str:
    """Returns sentences on the files of a tree that no reader supports; empty without any."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in tree.files:
        if kind := unread_kind(PurePosixPath(name).name):
            found.setdefault(kind, []).append(name)
    return " ".join(
        f"It holds {kind} ({printable(names[0])}{_more(len(names))}), which are not read. {remedy}."
        for (kind, remedy), names in found.items()
    )


def _more(count: int) -> str:
    return f" and {count - 1:,} more" if count > 1 else ""
