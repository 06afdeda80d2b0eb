"""Grad-CAM on networks small enough to work out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.explain import cam
from fer_core.explain.methods import METHODS, explain
from fer_core.explain.saliency import Detail, ExplainError, Question, Target
from fer_core.models import build_model, spec_of
from tests.support.tiny import TwoChannels

CONFIG = ModelConfig(architecture="tiny_cnn", image_size=16)
IMAGE = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4) / 10
BOTH = [Target(0), Target(1)]
CAMS = ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam", "eigen_cam", "ablation_cam")


def maps_of(method, targets=BOTH, model=None, images=IMAGE):
    model = model or TwoChannels().eval()
    return [one.values for one in explain(model, CONFIG, images, targets, method)]


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_grad_cam_is_signed_and_unscaled():
    model = TwoChannels().eval()
    first, second = explain(model, CONFIG, IMAGE, BOTH, "grad_cam")
    # weights are mean gradients: 2/16 and -3/16 for class 0, 0 and 1/16 for class 1
    np.testing.assert_allclose(first.values, (2 * IMAGE[0, 0] - 3 * IMAGE[0, 1]) / 16, rtol=1e-5)
    np.testing.assert_allclose(second.values, IMAGE[1, 1] / 16, rtol=1e-5)
    assert first.values.min() < 0
    np.testing.assert_allclose(first.logits, model(IMAGE)[0].detach(), rtol=1e-6)
    assert (first.target, first.method) == (Target(0), "grad_cam")


def test_hires_cam_equals_grad_cam_for_constant_gradients():
    for hires, plain in zip(maps_of("hires_cam"), maps_of("grad_cam"), strict=True):
        np.testing.assert_allclose(hires, plain, rtol=1e-5)
    # its sum is the logit of a network without bias: "faithful" in its authors' sense
    logits = TwoChannels()(IMAGE).detach()
    assert maps_of("hires_cam")[0].sum() == pytest.approx(float(logits[0, 0]), rel=1e-5)


def test_layer_cam_ignores_negative_gradients():
    first, _ = maps_of("layer_cam")
    np.testing.assert_allclose(first, 2 * IMAGE[0, 0] / 16, rtol=1e-5)


def test_grad_cam_plus_plus_by_hand():
    _, second = maps_of("grad_cam_pp")
    gradient = 1 / 16
    alpha = gradient**2 / (2 * gradient**2 + float(IMAGE[1, 1].sum()) * gradient**3 + 1e-6)
    np.testing.assert_allclose(second, 16 * alpha * gradient * IMAGE[1, 1], rtol=1e-4)


def test_ablation_cam_weighs_a_channel_by_the_logit_drop():
    first, second = maps_of("ablation_cam")
    red, green = IMAGE[0, 0], IMAGE[0, 1]
    # without red the score falls by 2 mean(red), without green by -3 mean(green)
    np.testing.assert_allclose(first, 2 * red.mean() * red - 3 * green.mean() * green, rtol=1e-5)
    np.testing.assert_allclose(second, IMAGE[1, 1].mean() * IMAGE[1, 1], rtol=1e-5)


def test_contrast_is_the_difference_of_two_classes():
    apart, _ = maps_of("grad_cam", [Target(0, against=1), Target(0)])
    np.testing.assert_allclose(apart, (2 * IMAGE[0, 0] - 4 * IMAGE[0, 1]) / 16, rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_eigen_cam_is_positive_for_strong_features_of_either_sign(sign):
    image = torch.zeros(1, 3, 4, 4)
    image[0, :2, 1, 2] = sign * torch.tensor([5.0, 4.0])
    (default,) = maps_of("eigen_cam", [None], images=image)
    assert np.unravel_index(default.argmax(), default.shape) == (1, 2)
    assert default.max() > -default.min()


@pytest.mark.parametrize("seed", range(6))
def test_eigen_cam_rises_with_the_strength_of_the_features(seed):
    """The sign of a principal component is arbitrary, the sign of the map is not."""
    image = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    (default,) = maps_of("eigen_cam", [None], images=image)
    strength = image[0, :2].square().sum(dim=0).numpy()
    assert ((strength - strength.mean()) * default).sum() > 0


@pytest.mark.parametrize("method", CAMS)
def test_no_target_explains_the_predicted_class(method):
    model = TwoChannels().eval()
    predicted = [Target(int(index)) for index in model(IMAGE).argmax(dim=1)]
    for default, explicit in zip(
        maps_of(method, [None, None]), maps_of(method, predicted), strict=True
    ):
        np.testing.assert_array_equal(default, explicit)


@pytest.mark.parametrize("method", CAMS)
def test_parameters_get_no_gradient_and_hooks_are_removed(method):
    model = TwoChannels().eval().requires_grad_(False)
    assert np.abs(maps_of(method, model=model)[0]).max() > 0
    assert all(weight.grad is None for weight in model.parameters())
    assert hooks(model) == 0


class FailsLater(TwoChannels):
    """Answers a number of times, then raises."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good
        self.passes = 0

    def forward(self, images):
        features = self.features(images)
        self.passes += 1
        if self.passes > self.good:
            raise RuntimeError("out of memory")
        return self.head(features.mean(dim=(2, 3)))


ON_CNNS = [key for key, method in METHODS.items() if "cnn" in method.families]


@pytest.mark.parametrize("method", ON_CNNS)
def test_hooks_are_removed_when_a_forward_pass_raises(method):
    model = FailsLater(1000).eval()
    before = [name for name, _ in model.named_modules()]
    assert len(explain(model, CONFIG, IMAGE, BOTH, method)) == len(BOTH)
    passes = model.passes
    assert 0 < passes < 1000
    for good in {0, min(1, passes - 1), passes - 1}:
        model.passes, model.good = 0, good
        with pytest.raises(RuntimeError, match="out of memory"):
            explain(model, CONFIG, IMAGE, BOTH, method)
        assert hooks(model) == 0
        assert [name for name, _ in model.named_modules()] == before


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(ON_CNNS)))
def test_a_vit_method_refuses_a_cnn_and_leaves_no_hook(method):
    model = FailsLater(1).eval()
    with pytest.raises(ExplainError, match="does not support tiny_cnn"):
        explain(model, CONFIG, IMAGE, BOTH, method)
    assert hooks(model) == 0


def test_the_layer_can_be_chosen():
    torch.manual_seed(0)
    config = ModelConfig(architecture="resnet34", image_size=32)
    model = build_model(config, 7).eval()
    image = torch.randn(1, 3, 32, 32)
    spec = spec_of("resnet34")
    default, same, other = (
        explain(model, config, image, [None], "grad_cam", Detail(module=path))[0].values
        for path in (None, spec.cam_layer, "layer1")
    )
    np.testing.assert_array_equal(default, same)
    assert not np.allclose(default, other)


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
def test_cam_grids_of_architectures_match_their_spec(key, size, grid):
    config = ModelConfig(architecture=key, image_size=size)
    model = build_model(config, 7).eval()
    explicit = Question(model, config, torch.randn(1, 3, size, size), [Target(2)])
    _, maps = cam.grad_cam(explicit)
    assert maps.shape == (1, grid, grid)
    assert torch.isfinite(maps).all()
    assert maps.abs().max() > 0
