import numpy as np
import pytest
import torch

from fer_core.data.transformed_copies.proof import Proof, prove
from fer_core.data.transformed_copies.registration import identity
from fer_core.labels import Emotion
from fer_core.synthetic.face import portrait


def grey(person: int, emotion: Emotion = Emotion.NEUTRAL) -> torch.Tensor:
    drawn = portrait(person, emotion, 48).image.astype(np.float32)
    return torch.from_numpy(drawn.mean(axis=2))[None]


def proof(**facts: float) -> Proof:
    whole = {"correlation": 1.0, "unexplained": 0.0, "worst": 0.0, "overlap": 1.0}
    tone = {"gain": 1.0, "gamma": 1.0}
    values = {**whole, **tone, **facts}
    return Proof(**{name: np.array([value], np.float32) for name, value in values.items()})


def test_an_image_equals_itself() -> None:
    face = grey(1)
    found = prove(face, face, identity(1))
    assert found.correlation[0] == pytest.approx(1, abs=1e-4)
    assert found.worst[0] == pytest.approx(0, abs=1e-4)
    assert (found.gain[0], found.gamma[0]) == pytest.approx((1, 1), abs=0.01)
    assert found.copy[0]


def test_gain_and_gamma_are_fitted() -> None:
    face = grey(1).clamp(20, 235)
    changed = 255 * 0.8 * (face / 255) ** 1.5
    found = prove(face, changed, identity(1))
    assert found.gain[0] == pytest.approx(0.8, rel=0.02)
    assert found.gamma[0] == pytest.approx(1.5, rel=0.02)
    assert found.copy[0]


def test_a_flat_image_is_no_copy() -> None:
    flat = torch.full((1, 48, 48), 128.0)
    assert not prove(flat, grey(1), identity(1)).copy[0]


def test_two_people_are_no_copy() -> None:
    assert not prove(grey(1), grey(2), identity(1)).copy[0]


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({}, "copy"),
        ({"correlation": 0.9, "worst": 0.15}, "copy"),  # 0.825
        ({"correlation": 0.9, "worst": 0.2}, "scene"),  # 0.8
        ({"correlation": 0.9, "worst": 0.2, "unexplained": 0.2}, "neither"),
        ({"correlation": 0.8, "worst": 0.1}, "neither"),
        ({"overlap": 0.3}, "neither"),
    ],
)
def test_what_decides(facts: dict[str, float], kind: str) -> None:
    found = proof(**facts)
    assert (bool(found.copy[0]), bool(found.same_scene[0])) == (kind == "copy", kind == "scene")
