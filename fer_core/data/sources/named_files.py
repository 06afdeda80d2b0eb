"""Datasets with person and expression in file names: KDEF and JAFFE."""

from collections import Counter
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.subjects import NAMINGS
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError

_ORIGINS = {
    "KDEF": Origin(
        name="kdef",
        title="Karolinska Directed Emotional Faces (KDEF)",
        licence="Images: non-commercial research, on request from the authors.",
        reference="Lundqvist, Flykt & Ohman 1998, Karolinska Institutet",
    ),
    "JAFFE": Origin(
        name="jaffe",
        title="Japanese Female Facial Expression (JAFFE)",
        licence="Images: non-commercial research, on request from the authors.",
        reference="Lyons et al. 1998, doi:10.5281/zenodo.3451524",
    ),
}
_FORMS = {"KDEF": "AF01ANS.JPG (session, gender, person, expression, angle)",
          "JAFFE": "KA.AN1.39.tiff (person, expression, number)"}  # fmt: skip


class NamedFilesSource(ImageFiles):
    """Images labelled by name, in any folders; persons are groups, conditions are slices.

    Args:
        location: The folder or archive, or a parent of it.
        naming: `KDEF` or `JAFFE`.
        names: Interpretation of class names.

    Raises:
        DataError: If no image has such a name.
    """

    def __init__(
        self, location: Path | FileTree, naming: str, names: ClassNames | None = None
    ) -> None:
        tree = need_tree(location, f"Give the folder of {naming}")
        pictures = [name for name in tree.files if is_image(name)]
        named = {name: NAMINGS[naming](PurePosixPath(name).stem) for name in pictures}
        labels = Counter(str(file.label) for file in named.values() if file)
        if not labels:
            raise DataError(
                f"{tree.shown} holds no picture that is named as in {naming}: {_FORMS[naming]}. "
                "Give another --format."
            )
        reading = (names or ClassNames()).read(labels, tree.shown)
        persons = {file.group for file in named.values() if file}
        self._naming = naming
        self.left_out = Counter(reading.left_out(labels))
        self.notes = [
            f"Files are named as in {naming}, {_FORMS[naming]}: {len(persons)} persons are groups "
            "that stay in one split.",
            *reading.notes,
        ]
        if other := sum(file is None for file in named.values()):
            self.notes.append(f"Not read: {other:,} pictures that are named otherwise.")
        files = [
            ImageFile(
                name,
                printable(name),
                reading.labels[str(file.label)],
                None,
                group=file.group,
                extras=file.extras,
            )
            for name, file in named.items()
            if file and reading.labels[str(file.label)]
        ]
        super().__init__(tree, [*files, *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return _ORIGINS[self._naming]
