"""Human Emotions Dataset (HES): `train` and `test` folders of angry, happy and sad faces.

Some images are augmented copies of others, recognised by their names (`12_rotation_1.jpg` is a
rotated `12.jpg`). Copies and original form a group that stays in one split; otherwise a model would
be tested on training images.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from fer_core.data.sources.base import Origin
from fer_core.data.sources.files import ImageFile
from fer_core.data.sources.folder import FolderSource

COPY = re.compile(
    r"(?:[_-](?:rotation|rotated?|rot|flip(?:ped)?|mirror(?:ed)?|crop(?:ped)?|zoom(?:ed)?"
    r"|shift(?:ed)?|bright(?:ness)?|contrast|blur(?:red)?|noise|noisy|aug(?:mented)?)"
    r"(?:[_-]?-?\d+)?)+$",
    re.IGNORECASE,
)
"""Suffix of an augmented copy's name: repeated kinds of change and numbers."""


class HumanEmotionsSource(FolderSource):
    """Three classes in folders; augmented copies are grouped with their originals.

    The published archive unpacks into nested folders (`Emotions Dataset/Emotions Dataset/train`).

    Args and errors are those of `FolderSource`.
    """

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="human_emotions",
            title="Human Emotions Dataset (HES)",
            licence="Images: see the dataset's page on Kaggle; collected from the web.",
            reference="kaggle.com/datasets/muhammadhananasghar/human-emotions-datasethes",
        )

    def _describe(self, files: list[ImageFile]) -> Iterable[ImageFile]:
        families: dict[str, list[int]] = defaultdict(list)
        for index, file in enumerate(files):
            families[f"{file.label}/{original_name(_stem(file))}"].append(index)
        described = list(files)
        for name, members in families.items():
            # Equal names in train and test without any copy are different images.
            if any(COPY.search(_stem(files[index])) for index in members):
                for index in members:
                    described[index] = replace(files[index], group=name)
        return described


def original_name(stem: str) -> str:
    """Returns the name of the original of an augmented copy; other names unchanged."""
    return COPY.sub("", stem)


def _stem(file: ImageFile) -> str:
    return PurePosixPath(file.name).stem
