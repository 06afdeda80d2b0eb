"""The person of each picture of a set, by the folder in which it is."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from fer_core.data.sources.class_names import emotion_of
from fer_core.errors import DataError, listed

FOLDER = "folder"
"""Value of `--group` that takes each folder as a person."""

_PERSON = re.compile(
    r"(p|s|f|m|w|k|sn|id|sub|subj|subject|person|participant|patient|pat|pt|proband|case|actor"
    r"|speaker|volunteer|child)[-_ ]?\d+",
    re.IGNORECASE,
)
_SHOWN = 3


def person_folders(names: Sequence[str]) -> dict[str, str]:
    """Returns the person of each picture, if its folder is named like one: `P01`, `subject-3`.

    Folders may be above or below it. All pictures must be in such folders, of at least two names.

    Args:
        names: Paths of the pictures in the set.

    Returns:
        Person by path; empty if the folders are not persons.
    """
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    for level in range(min(map(len, folders), default=0)):
        persons = [parts[level] for parts in folders]
        if len(set(persons)) > 1 and all(map(_PERSON.fullmatch, persons)):
            return dict(zip(names, persons, strict=True))
    return {}


def any_folders(names: Sequence[str]) -> dict[str, str]:
    """Returns the folder of each picture on the first level where folders differ.

    Args:
        names: Paths of the pictures in the set.

    Raises:
        DataError: If all pictures are in one folder.
    """
    folders = {name: PurePosixPath(name).parts[:-1] for name in names}
    for level in range(max(map(len, folders.values()), default=0)):
        found = {name: parts[level] for name, parts in folders.items() if len(parts) > level}
        if len(set(found.values())) > 1:
            return found
    raise DataError(
        "--group folder takes each folder as a person, but the pictures are in one folder. Leave "
        "it out, or name the column of persons in a table of labels."
    )


def name_emotions(names: Sequence[str]) -> bool:
    """Whether any folder of these pictures is named after an emotion."""
    return any(emotion_of(part) for name in names for part in PurePosixPath(name).parts[:-1])


def folders_note(groups: Mapping[str, str]) -> str:
    """Returns one sentence which says that folders are persons; empty without groups."""
    persons = sorted(set(groups.values()))
    if not persons:
        return ""
    return f"Each folder is taken as a person: {listed(persons, _SHOWN)}."
