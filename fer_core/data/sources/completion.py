"""Completes the splits and persons of image files by other tables, lists, and the files' names.

Persons in two splits are the leak that no comparison of images finds, so every place that names
them is looked at: a pattern of the user, tables beside the labels, published ways to name files,
and folders or beginnings of names such as `p01`.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from fer_core.data.sources.annotated import row_facts
from fer_core.data.sources.base import Split
from fer_core.data.sources.files import ImageFile, ImageFiles
from fer_core.data.sources.named_files import by_pattern
from fer_core.data.sources.split_lists import read_split_lists
from fer_core.data.sources.split_names import are_drawn, require_known
from fer_core.data.sources.subjects import NAMINGS, namings_in
from fer_core.data.sources.tree import FileTree
from fer_core.data.sources.yolo import face_boxes
from fer_core.errors import DataError

_PERSON = re.compile(
    r"(?:p|s|f|m|w|sn|id|sub|subj|subject|person|participant|actor|speaker|user)[-_ ]?\d+",
    re.IGNORECASE,
)
"""A folder or the beginning of a name that is a person: a letter or word, and a number."""

_FEWEST_PERSONS = 3

_ROBOFLOW = re.compile(r"(?P<original>.+)\.rf\.[0-9A-Za-z]{16,}")
"""A name without suffix as Roboflow exports it; augmented copies differ in the last part."""

_Files = list[ImageFile]
_Of = Callable[[ImageFile], str | None]


def complete(reader: ImageFiles, tree: FileTree, pattern: re.Pattern[str] | None = None) -> None:
    """Completes the files of a reader, and its notes.

    Args:
        reader: The reader; its files without a split or person are completed.
        tree: The whole dataset; the reader's tree may be a folder of it.
        pattern: The user's pattern over paths.

    Raises:
        DataError: If the pattern fits no file, or two lists give different splits to a picture.
    """
    files = [item for item in reader.listed() if isinstance(item, ImageFile)]
    start = reader.tree.prefix.removeprefix(tree.prefix)
    completed, notes = files, list[str]()
    if pattern is not None:
        completed, notes = _by_pattern(completed, pattern, start)
    completed, more = _by_tables(completed, tree, start)
    notes += more
    if not any(file.box or file.share_box for file in completed):
        completed, more = _by_boxes(completed, tree, start)
        notes += more
    if not any(file.split for file in completed) and not are_drawn():
        completed, more = _by_lists(completed, tree, start, reader.left_out)
        notes += more
    if not any(file.group for file in completed):
        completed, more = _by_names(completed, start)
        notes += more
    if pattern is None:
        _refuse_numbers_in_splits(completed, start)
    if completed is not files:
        reader.replace_files(completed)
        reader.notes += notes


def _by_pattern(files: _Files, pattern: re.Pattern[str], start: str) -> tuple[_Files, list[str]]:
    read = [by_pattern(pattern, start + file.name) for file in files]
    if not any(read):
        example = f"{start}{files[0].name}" if files else "no picture"
        raise DataError(
            f"--pattern {pattern.pattern!r} fits no picture, such as {example}. Correct it."
        )
    names = dict.fromkeys(named.split for named in read if named and named.split)
    splits = require_known(names, "--pattern")
    completed = [
        replace(
            file,
            group=named.group or file.group,
            split=splits.get(str(named.split), file.split),
            extras={**file.extras, **named.extras},
        )
        if named
        else file
        for file, named in zip(files, read, strict=True)
    ]
    persons = {named.group for named in read if named and named.group}
    other = sum(named is None for named in read)
    shown = f"{len(persons)} persons by --pattern; each stays in one split"
    return completed, [f"{shown}; {other:,} pictures do not fit it." if other else f"{shown}."]


def _refuse_numbers_in_splits(files: _Files, start: str) -> None:
    """Refuses folders such as `0001` inside classes that are in several splits.

    They may be persons, or clips that are numbered in each folder anew.
    """
    splits: dict[str, set[Split | None]] = {}
    for file in files:
        if file.group is not None and file.group.isdecimal():
            splits.setdefault(file.group, set()).add(file.split)
    several = sorted(group for group, of_group in splits.items() if len(of_group) > 1)
    inside = [f for f in files if f.group in several and f.group == PurePosixPath(f.name).parts[-2]]
    if not inside:
        return
    raise DataError(
        "Folders of the same number are in several splits, such as that of "
        f"{start}{inside[0].name}. If they are clips that are numbered anew in each folder, pass "
        "--pattern '^(?P<person>.+)/[^/]+$'. If they are persons, pass --pattern "
        "'(?P<person>[^/]+)/[^/]+$': images of persons who are in test are left out of train."
    )


def _by_tables(files: _Files, tree: FileTree, start: str) -> tuple[_Files, list[str]]:
    """Takes missing splits and persons from tables that list pictures without labels."""
    need_split = not any(file.split for file in files) and not are_drawn()
    need_group = not any(file.group for file in files)
    if not (need_split or need_group):
        return files, []
    facts = row_facts(tree, with_splits=need_split)
    notes = []
    if need_split and facts.splits:
        files = _with_splits(files, facts.splits, start)
        notes.append(f"The splits are read from {', '.join(facts.split_tables)}.")
    if need_group and facts.groups:
        files = [replace(file, group=facts.groups.get(start + file.name)) for file in files]
        count = len({file.group for file in files} - {None})
        notes.append(
            f"{count} persons or recordings in {', '.join(facts.group_tables)}; each stays in one "
            "split."
        )
    return files, notes


def _by_boxes(files: _Files, tree: FileTree, start: str) -> tuple[_Files, list[str]]:
    """Takes the boxes of faces from label files of YOLO that name no emotions."""
    boxes = face_boxes(tree)
    faces = {file.name: box for file in files if (box := boxes.get(start + file.name))}
    if not faces:
        return files, []
    whole = len({file.name for file in files}) - len(faces)
    note = f"Faces are cropped by YOLO's label files of {len(faces):,} images"
    if whole:
        note += f"; {whole:,} images without a single box are read whole"
    return [replace(file, share_box=faces.get(file.name)) for file in files], [f"{note}."]


def _with_splits(files: _Files, splits: Mapping[str, Split], start: str) -> _Files:
    return [replace(file, split=splits.get(start + file.name)) for file in files]


def _by_lists(
    files: _Files, tree: FileTree, start: str, left_out: Counter[str]
) -> tuple[_Files, list[str]]:
    """Takes the splits from lists; images that no list names are left out."""
    lists = read_split_lists(tree)
    completed = _with_splits(files, lists.splits, start)
    listed = [file for file in completed if file.split is not None]
    if not listed:
        return files, []
    shown = ", ".join(lists.lists[:4])
    if unlisted := len(files) - len(listed):
        left_out[f"in no list of a split ({shown})"] += unlisted
    return listed, [f"The splits are read from {shown}."]


def _by_names(files: _Files, start: str) -> tuple[_Files, list[str]]:
    """Takes persons, or else the originals of augmented copies, from names of files or folders."""
    completed, notes = _by_naming(files)
    if notes:
        return completed, notes
    for where, person in (("folders", _folder_of(files, start)), ("file names", _first_word)):
        groups = [person(file) for file in files] if person else []
        if not _are_persons(files, groups):
            continue
        persons = sorted({str(group) for group in groups})
        shown = f"{', '.join(persons[:3])}, ..."
        return (
            [replace(file, group=group) for file, group in zip(files, groups, strict=True)],
            [
                f"{len(persons)} {where} ({shown}) are read as persons; each stays in one split "
                "(--pattern names other parts of the path)."
            ],
        )
    return _by_originals(files)


def _by_originals(files: _Files) -> tuple[_Files, list[str]]:
    """Groups the augmented copies of an image that Roboflow exported.

    Equal names in several classes or splits are different images.
    """
    matches = [_ROBOFLOW.fullmatch(PurePosixPath(file.name).stem) for file in files]
    groups = [
        f"{file.split or 'all'}/{file.label}/{match['original']}" if match else None
        for file, match in zip(files, matches, strict=True)
    ]
    counts = Counter(group for group in groups if group)
    copied = sum(count > 1 for count in counts.values())
    if not copied:
        return files, []
    return (
        [replace(file, group=group) for file, group in zip(files, groups, strict=True)],
        [f"{copied:,} images have augmented copies by Roboflow's file names; they stay together."],
    )


def _by_naming(files: _Files) -> tuple[_Files, list[str]]:
    stems = [PurePosixPath(file.name).stem for file in files]
    notes = []
    for naming in namings_in(stems):
        named = [NAMINGS[naming].read(stem) for stem in stems]
        persons = {name.group for name in named if name}
        if len(persons) < _FEWEST_PERSONS - 1:
            continue
        rest = sum(name is None for name in named)
        others = f"; {rest:,} are named otherwise" if rest else ""
        notes.append(
            f"Files are named as in {naming}: {len(persons)} persons, each in one split{others}."
        )
        files = [
            replace(file, group=name.group, extras={**name.extras, **file.extras})
            if name and file.group is None
            else file
            for file, name in zip(files, named, strict=True)
        ]
    return files, notes


def _folder_of(files: Sequence[ImageFile], start: str) -> _Of | None:
    """Returns which folder above a file is the person; None if no level of folders is."""
    paths = [PurePosixPath(start + file.name).parts[:-1] for file in files]
    for level in range(min(map(len, paths), default=0)):
        if all(_PERSON.fullmatch(parts[level]) for parts in paths):
            return lambda file: PurePosixPath(start + file.name).parts[level]
    return None


def _first_word(file: ImageFile) -> str | None:
    word = re.split(r"[_. -]", PurePosixPath(file.name).stem)[0]
    stem = PurePosixPath(file.name).stem
    return word if word != stem and _PERSON.fullmatch(word) else None


def _are_persons(files: Sequence[ImageFile], groups: Sequence[str | None]) -> bool:
    """Whether words are persons: every file has one, and each person shows several classes.

    Equal words in several splits of the dataset may be numbers of something else.
    """
    if not groups or None in groups:
        return False
    labels: dict[str, set[str | None]] = {}
    splits: dict[str, set[str | None]] = {}
    for file, group in zip(files, groups, strict=True):
        labels.setdefault(str(group), set()).add(file.label)
        splits.setdefault(str(group), set()).add(file.split)
    several = sum(len(of_group) > 1 for of_group in labels.values())
    return (
        len(labels) >= _FEWEST_PERSONS
        and 2 * several > len(labels)
        and all(len(of_group) == 1 for of_group in splits.values())
    )
