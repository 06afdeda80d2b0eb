"""Datasets whose file names hold the labels: KDEF, JAFFE, RaFD and others, or by a pattern."""

import re
from collections import Counter
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.split_names import require_known
from fer_core.data.sources.subjects import NAMINGS, NamedFile, named_file, naming_of
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError

_TITLES = {
    "KDEF": ("Karolinska Directed Emotional Faces (KDEF)",
             "Lundqvist, Flykt & Ohman 1998, Karolinska Institutet"),
    "JAFFE": ("Japanese Female Facial Expression (JAFFE)",
              "Lyons et al. 1998, doi:10.5281/zenodo.3451524"),
    "RaFD": ("Radboud Faces Database (RaFD)", "doi:10.1080/02699930903485076"),
    "CREMA-D": ("CREMA-D", "doi:10.1109/TAFFC.2014.2336244"),
    "RAVDESS": ("RAVDESS", "doi:10.1371/journal.pone.0196391"),
    "FACES": ("FACES", "doi:10.3758/BRM.42.1.351"),
    "NimStim": ("NimStim", "doi:10.1016/j.psychres.2008.05.006"),
}  # fmt: skip

NAMED = tuple(_TITLES)
"""Namings that hold the expression."""


class NamedFilesSource(ImageFiles):
    """Images labelled by name, in any folders; persons are groups, conditions are slices.

    Args:
        location: The folder or archive, or a parent of it.
        naming: A key of `NAMINGS`, found by the names if not given; or a pattern over the path,
            see `path_pattern`.
        names: Interpretation of class names.

    Raises:
        DataError: If no image has such a name.
    """

    def __init__(
        self,
        location: Path | FileTree,
        naming: str | re.Pattern[str] | None = None,
        names: ClassNames | None = None,
    ) -> None:
        tree = need_tree(location, "Give the folder of the pictures")
        pictures = [name for name in tree.files if is_image(name)]
        naming = naming or _naming_of(tree, pictures)
        self._naming, self._title = naming, tree.title
        named = {name: _read(naming, name) for name in pictures}
        labels = Counter(file.label for file in named.values() if file and file.label)
        if not labels:
            raise DataError(
                f"{tree.shown} holds no picture that is named as {_shown(naming)}. "
                "Give another --format or --pattern."
            )
        reading = (names or ClassNames()).read(labels, tree.shown)
        splits = require_known(
            dict.fromkeys(file.split for file in named.values() if file and file.split), tree.shown
        )
        persons = {file.group for file in named.values() if file and file.group}
        self.left_out = Counter(reading.left_out(labels))
        self.notes = [
            f"Files are named as {_shown(naming)}: {len(persons)} persons are groups "
            "that stay in one split.",
            *reading.notes,
        ]
        if other := sum(not (file and file.label) for file in named.values()):
            self.notes.append(f"Not read: {other:,} pictures that are named otherwise.")
        files = [
            ImageFile(
                name,
                printable(name),
                label,
                splits.get(str(file.split)),
                group=file.group,
                extras=file.extras,
            )
            for name, file in named.items()
            if file and file.label and (label := reading.labels[file.label])
        ]
        items: list[ImageFile | Skipped] = [*files, *tree.skipped]
        super().__init__(tree, items)

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset; those of a pattern's are unknown."""
        if isinstance(self._naming, re.Pattern):
            licence = "Not known to FERscope: see where the images come from."
            return Origin("named", self._title, licence, "")
        title, reference = _TITLES[self._naming]
        return Origin(
            name=re.sub(r"\W", "", self._naming.lower()),
            title=title,
            licence="Images: non-commercial research, on request from the authors."
            if self._naming not in ("CREMA-D", "RAVDESS")
            else "Images: see the licence of the dataset.",
            reference=reference,
        )


def path_pattern(text: str) -> re.Pattern[str]:
    r"""Compiles a pattern over the paths of pictures, such as `(?P<person>s\d+)_(?P<label>\w+)`.

    Raises:
        DataError: If it is no regular expression, or has none of the groups that are known.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise DataError(f"--pattern {text!r} is no regular expression ({error}).") from error
    if not {"person", "label", "split"} & set(pattern.groupindex):
        raise DataError(
            f"--pattern {text!r} names neither person, nor label, nor split. Write the part of the "
            r"path that is the person as (?P<person>...), such as (?P<person>s\d+)_, and "
            "likewise label and split."
        )
    return pattern


def by_pattern(pattern: re.Pattern[str], name: str) -> NamedFile | None:
    """Returns the metadata in a path; None if the pattern is not in it."""
    match = pattern.search(name)
    return named_file(match) if match else None


def _read(naming: str | re.Pattern[str], name: str) -> NamedFile | None:
    if isinstance(naming, str):
        return NAMINGS[naming].read(PurePosixPath(name).stem)
    return by_pattern(naming, name)


def _naming_of(tree: FileTree, pictures: list[str]) -> str:
    naming = naming_of([PurePosixPath(name).stem for name in pictures])
    if naming in NAMED:
        return str(naming)
    raise DataError(
        f"The pictures of {tree.shown} are not named as in {', '.join(NAMED)}. Describe their "
        r"names with --pattern, such as --pattern '(?P<person>s\d+)_(?P<label>[a-z]+)'."
    )


def _shown(naming: str | re.Pattern[str]) -> str:
    if isinstance(naming, re.Pattern):
        return f"--pattern says, {naming.pattern}"
    return f"in {naming}, {NAMINGS[naming].form}"
