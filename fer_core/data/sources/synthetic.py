"""Drawn faces as a dataset: the embedded example, which needs no download.

All images are rendered (`fer_core.synthetic`), so they may be shown, shipped and regenerated
anywhere, and the regions of brows, eyes, nose and mouth are known exactly.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fer_core.data.sources.base import SPLITS, FileStat, Origin, Sample, SampleEntry, Split
from fer_core.errors import DataError
from fer_core.labels import Emotion
from fer_core.synthetic.action_units import PROTOTYPES, ActionUnits
from fer_core.synthetic.face import (
    MIN_SIDE,
    REGIONS,
    SyntheticFace,
    portrait,
    render,
    units_of,
)

__all__ = [
    "MIN_COUNT",
    "PROTOTYPES",
    "REGIONS",
    "ActionUnits",
    "SyntheticFace",
    "SyntheticSource",
    "portrait",
    "render",
]

SHARES: Mapping[Split, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Share of the images in each split."""

BALANCE: Mapping[Emotion, float] = {
    Emotion.ANGRY: 0.13,
    Emotion.DISGUST: 0.10,
    Emotion.FEAR: 0.13,
    Emotion.HAPPY: 0.19,
    Emotion.NEUTRAL: 0.17,
    Emotion.SAD: 0.14,
    Emotion.SURPRISE: 0.14,
}
"""Share of each class in every split: a mild form of FER2013's imbalance (most happy, fewest
disgust)."""

PER_IDENTITY = 4
"""Images per person; all are in one split."""

MIN_COUNT = 35
"""Smallest number of images; with fewer the smallest split could not contain every class."""


@dataclass(frozen=True)
class _Plan:
    """Content of one image."""

    seed: int
    identity: int
    emotion: Emotion
    split: Split


class SyntheticSource:
    """Faces drawn from action units, with splits by identity.

    Args:
        count: Number of images, at least `MIN_COUNT`.
        seed: Equal seeds give equal datasets, byte by byte; different seeds share no person.
        side: Height and width of the images in pixels, at least `MIN_SIDE`.

    Raises:
        DataError: If an argument is outside its range.
    """

    colour = True

    def __init__(self, count: int, seed: int = 0, side: int = 112) -> None:
        if count < MIN_COUNT:
            raise DataError(
                f"{count} synthetic images cannot fill three splits with seven classes each. "
                f"Ask for {MIN_COUNT} or more."
            )
        if seed < 0:
            raise DataError(f"A seed must be 0 or more, not {seed}.")
        if side < MIN_SIDE:
            raise DataError(
                f"Synthetic faces need {MIN_SIDE} pixels a side to show an expression, not {side}."
            )
        self._side = side
        self._plans = _plan(count, seed)

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="synthetic",
            title="Faces drawn from facial action units",
            licence="MIT, as FERscope itself: no photograph and no person is in them.",
            reference="Movements of each emotion: EMFACS (Ekman & Friesen 1983)",
        )

    def __len__(self) -> int:
        return len(self._plans)

    def stats(self) -> Iterator[FileStat]:
        """Yields nothing: no file is read."""
        return iter(())

    def entries(self) -> Iterator[SampleEntry]:
        """Yields the metadata of the images without drawing them."""
        for index, plan in enumerate(self._plans):
            yield SampleEntry(
                f"{index:06d}", str(plan.emotion), plan.split, group=f"person {plan.identity}"
            )

    def emotion(self, index: int) -> Emotion:
        """Returns the emotion that an image shows."""
        return self._plans[index].emotion

    def __iter__(self) -> Iterator[Sample]:
        for index, plan in enumerate(self._plans):
            yield Sample(
                key=f"{index:06d}",
                image=self.face(index).image,
                label=plan.emotion,
                split=plan.split,
                group=f"person {plan.identity}",
            )

    def face(self, index: int) -> SyntheticFace:
        """Draws the image with this index, with its masks and movements.

        Raises:
            IndexError: If there is no such image.
        """
        plan = self._plans[index]
        return render(plan.seed, plan.emotion, side=self._side, identity=plan.identity)

    def units(self, index: int) -> ActionUnits:
        """Returns the action units of an image without drawing it."""
        plan = self._plans[index]
        return units_of(plan.seed, plan.emotion)

    def split(self, index: int) -> Split:
        """Returns the split of an image."""
        return self._plans[index].split

    def identity(self, index: int) -> int:
        """Returns the number of the person that the image shows."""
        return self._plans[index].identity


def _plan(count: int, seed: int) -> list[_Plan]:
    """Returns split, person and emotion of each image."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, count]))
    sizes = {split: max(len(Emotion), round(count * SHARES[split])) for split in SPLITS[1:]}
    sizes = {SPLITS[0]: count - sum(sizes.values()), **sizes}
    plans = []
    for split, size in sizes.items():
        emotions = [e for e, number in _quotas(size).items() for _ in range(number)]
        identity = 0
        for position, choice in enumerate(rng.permutation(size)):
            if position % PER_IDENTITY == 0:
                identity = int(rng.integers(1 << 62))
            plans.append(_Plan(int(rng.integers(1 << 62)), identity, emotions[choice], split))
    return [plans[position] for position in rng.permutation(count)]


def _quotas(size: int) -> Mapping[Emotion, int]:
    """Divides `size` images among the classes by `BALANCE`; each gets at least one."""
    spare = size - len(BALANCE)
    exact = {emotion: spare * share for emotion, share in BALANCE.items()}
    quotas = {emotion: 1 + int(value) for emotion, value in exact.items()}
    # Largest remainders first, so that the sum is exact.
    by_remainder = sorted(exact, key=lambda emotion: int(exact[emotion]) - exact[emotion])
    for emotion in by_remainder[: size - sum(quotas.values())]:
        quotas[emotion] += 1
    return quotas
