"""Finds class folders in a tree: `<class>/<image>`, with or without splits, at any depth.

Split folders may be above or inside the class folders, and folders of persons inside them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from fer_core.data.sources.base import Split
from fer_core.data.sources.class_names import code_of, emotion_of
from fer_core.data.sources.files import is_image
from fer_core.data.sources.split_names import require_known, split_of_folder
from fer_core.data.sources.tree import FileTree
from fer_core.data.sources.unread import unread_files
from fer_core.errors import DataError, listed

MOST_LISTED = 8
"""Maximum number of folders in a message."""


@dataclass(frozen=True)
class ClassFolder:
    """A folder of images of one class.

    Attributes:
        folder: Path of the folder in the tree.
        name: The folder's name of the class.
        split: Split of the folder, if there are split folders.
        images: Names of its images in the tree.
        group: The person, if this is a folder of a person inside the class folder.
    """

    folder: str
    name: str
    split: Split | None
    images: Sequence[str]
    group: str | None = None


@dataclass(frozen=True)
class ClassFolders:
    """The class folders of one dataset.

    Attributes:
        root: The folder that contains them or the split folders; empty for the tree itself.
        folders: The class folders.
        unsorted: Images outside class folders, by folder: in a split folder or the root.
        above: The folders above the class folders, without those of splits.
    """

    root: str
    folders: Sequence[ClassFolder]
    unsorted: Mapping[str, int] = field(default_factory=dict)
    above: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """Number of images by class name."""
        counts: Counter[str] = Counter()
        for folder in self.folders:
            counts[folder.name] += len(folder.images)
        return counts

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(len(folder.images) for folder in self.folders)

    @property
    def says_classes(self) -> bool:
        """Whether a class is named after an emotion, or two after numbers."""
        names = {folder.name for folder in self.folders}
        numbers = sum(code_of(name) is not None for name in names)
        return numbers >= 2 or any(emotion_of(name) for name in names)


def find_class_folders(tree: FileTree) -> list[ClassFolders]:
    """Returns each set of class folders in a tree, by its parent folder."""
    sets: dict[tuple[str, ...], list[ClassFolder]] = {}
    unsorted: Counter[str] = Counter()
    images_of = {
        folder: images
        for folder, names in tree.by_folder.items()
        if (images := [name for name in names if is_image(name)])
    }
    deep = _inner_folders([PurePosixPath(folder).parts for folder in images_of])
    for folder, images in images_of.items():
        parts = PurePosixPath(folder).parts
        splits = [split for part in parts if (split := split_of_folder(part)) is not None]
        names = [part for part in parts if split_of_folder(part) is None]
        group = names.pop() if deep == "persons" else None
        if group and _RECORDING.fullmatch(group):
            group = folder  # equal names in other folders are other recordings
        if not names or (deep is None and split_of_folder(parts[-1]) is not None):
            unsorted[folder] += len(images)
            continue
        split = splits[-1] if splits else None
        class_folder = ClassFolder(folder, names[-1], split, images, group)
        sets.setdefault(tuple(names[:-1]), []).append(class_folder)
    return [
        ClassFolders(_common(folders), folders, _below(_common(folders), unsorted), above)
        for above, folders in sets.items()
    ]


def _inner_folders(folders: Sequence[tuple[str, ...]]) -> Literal["persons", "splits"] | None:
    """Returns whether folders inside class folders are splits or persons.

    Args:
        folders: The parts of the paths of all folders with images.

    Returns:
        None unless every folder is inside one that is named after an emotion, and there are at
        least two emotions.
    """
    if not all(len(parts) > 1 and _class_above(parts) for parts in folders):
        return None
    if len({_class_above(parts) for parts in folders}) < 2:
        return None
    are_splits = [split_of_folder(parts[-1]) is not None for parts in folders]
    if all(are_splits):
        return "splits"
    names = {parts[-1] for parts in folders}
    any_class = any(emotion_of(name) for name in names)
    return None if any(are_splits) or any_class else "persons"


def _class_above(parts: tuple[str, ...]) -> str | None:
    """Returns the emotion after which a parent folder is named, above split folders."""
    names = [part for part in parts[:-1] if split_of_folder(part) is None]
    return emotion_of(names[-1]) if names else None


def _below(root: str, unsorted: Mapping[str, int]) -> dict[str, int]:
    start = f"{root}/" if root else ""
    return {
        folder: count
        for folder, count in unsorted.items()
        if folder == root or folder.startswith(start)
    }


def _common(folders: Sequence[ClassFolder]) -> str:
    """Returns the deepest folder that contains all class folders and their split folders."""
    tops = []
    for folder in folders:
        parts = PurePosixPath(folder.folder).parts
        above = parts[: len(parts) - 1 - parts[::-1].index(folder.name)]
        first_split = next((n for n, part in enumerate(above) if split_of_folder(part)), len(above))
        tops.append(above[:first_split])
    common: list[str] = []
    for level in zip(*tops, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return "/".join(common)


def pattern_hint(tree: FileTree) -> str:
    """Returns a sentence with a pattern, if most names of images contain one emotion."""
    stems = [PurePosixPath(name).stem for name in tree.files if is_image(name)]
    stems = stems[:: max(1, len(stems) // 1000)]
    found = [set(filter(emotion_of, re.split(r"[^A-Za-z]+", stem))) for stem in stems]
    words = [of_stem.pop() for of_stem in found if len(of_stem) == 1]
    if 2 * len(words) < len(stems) or len(set(map(emotion_of, words))) < 2:
        return ""
    longest_first = "|".join(sorted(set(words), key=lambda word: (-len(word), word)))
    return (
        "The names of the files hold emotions; this reads them: --pattern "
        f"'(?<![A-Za-z])(?P<label>{longest_first})(?![A-Za-z])'."
    )


def choose_class_folders(tree: FileTree, layout: str) -> tuple[ClassFolders, list[str]]:
    """Returns the class folders of a tree that contains one dataset.

    Args:
        tree: The folder or archive.
        layout: The expected layout, for messages.

    Returns:
        The class folders, and notes about images that are not in them.

    Raises:
        DataError: If there are none, or several sets of them (lists each).
    """
    sets = find_class_folders(tree)
    _refuse_nested(tree, sets)
    candidates = _of_persons([folders for folders in sets if folders.says_classes] or sets)
    if not candidates:
        flat = sum(is_image(name) for name in tree.files)
        problem = f"{flat:,} images without a class" if flat else "no class folders"
        names = "; if the names of the files hold it, describe them with --pattern" if flat else ""
        more = f"{pattern_hint(tree)} {unread_files(tree)}".strip()
        raise DataError(f"{tree.shown} holds {problem}{names}. {more}".strip() + f" {layout}.")
    if len(candidates) > 1:
        _refuse_unknown_splits(tree, candidates)
        found_in = {"/".join(folders.above): _described(folders) for folders in candidates}
        raise DataError(several(tree, found_in) + _if_persons(candidates))
    selected = candidates[0]
    notes = [
        f"Not read: {other.images:,} images below {other.root or tree.title}, in folders that name "
        f"no emotion ({', '.join(sorted(other.counts)[:3])})."
        for other in sets
        if not other.says_classes and other is not selected
    ]
    if loose := sum(selected.unsorted.values()):
        notes.append(f"Not read: {loose:,} images that are in no class folder.")
    return selected, notes


_PERSON = re.compile(
    r"(p|s|f|m|w|sn|id|sub|subj|subject|person|participant|actor)[-_ ]?\d+|\d{2,}", re.IGNORECASE
)
_RECORDING = re.compile(
    r"(clip|video|vid|seq|sequence|take|trial|track|shot|scene|level)[-_ ]?\d+", re.IGNORECASE
)


def _of_persons(sets: list[ClassFolders]) -> list[ClassFolders]:
    """Returns one set if each is below the folder of a person (`P001/Anger`), else the sets.

    Folders of conditions may be above or below it: `NI/Strong/P001/Anger`, `M003/front/angry`.
    """
    depth = min((len(folders.above) for folders in sets), default=0)
    levels = [{folders.above[level] for folders in sets} for level in range(depth)]
    persons = [n for n, names in enumerate(levels) if len(names) > 1 and _are_persons(names)]
    if not persons:
        return sets
    merged = [
        replace(folder, group=folders.above[persons[0]])
        for folders in sets
        for folder in folders.folders
    ]
    unsorted = {name: count for folders in sets for name, count in folders.unsorted.items()}
    return [ClassFolders(_common(merged), merged, unsorted)]


def _are_persons(names: set[str]) -> bool:
    return all(_PERSON.fullmatch(name) for name in names)


def several(tree: FileTree, candidates: Mapping[str, str]) -> str:
    """Returns the message for a tree that contains several datasets.

    Args:
        tree: The folder or archive.
        candidates: Description of each, by its name in the tree.
    """
    listed = "\n".join(
        f"  {tree.shown}/{name}: {summary}"
        for name, summary in list(candidates.items())[:MOST_LISTED]
    )
    more = len(candidates) - MOST_LISTED
    return (
        f"{tree.shown} holds {len(candidates)} datasets:\n{listed}"
        f"{f'{chr(10)}  and {more} more' if more > 0 else ''}\n"
        "Give the path of one of them, or merge several with --plan."
    )


def _if_persons(sets: Sequence[ClassFolders]) -> str:
    """Returns a further way out if the sets have classes in common: the folders may be persons."""
    if not set.intersection(*(set(folders.counts) for folders in sets)):
        return ""
    between = "[^/]+/" * (min(len(folders.above) for folders in sets) - 1)
    return (
        " If their folders are persons of one dataset, pass --pattern "
        f"'(?P<person>[^/]+)/{between}(?P<label>[^/]+)/[^/]+$'."
    )


def _refuse_unknown_splits(tree: FileTree, candidates: Sequence[ClassFolders]) -> None:
    """Refuses folders beside split folders whose names are not known splits."""
    for folders in candidates:
        splits = {folder.split for folder in folders.folders} - {None}
        beside = [
            PurePosixPath(other.root).name
            for other in candidates
            if other.root
            and other.root.rpartition("/")[0] == folders.root
            and all(folder.split is None for folder in other.folders)
            and set(other.counts) & set(folders.counts)
        ]
        if splits and beside:
            where = f"{tree.shown}/{folders.root}".rstrip("/")
            require_known([*sorted(map(str, splits)), *beside], where, way_out="")


def _described(folders: ClassFolders) -> str:
    classes = listed(sorted(folders.counts), MOST_LISTED)
    return f"{folders.images:,} images in the classes {classes}"


def _refuse_nested(tree: FileTree, sets: Sequence[ClassFolders]) -> None:
    """Refuses folders of images inside a class folder, because their meaning is unknown."""
    for folders in sets:
        inside = PurePosixPath(folders.root)
        if folders.root and emotion_of(inside.name) and not folders.says_classes:
            nested = folders.folders[0].folder
            raise DataError(
                f"{tree.shown}/{nested} is a folder of images inside a class folder. Move its "
                f"images into {inside.name}, or give a list with path and label."
            )
