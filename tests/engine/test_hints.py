"""Hints: following a teacher's feature map."""

import pytest
import torch

from fer_core.config import ModelConfig
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine.hints import HintTeacher, _orthonormal, captured
from fer_core.engine.networks import Network
from fer_core.models import build_model, spec_of

STORED = SampleFormat(32, False)


def network(architecture: str, side: int = 32) -> Network:
    torch.manual_seed(0)
    spec = spec_of(architecture)
    model = build_model(ModelConfig(architecture=architecture, image_size=side), 7).eval()
    preprocessing = Preprocessing(STORED.side, STORED.colour, side, spec.mean, spec.std)
    return Network(model.requires_grad_(False), spec, preprocessing, info=None)


IMAGES = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(1))


def test_teacher_channels_are_standardised():
    result = HintTeacher(network("tiny_cnn"), 1.0).features(IMAGES)
    not_constant = result.std(dim=(0, 2, 3)) > 0.5  # a channel that is 0 everywhere stays 0
    assert not_constant.any()
    torch.testing.assert_close(
        result.mean(dim=(0, 2, 3)), torch.zeros(result.shape[1]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        result.std(dim=(0, 2, 3))[not_constant],
        torch.ones(int(not_constant.sum())),
        atol=1e-2,
        rtol=0,
    )


def test_a_teacher_uses_the_active_precision_and_returns_float32():
    teacher = HintTeacher(network("tiny_cnn"), 1.0)
    exact = teacher.features(IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = teacher.features(IMAGES)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert float((rounded - exact).square().mean()) < 1e-3 * float(exact.square().mean())


def test_equal_features_have_no_loss_and_zero_features_the_variance():
    teacher = HintTeacher(network("tiny_cnn"), 3.0)
    expected = teacher.features(IMAGES)
    wide = expected.shape[1] + 5
    matrix = _orthonormal(expected.shape[1], wide)
    same = torch.einsum("cd,nchw->ndhw", matrix, expected)
    assert float(teacher.loss(same, expected)) == pytest.approx(0, abs=1e-9)
    nothing = teacher.loss(torch.zeros_like(same), expected)
    assert float(nothing) == pytest.approx(3 * float(expected.square().mean()), rel=1e-5)


def test_the_teacher_map_is_resized_to_the_students_grid():
    teacher = HintTeacher(network("tiny_cnn"), 1.0)
    for side in (2, 3, 11):
        own = torch.zeros(16, 4, side, side, requires_grad=True)
        loss = teacher.loss(own, teacher.features(IMAGES))
        assert loss.ndim == 0
        loss.backward()
        assert own.grad.abs().sum() > 0


def test_a_larger_teacher_map_is_averaged_not_sampled():
    """Triangular weights around (2, 2) of an 8 x 8 map: 0.625 of 3.5 for the first row and column.

    The four pixels around that point, which plain bilinear sampling reads, are all 0.
    """
    teacher_map = torch.zeros(1, 1, 8, 8)
    teacher_map[..., 0, 0] = 1
    loss = HintTeacher(network("tiny_cnn"), 1.0).loss(torch.zeros(1, 1, 2, 2), teacher_map)
    assert float(loss) == pytest.approx((0.625 / 3.5) ** 4 / 4, rel=1e-4)


def test_tokens_are_read_as_a_map_and_hooks_are_removed():
    student = network("tiny_vit")
    with captured(student.model, student.spec) as seen:
        student.model(torch.rand(2, 3, 32, 32))
    (result,) = seen
    assert result.shape[0] == 2
    assert result.shape[2] == result.shape[3]
    with pytest.raises(ValueError, match="unpack"), captured(student.model, student.spec):
        student.model(torch.rand(2, 3))
    assert not any(layer._forward_hooks for layer in student.model.modules())


@pytest.mark.parametrize("architecture", ["tiny_cnn", "tiny_vit"])
def test_layers_after_the_hint_layer_are_not_computed(architecture):
    teacher = network(architecture)
    inputs = torch.rand(2, 3, 32, 32)
    with captured(teacher.model, teacher.spec) as whole:
        teacher.model(inputs)
    reached = []
    teacher.model.get_submodule(teacher.spec.head).register_forward_hook(
        lambda *_: reached.append(1)
    )
    with captured(teacher.model, teacher.spec, stop=True) as part:
        teacher.model(inputs)
    assert not reached
    torch.testing.assert_close(part[0], whole[0], rtol=0, atol=0)
    teacher.model(inputs)  # and the network is whole again
    assert reached == [1]


def test_the_hint_loss_falls_in_training():
    teacher = HintTeacher(network("tiny_cnn"), 1.0)
    student = network("tiny_vit")
    student.model.requires_grad_(True).train()
    optimiser = torch.optim.Adam(student.model.parameters(), lr=1e-2)
    inputs = student.preprocessing.normalise(IMAGES)
    losses = []
    for _ in range(60):
        with captured(student.model, student.spec) as seen:
            student.model(inputs)
        loss = teacher.loss(seen[0], teacher.features(IMAGES))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
