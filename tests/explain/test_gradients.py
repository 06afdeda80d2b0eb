"""Gradient methods on linear models, where maps can be worked out by hand."""

import pytest
import torch
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from fer_core.config import ModelConfig
from fer_core.explain.gradients import (
    FAST_SMOOTHING,
    FAST_STEPS,
    _smoothed,
    fast_gradients,
    smoothed_gradients,
)
from fer_core.explain.saliency import Detail, Question, Target

SIDE = 16


class Linear(nn.Module):
    """Three logits, each a weighted sum of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(torch.randn(3, 3, SIDE, SIDE, generator=generator))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kchw->nk", images, self.weights)


def question(target: Target) -> Question:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    config = ModelConfig(architecture="vgg16", image_size=SIDE)
    return Question(Linear().requires_grad_(False), config, images, [target] * 2, Detail())


def test_smoothed_gradients_of_a_linear_contrast_are_gradient_times_difference():
    asked = question(Target(0, against=2))
    logits, maps = smoothed_gradients(asked)
    weights = asked.model.weights
    torch.testing.assert_close(logits, asked.model(asked.inputs))
    plain = asked.inputs.mean(dim=(2, 3), keepdim=True)
    blurred = gaussian_blur(asked.inputs, [9, 9], [2.0, 2.0])
    difference = asked.inputs - (plain + blurred) / 2
    wanted = ((weights[0] - weights[2]) * difference).sum(dim=1)
    torch.testing.assert_close(maps, _smoothed(wanted), rtol=1e-4, atol=1e-5)


def test_fast_gradients_of_a_linear_contrast_are_gradient_times_difference():
    asked = question(Target(0, against=2))
    logits, maps = fast_gradients(asked)
    weights = asked.model.weights
    torch.testing.assert_close(logits, asked.model(asked.inputs))
    plain = asked.inputs.mean(dim=(2, 3), keepdim=True)
    blurred = gaussian_blur(asked.inputs, [9, 9], [2.0, 2.0])
    difference = asked.inputs - (plain + blurred) / 2
    wanted = ((weights[0] - weights[2]) * difference).sum(dim=1)
    torch.testing.assert_close(maps, _smoothed(wanted, FAST_SMOOTHING), rtol=1e-4, atol=1e-5)


def test_fast_gradients_take_one_batch_for_prediction_and_map():
    asked = question(Target(0))
    sizes = []
    asked.model.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    fast_gradients(asked)
    assert sizes == [1 + FAST_STEPS] * 2  # one batch for each image


def test_without_a_contrast_the_other_classes_count_against_the_class():
    (_, first), (_, second) = (smoothed_gradients(question(Target(of))) for of in (0, 1))
    assert not torch.allclose(first, second)
    # two classes: the log-odds is the difference of the logits
    two = question(Target(0))
    two.model.weights = nn.Parameter(two.model.weights[:2], requires_grad=False)
    contrasted = Question(two.model, two.config, two.inputs, [Target(0, against=1)] * 2, Detail())
    alone, against = smoothed_gradients(two)[1], smoothed_gradients(contrasted)[1]
    torch.testing.assert_close(alone, against, rtol=1e-4, atol=1e-5)


def test_smoothing_keeps_the_sum_of_a_point_in_the_middle():
    point = torch.zeros(1, SIDE, SIDE)
    point[0, 8, 8] = 1
    smooth = _smoothed(point)[0]
    assert float(smooth.sum()) == pytest.approx(1, abs=1e-5)
    assert float(smooth[8, 8]) < 0.5
    assert smooth.argmax() == 8 * SIDE + 8
