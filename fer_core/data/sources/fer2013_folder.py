"""FER2013 as image files: `train/<class>/Training_<n>.jpg` and `test/<class>/PrivateTest_<n>.jpg`.

In the widespread copy (Kaggle's `msambare/fer2013`) the `test` folder contains both of FER2013's
held-out splits; file names begin with the split: `PublicTest` (validation) or `PrivateTest` (test).
Other copies number the folders by FER2013's codes, 0 angry to 6 neutral.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from fer_core.data.sources.base import Origin, Split
from fer_core.data.sources.class_names import NO_EMOTION
from fer_core.data.sources.files import ImageFile
from fer_core.data.sources.folder import FolderSource

USAGES: Mapping[str, Split] = {
    "Training": "train",
    "PublicTest": "validation",
    "PrivateTest": "test",
}


class Fer2013FolderSource(FolderSource):
    """FER2013's images in class folders, in the original splits of the competition.

    A file whose name does not begin with a usage keeps the split of its folder. The rows of
    `fer2013.csv` cannot be identified from the images, so FER+ votes need the csv.

    Args and errors are those of `FolderSource`.
    """

    default_codes = "fer2013"
    foreign = NO_EMOTION

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
        usages = [USAGES.get(PurePosixPath(file.name).name.partition("_")[0]) for file in files]
        if moved := sum(
            usage is not None and usage != file.split
            for usage, file in zip(usages, files, strict=True)
        ):
            self.notes.append(
                f"The split of {moved:,} images is that of their names (Training_, PublicTest_, "
                "PrivateTest_), not that of their folder."
            )
        for file, usage in zip(files, usages, strict=True):
            yield file if usage is None else replace(file, split=usage)


def is_fer2013_name(name: str) -> bool:
    """Whether a file is named like FER2013's images."""
    usage, separator, rest = PurePosixPath(name).stem.partition("_")
    return usage in USAGES and bool(separator) and rest.isdecimal()
