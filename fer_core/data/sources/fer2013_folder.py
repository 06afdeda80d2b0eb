"""FER2013 as pictures: `train/<class>/Training_<n>.jpg` and `test/<class>/PrivateTest_<n>.jpg`.

In the widespread copy (Kaggle's `msambare/fer2013`) the `test` folder holds both of FER2013's
held-out splits; a file's name still says which: `PublicTest` (validation) or `PrivateTest` (test).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fer_core.data.sources.base import Origin, Split
from fer_core.data.sources.files import ImageFile, first_image
from fer_core.data.sources.folder import FolderSource

_USAGES: Mapping[str, Split] = {
    "Training": "train",
    "PublicTest": "validation",
    "PrivateTest": "test",
}


class Fer2013FolderSource(FolderSource):
    """FER2013's pictures in class folders, in the splits that the competition had.

    A file whose name does not begin with a usage keeps the split of its folder. The rows of
    `fer2013.csv` cannot be told from the pictures, so FER+ votes need the csv.

    Args and errors are those of `FolderSource`.
    """

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="fer2013",
            title="FER2013",
            licence="Images: none stated, research use.",
            reference="arXiv:1307.0414",
        )

    def _describe(self, files: list[ImageFile]) -> Iterable[ImageFile]:
        for file in files:
            usage = _USAGES.get(file.path.name.partition("_")[0])
            yield file if usage is None else replace(file, split=usage)


def is_fer2013_folder(path: Path) -> bool:
    """Whether a folder's first training picture is named as FER2013's are."""
    first = first_image(path / "train")
    return first is not None and first.name.startswith("Training_")
