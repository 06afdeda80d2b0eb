"""Writes the example portraits of the dashboard: drawn faces, free of any data set."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fer_core.data.sources.synthetic import portrait
from fer_core.files import atomic_path
from fer_core.labels import Emotion

SIDE = 480
"""Height and width in pixels."""

QUALITY = 88
"""JPEG quality."""


@dataclass(frozen=True)
class _Example:
    emotion: Emotion
    seed: int


EXAMPLES = (
    _Example(Emotion.HAPPY, 512),
    _Example(Emotion.SURPRISE, 502),
    _Example(Emotion.ANGRY, 503),
)
"""Selected from many seeds: different people with clear expressions, which networks of `ferplus`
predict as drawn. So they show how the pages work, not how accurate the models are."""


def write_examples(folder: Path) -> list[Path]:
    """Draws the example portraits, at full intensity, and writes them as `<emotion>.jpg`.

    Args:
        folder: Output folder; created if it is missing.

    Returns:
        The files, in the order of `EXAMPLES`.

    Raises:
        ArtifactError: If the folder cannot be written.
    """
    paths = []
    for example in EXAMPLES:
        path = folder / f"{example.emotion}.jpg"
        image = Image.fromarray(portrait(example.seed, example.emotion, SIDE).image)
        with atomic_path(path) as temporary:
            image.save(temporary, format="JPEG", quality=QUALITY, optimize=True)
        paths.append(path)
    return paths
