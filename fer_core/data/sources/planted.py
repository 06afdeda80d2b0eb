"""Drawn faces with planted faults: copies, wrong labels, outliers, disagreeing annotators.

The faults give the Data quality page something to show, and because they are known, their detection
can be evaluated. The second label of every sample is the drawn class.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fer_core.data.sources.base import SPLITS, FileStat, Origin, Sample, SampleEntry
from fer_core.data.sources.synthetic import SHARES, SyntheticSource
from fer_core.labels import Emotion
from fer_core.synthetic.face import SyntheticFace

COPIES = 0.03
"""Number of added copies, as a share of the drawn images."""

CONFLICTS = 0.2
"""Share of the copies with another label than their original."""

WRONG_LABELS = 0.025
"""Share of the drawn images with a wrong label."""

ODD = 0.015
"""Share of the drawn images that are very dark, very bright or very blurred."""

ANNOTATORS = 10

TAKEN_FOR: Mapping[Emotion, Emotion] = {
    Emotion.ANGRY: Emotion.DISGUST,
    Emotion.DISGUST: Emotion.ANGRY,
    Emotion.FEAR: Emotion.SURPRISE,
    Emotion.HAPPY: Emotion.SURPRISE,
    Emotion.NEUTRAL: Emotion.SAD,
    Emotion.SAD: Emotion.ANGRY,
    Emotion.SURPRISE: Emotion.FEAR,
}
"""The most frequent confusion of each expression, except neutral."""


@dataclass(frozen=True)
class Planted:
    """Keys of the samples with planted faults."""

    copies: Mapping[str, str]
    wrong_labels: frozenset[str]
    odd: frozenset[str]


class PlantedSource:
    """`SyntheticSource` with faults and votes, deterministic by seed.

    Args:
        count: Number of drawn images, at least `MIN_COUNT`; copies are added.
        seed: Seed of faces, faults and votes.
        side: Height and width in pixels.

    Attributes:
        planted: Faults by sample, and the original of each copy.

    Raises:
        DataError: As `SyntheticSource`.
    """

    colour = True

    def __init__(self, count: int, seed: int = 0, side: int = 112) -> None:
        self._drawn = SyntheticSource(count, seed, side)
        self._seed = seed
        random = np.random.default_rng([seed, count, 1])
        faulty = random.permutation(count)
        wrong, odd = round(WRONG_LABELS * count), round(ODD * count)
        self._wrong = frozenset(faulty[:wrong].tolist())
        self._odd = frozenset(faulty[wrong : wrong + odd].tolist())
        self._originals = random.choice(count, round(COPIES * count), replace=False)
        self._splits = random.choice(SPLITS, len(self._originals), p=[SHARES[s] for s in SPLITS])
        self.planted = Planted(
            copies={
                self._copy_key(number): f"{original:06d}"
                for number, original in enumerate(self._originals)
            },
            wrong_labels=frozenset(f"{index:06d}" for index in self._wrong),
            odd=frozenset(f"{index:06d}" for index in self._odd),
        )

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return replace(
            self._drawn.origin, title="Faces drawn from facial action units, with planted faults"
        )

    def __len__(self) -> int:
        return len(self._drawn) + len(self._originals)

    def stats(self) -> Iterator[FileStat]:
        """Yields nothing: no file is read."""
        return iter(())

    def entries(self) -> Iterator[SampleEntry]:
        """Yields the metadata of the images without drawing them."""
        for index in range(len(self._drawn)):
            label = self._label(index, np.random.default_rng([self._seed, index, 2]))
            yield SampleEntry(f"{index:06d}", str(label), self._drawn.split(index))
        for number, original in enumerate(self._originals.tolist()):
            random = np.random.default_rng([self._seed, original, 3])
            _shade(number, random)
            label = self._copied_label(original, random)
            yield SampleEntry(self._copy_key(number), str(label), str(self._splits[number]))

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self._drawn)):
            yield self._annotated(index)
        for number, original in enumerate(self._originals.tolist()):
            yield self._copy(number, original)

    def _annotated(self, index: int) -> Sample:
        """Draws an image with its votes and its planted fault."""
        random = np.random.default_rng([self._seed, index, 2])
        face = self._drawn.face(index)
        return Sample(
            key=f"{index:06d}",
            image=self._image(face, index),
            label=self._label(index, random),
            split=self._drawn.split(index),
            second_label=face.emotion,
            votes=_votes(face.emotion, face.intensity, random),
        )

    def _label(self, index: int, random: np.random.Generator) -> Emotion:
        emotion = self._drawn.emotion(index)
        return _other(emotion, random) if index in self._wrong else emotion

    def _copied_label(self, original: int, random: np.random.Generator) -> Emotion:
        emotion = self._drawn.emotion(original)
        return _other(emotion, random) if random.random() < CONFLICTS else emotion

    def _image(self, face: SyntheticFace, index: int) -> NDArray[np.uint8]:
        return _spoilt(face.image, index % 3) if index in self._odd else face.image

    def _copy(self, number: int, original: int) -> Sample:
        random = np.random.default_rng([self._seed, original, 3])
        face = self._drawn.face(original)
        image = self._image(face, original)
        if (shade := _shade(number, random)) is not None:
            image = (image * shade[0] + shade[1]).astype(np.uint8)
        return Sample(
            key=self._copy_key(number),
            image=image,
            label=self._copied_label(original, random),
            split=str(self._splits[number]),
            second_label=face.emotion,
            votes=_votes(face.emotion, face.intensity, random),
        )

    @staticmethod
    def _copy_key(number: int) -> str:
        return f"copy{number:04d}"


def _shade(number: int, random: np.random.Generator) -> tuple[float, float] | None:
    """Returns the brightness and contrast change of a copy; None for an exact copy."""
    return (random.uniform(0.8, 0.95), random.uniform(2, 12)) if number % 3 else None


def _other(emotion: Emotion, random: np.random.Generator) -> Emotion:
    return Emotion(str(random.choice([other for other in Emotion if other != emotion])))


def _spoilt(image: NDArray[np.uint8], kind: int) -> NDArray[np.uint8]:
    """Returns an image that is very dark (0), very bright (1) or very blurred (2)."""
    if kind == 2:
        blurred = ndimage.gaussian_filter(image, (image.shape[0] / 14, image.shape[1] / 14, 0))
        return np.asarray(blurred, dtype=np.uint8)
    faded = image * 0.12 + (0 if kind == 0 else 224)
    return np.asarray(faded, dtype=np.uint8)


def _votes(emotion: Emotion, intensity: float, random: np.random.Generator) -> dict[str, int]:
    """Samples annotators' votes: the weaker an expression, the more votes for other classes."""
    sure = 0.9 if emotion is Emotion.NEUTRAL else 0.5 + 0.48 * intensity
    chances = dict.fromkeys(Emotion, (1 - sure) * 0.1 / (len(Emotion) - 1))
    chances[Emotion.NEUTRAL] += (1 - sure) * 0.55
    chances[TAKEN_FOR[emotion]] += (1 - sure) * 0.35
    chances[emotion] += sure
    weights = np.array([chances[name] for name in Emotion])
    drawn = random.multinomial(ANNOTATORS, weights / weights.sum())
    return {str(name): int(count) for name, count in zip(Emotion, drawn, strict=True)}
