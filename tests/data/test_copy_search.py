from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_core.data import copy_search
from fer_core.data.copy_search import find_copies, one_of_each
from fer_core.data.plan import SplitPlan
from fer_core.data.progress import silent
from fer_core.data.quality import thumbnail
from fer_core.data.reading import Reading
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import Origin
from fer_core.data.transformed_copies.table import TransformedCopies
from tests.support.helpers import noise


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        ([-1, -1], [0, 1]),
        ([0, 0, -1, 1, 0, 1], [0, 2, 3]),
        ([], []),
    ],
)
def test_one_of_each_group(groups: list[int], rows: list[int]) -> None:
    assert one_of_each(np.array(groups, dtype=np.int64)).tolist() == rows


@pytest.mark.parametrize(
    ("origins", "split", "mode"),
    [
        (["list"], {}, "remove"),
        (["fer2013"], {}, "report"),
        (["fer2013", "ferplus"], {}, "report"),
        (["fer2013", "rafdb"], {}, "remove"),
        (["fer2013"], {"by": "random"}, "remove"),
        (["fer2013"], {"transformed_copies": "remove"}, "remove"),
        (["list"], {"transformed_copies": "report"}, "report"),
        (["list"], {"transformed_copies": "off"}, "off"),
        (["synthetic"], {}, "off"),
    ],
)
def test_what_becomes_of_copies(
    monkeypatch: pytest.MonkeyPatch, origins: list[str], split: dict[str, str], mode: str
) -> None:
    images = noise(4, side=16)
    monkeypatch.setattr(
        copy_search, "find_transformed_copies", lambda *_, **__: TransformedCopies.none()
    )
    samples = pd.DataFrame({"sha1": list("abcd")})
    thumbnails = np.stack([thumbnail(image) for image in images])
    sources = [
        SelectedSource(SimpleNamespace(origin=Origin(name, name, "", ""))) for name in origins
    ]
    reading = Reading(samples, thumbnails, {}, {})
    result = find_copies(reading, images, sources, SplitPlan(**split), silent)
    given = "off" if result.pairs is None else "remove" if result.removed else "report"
    assert given == mode
