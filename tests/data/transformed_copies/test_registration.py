import numpy as np
import pytest
import torch

from fer_core.data.transformed_copies.changes import similarity
from fer_core.data.transformed_copies.registration import (
    LEVELS,
    fitted_change,
    identity,
    normalised,
    register,
)
from fer_core.labels import Emotion
from fer_core.synthetic.face import portrait


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    drawn = portrait(3, Emotion.HAPPY, 48).image
    return drawn.mean(axis=2).round().astype(np.uint8)


def fitted(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    left, right = (torch.from_numpy(image[None]).float() for image in (first, second))
    motion = identity(1)
    for level in LEVELS:
        found = register(normalised(left, level), normalised(right, level), motion, level.steps)
        motion = found.motion
    change = {name: float(value[0]) for name, value in fitted_change(motion).items()}
    return change | {"correlation": float(found.correlation[0])}


@pytest.mark.parametrize(
    ("degrees", "scale", "shift"),
    [
        (0.0, 1.0, (0.0, 0.0)),
        (15.0, 1.0, (0.0, 0.0)),
        (-15.0, 1.0, (0.0, 0.0)),
        (0.0, 1 / 0.85, (0.06, -0.05)),
        (10.0, 1.1, (0.03, 0.02)),
        (0.0, 0.85, (0.0, 0.04)),
    ],
)
def test_the_change_that_was_made_is_fitted(
    face: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]
) -> None:
    found = fitted(face, similarity(face, degrees=degrees, scale=scale, shift=shift))
    assert found["degrees"] == pytest.approx(degrees, abs=0.6)
    assert found["scale"] == pytest.approx(scale, rel=0.01)
    assert (found["shift_x"], found["shift_y"]) == pytest.approx(shift, abs=0.006)
    assert found["correlation"] > 0.9


def test_gain_and_gamma_do_not_matter(face: np.ndarray) -> None:
    darker = (255 * (face / 255) ** 1.8 * 0.7).round().astype(np.uint8)
    found = fitted(face, darker)
    assert found["degrees"] == pytest.approx(0, abs=0.3)
    assert found["correlation"] > 0.95
