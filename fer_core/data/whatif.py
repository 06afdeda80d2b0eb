"""What if the face were darker, tilted, covered? One face changed by degrees, in both directions.

The same changes as `fer_core.data.corruptions`, in amounts of the user's choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fer_core.data.corruptions import CORRUPTIONS, Picture

STEPS = 13
"""Amounts that a sweep tries; odd, so that "no change" can stand in the middle."""


@dataclass(frozen=True)
class Change:
    """One way to change a face by degrees.

    Attributes:
        name: In tables and addresses.
        title: For people.
        says: What the amounts mean.
        low: Smallest amount; 0 changes nothing.
        high: Largest amount.
        apply: Changes one picture by an amount; values beyond 0 to 255 are cut off afterwards.
    """

    name: str
    title: str
    says: str
    low: float
    high: float
    apply: Callable[[Picture, float], Picture]

    @property
    def amounts(self) -> NDArray[np.float64]:
        """The amounts that a sweep tries, in rising order, 0 among them; shape (STEPS,)."""
        if self.low == 0:
            return np.linspace(0, self.high, STEPS)
        half = STEPS // 2 + 1
        below = np.linspace(self.low, 0, half)
        return np.concatenate([below[:-1], np.linspace(0, self.high, half)])


def _as(name: str) -> Callable[[Picture, float], Picture]:
    """A corruption in an amount of choice; what it draws at random is the same each time."""
    apply = CORRUPTIONS[name].apply
    return lambda picture, amount: apply(picture, amount, np.random.default_rng(0))


_darker, _brighter, _fade = _as("darker"), _as("brighter"), _as("low_contrast")


def _brightness(picture: Picture, amount: float) -> Picture:
    return _darker(picture, -amount) if amount < 0 else _brighter(picture, amount)


def _rotation(picture: Picture, amount: float) -> Picture:
    turned: Picture = ndimage.rotate(picture, -amount, reshape=False, order=1, mode="nearest")
    return turned


CHANGES: Mapping[str, Change] = {
    change.name: change
    for change in (
        Change("brightness", "Brightness", "below 0 less light, above 0 overexposed", -0.88, 0.55,
               _brightness),
        Change("contrast", "Contrast", "below 0 faded, above 0 harder", -0.88, 0.88,
               lambda picture, amount: _fade(picture, -amount)),
        Change("blur", "Blur", "width of the blur as a share of the face", 0, 0.1, _as("blur")),
        Change("noise", "Noise", "its deviation as a share of white", 0, 0.3, _as("noise")),
        Change("rotation", "Rotation", "degrees, clockwise above 0", -45, 45, _rotation),
        Change("eyes", "Eyes covered", "how much of the band over the eyes", 0, 1,
               _as("occluded_eyes")),
        Change("mouth", "Mouth covered", "how much of the band over the mouth", 0, 1,
               _as("occluded_mouth")),
    )
}  # fmt: skip


def changed(stored: NDArray[np.uint8], amounts: Mapping[str, float]) -> NDArray[np.uint8]:
    """Changes a face in several ways, one after the other in the order of `CHANGES`.

    Args:
        stored: uint8, shape (H, W) or (H, W, 3).
        amounts: By name; 0 changes nothing, values beyond a change's range are cut off.

    Raises:
        KeyError: If there is no such change.
    """
    if unknown := set(amounts) - set(CHANGES):
        raise KeyError(f"There is no change {sorted(unknown)[0]!r}.")
    picture = stored.astype(np.float32).reshape(*stored.shape[:2], -1)
    for name, change in CHANGES.items():
        amount = float(np.clip(amounts.get(name, 0.0), change.low, change.high))
        if amount:
            picture = change.apply(picture, amount)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8).reshape(stored.shape)


def sweep(
    stored: NDArray[np.uint8], name: str, others: Mapping[str, float] | None = None
) -> NDArray[np.uint8]:
    """Returns a face under every amount of one change, shape (STEPS, ...).

    Args:
        stored: uint8, shape (H, W) or (H, W, 3).
        name: A key of `CHANGES`.
        others: Amounts of the other changes.
    """
    rest = {key: value for key, value in (others or {}).items() if key != name}
    return np.stack(
        [changed(stored, {**rest, name: float(value)}) for value in CHANGES[name].amounts]
    )


@dataclass(frozen=True)
class Turn:
    """Where a model changes its mind.

    Attributes:
        amount: The smallest amount tried that does it.
        answer: Index of its new answer.
    """

    amount: float
    answer: int


def turns(amounts: Sequence[float], answers: Sequence[int]) -> tuple[Turn | None, Turn | None]:
    """Returns where a model first changes its mind, below and above no change at all.

    Args:
        amounts: In rising order, 0 among them.
        answers: The most probable class at each.

    Returns:
        The turn on the way down and on the way up; None where it stays with its answer.
    """
    middle = int(np.argmin(np.abs(amounts)))

    def first(places: Sequence[int]) -> Turn | None:
        for place in places:
            if answers[place] != answers[middle]:
                return Turn(float(amounts[place]), int(answers[place]))
        return None

    return first(range(middle - 1, -1, -1)), first(range(middle + 1, len(amounts)))
