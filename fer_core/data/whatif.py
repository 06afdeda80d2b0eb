"""What-if analysis: changes one face gradually, for example in brightness or rotation.

Uses the transforms of `fer_core.data.corruptions` with continuous amounts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fer_core.data.corruptions import CORRUPTIONS, Picture

STEPS = 13
"""Number of amounts in a sweep; odd, so that 0 can be in the middle."""


@dataclass(frozen=True)
class Change:
    """A gradual change of an image.

    Attributes:
        name: Key in tables and addresses.
        title: Display name.
        says: Meaning of the amount, shown as help.
        low: Smallest amount; an amount of 0 changes nothing.
        high: Largest amount.
        apply: Changes one image by an amount; values are clipped to 0 to 255 afterwards.
    """

    name: str
    title: str
    says: str
    low: float
    high: float
    apply: Callable[[Picture, float], Picture]

    @property
    def amounts(self) -> NDArray[np.float64]:
        """Amounts of a sweep, ascending and including 0, shape (STEPS,)."""
        if self.low == 0:
            return np.linspace(0, self.high, STEPS)
        half = STEPS // 2 + 1
        below = np.linspace(self.low, 0, half)
        return np.concatenate([below[:-1], np.linspace(0, self.high, half)])


def _corruption(name: str) -> Callable[[Picture, float], Picture]:
    """Returns a corruption as a function of its amount, with a fixed random seed."""
    apply = CORRUPTIONS[name].apply
    return lambda picture, amount: apply(picture, amount, np.random.default_rng(0))


_darker, _brighter, _fade = (
    _corruption("darker"),
    _corruption("brighter"),
    _corruption("low_contrast"),
)


def _brightness(picture: Picture, amount: float) -> Picture:
    return _darker(picture, -amount) if amount < 0 else _brighter(picture, amount)


def _rotation(picture: Picture, amount: float) -> Picture:
    turned: Picture = ndimage.rotate(picture, -amount, reshape=False, order=1, mode="nearest")
    return turned


CHANGES: Mapping[str, Change] = {
    change.name: change
    for change in (
        Change("brightness", "Brightness", "negative: darker, positive: brighter", -0.88, 0.55,
               _brightness),
        Change("contrast", "Contrast", "negative: lower, positive: higher", -0.88, 0.88,
               lambda picture, amount: _fade(picture, -amount)),
        Change("blur", "Blur", "standard deviation as a share of the image side", 0, 0.1,
               _corruption("blur")),
        Change("noise", "Noise", "standard deviation as a share of white", 0, 0.3,
               _corruption("noise")),
        Change("rotation", "Rotation", "degrees; positive: clockwise", -45, 45, _rotation),
        Change("eyes", "Eyes covered", "occluded share of the eye region", 0, 1,
               _corruption("occluded_eyes")),
        Change("mouth", "Mouth covered", "occluded share of the mouth region", 0, 1,
               _corruption("occluded_mouth")),
    )
}  # fmt: skip


def changed(stored: NDArray[np.uint8], amounts: Mapping[str, float]) -> NDArray[np.uint8]:
    """Applies several changes to a face, in the order of `CHANGES`.

    Args:
        stored: uint8, shape (H, W) or (H, W, 3).
        amounts: Amounts by name; 0 changes nothing, and amounts are clipped to the range.

    Raises:
        KeyError: If a name is unknown.
    """
    if unknown := set(amounts) - set(CHANGES):
        raise KeyError(f"Unknown change {sorted(unknown)[0]!r}. Known: {', '.join(CHANGES)}.")
    picture = stored.astype(np.float32).reshape(*stored.shape[:2], -1)
    for name, change in CHANGES.items():
        amount = float(np.clip(amounts.get(name, 0.0), change.low, change.high))
        if amount:
            picture = change.apply(picture, amount)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8).reshape(stored.shape)


def sweep(
    stored: NDArray[np.uint8], name: str, others: Mapping[str, float] | None = None
) -> NDArray[np.uint8]:
    """Returns a face at each amount of one change, shape (STEPS, ...).

    Args:
        stored: uint8, shape (H, W) or (H, W, 3).
        name: A key of `CHANGES`.
        others: Amounts of the other changes.
    """
    fixed = {key: value for key, value in (others or {}).items() if key != name}
    return np.stack(
        [changed(stored, {**fixed, name: float(value)}) for value in CHANGES[name].amounts]
    )


@dataclass(frozen=True)
class Turn:
    """The point of a sweep where a model's prediction changes.

    Attributes:
        amount: Smallest tested amount with another prediction.
        predicted: Index of the new predicted class.
    """

    amount: float
    predicted: int


def turns(amounts: Sequence[float], predicted: Sequence[int]) -> tuple[Turn | None, Turn | None]:
    """Returns where the prediction first changes, below and above amount 0.

    Args:
        amounts: Ascending amounts, including 0.
        predicted: Predicted class at each amount.

    Returns:
        The first change below 0 and the first above 0; None if the prediction is stable there.
    """
    middle = int(np.argmin(np.abs(amounts)))

    def first(indices: Sequence[int]) -> Turn | None:
        for index in indices:
            if predicted[index] != predicted[middle]:
                return Turn(float(amounts[index]), int(predicted[index]))
        return None

    return first(range(middle - 1, -1, -1)), first(range(middle + 1, len(amounts)))
