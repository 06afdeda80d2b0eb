"""Grad-CAM on networks small enough to work out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.explain.cam import grad_cam
from fer_core.models import build_model, spec_of
from tests import tiny  # noqa: F401 (registers)


class TwoChannels(nn.Module):
    """Copies two input channels; logits are +2 times the first's mean, -3 times the second's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1))
            self.head.weight.copy_(torch.tensor([[2.0, -3.0], [0.0, 1.0]]))

    def forward(self, images):
        return self.head(self.features(images).mean(dim=(2, 3)))


SPEC = spec_of("tiny_cnn")
IMAGE = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4) / 10


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_the_map_is_signed_and_unscaled():
    model = TwoChannels().eval()
    logits, maps = grad_cam(model, SPEC, IMAGE, np.array([0, 1]))
    # weights are mean gradients: 2/16 and -3/16 for class 0, 0 and 1/16 for class 1
    first = (2 * IMAGE[0, 0] - 3 * IMAGE[0, 1]) / 16
    second = IMAGE[1, 1] / 16
    np.testing.assert_allclose(maps[0], first, rtol=1e-5)
    np.testing.assert_allclose(maps[1], second, rtol=1e-5)
    assert maps[0].min() < 0
    torch.testing.assert_close(logits, model(IMAGE).detach())


def test_minus_one_explains_the_predicted_class():
    model = TwoChannels().eval()
    predicted = model(IMAGE).argmax(dim=1).numpy()
    _, own = grad_cam(model, SPEC, IMAGE, np.array([-1, -1]))
    _, asked = grad_cam(model, SPEC, IMAGE, predicted)
    np.testing.assert_array_equal(own, asked)


def test_frozen_weights_gather_no_gradient_and_no_hook_stays():
    model = TwoChannels().eval().requires_grad_(False)
    _, maps = grad_cam(model, SPEC, IMAGE, np.array([0, 0]))
    assert np.abs(maps).max() > 0
    assert all(weight.grad is None for weight in model.parameters())
    assert hooks(model) == 0


def test_hooks_are_removed_when_the_forward_pass_raises():
    model = TwoChannels().eval()
    with pytest.raises(RuntimeError):
        grad_cam(model, SPEC, IMAGE[:, :2], np.array([0, 0]))
    assert hooks(model) == 0


def test_a_vit_gives_a_grid_that_is_not_blank():
    torch.manual_seed(0)
    model = build_model(ModelConfig(architecture="tiny_vit", image_size=32), 7).eval()
    _, maps = grad_cam(model, spec_of("tiny_vit"), torch.randn(2, 3, 32, 32), np.array([0, 3]))
    assert maps.shape == (2, 4, 4)
    assert np.abs(maps).max() > 0


@pytest.mark.parametrize(
    ("key", "size", "grid"),
    [
        ("resnet34", 64, 4),
        ("efficientnet_lite0", 96, 6),
        ("efficientnet_b4", 64, 4),
        ("vgg16", 48, 6),
        ("scratch_vit", 48, 6),
        ("vit_tiny", 96, 6),
        ("hf_vit_small", 96, 6),
    ],
)
def test_registered_networks_give_the_grid_that_their_spec_promises(key, size, grid):
    model = build_model(ModelConfig(architecture=key, image_size=size), 7).eval()
    _, maps = grad_cam(model, spec_of(key), torch.randn(1, 3, size, size), np.array([2]))
    assert maps.shape == (1, grid, grid)
    assert np.isfinite(maps).all()
    assert np.abs(maps).max() > 0
