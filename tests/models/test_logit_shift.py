"""A value per class is added to the logits of every image, or the network is refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models import build_model, spec_of
from fer_core.models.logit_shift import require_shiftable, shift_logits
from fer_core.models.regression_head import add_regression_head
from tests.support.tiny import TwoChannels

SHIFT = torch.linspace(-1, 2, 7)


def built(architecture: str, size: int = 64):
    config = ModelConfig(architecture=architecture, image_size=size)
    torch.manual_seed(0)
    return build_model(config, 7), spec_of(config)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("tiny_cnn", 32),
        ("timm:dpn68", 64),  # a convolution
        ("timm:deit_tiny_distilled_patch16_224", 64),  # the mean of two classifiers
        ("timm:efficientformer_l1", 224),
    ],
)
def test_all_logits_get_the_whole_shift(architecture, size):
    model, spec = built(architecture, size)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    require_shiftable(model, spec, size)
    assert model.training
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    images = torch.rand(2, 3, size, size)
    model.eval()
    with torch.inference_mode():
        before = model(images)
        shift_logits(model, spec, SHIFT.double())
        torch.testing.assert_close(model(images) - before, SHIFT.repeat(2, 1), atol=1e-4, rtol=0)


def test_the_classifier_beside_a_regression_head_is_shifted():
    model, spec = built("tiny_cnn", 32)
    add_regression_head(model, spec)
    require_shiftable(model, spec, 32)
    bias = model.head.classifier.bias.clone()
    shift_logits(model, spec, SHIFT)
    torch.testing.assert_close(model.head.classifier.bias - bias, SHIFT)


def test_an_activation_behind_the_classifier_is_refused():
    model, spec = built("torchvision:squeezenet1_1")
    with pytest.raises(RecipeError, match=r"classifier\.1 before they are logits.*prior=fixed"):
        require_shiftable(model, spec, 64)
    assert model.classifier[1].bias.abs().max() < 1


def test_a_classifier_without_bias_is_refused():
    spec = replace(spec_of("tiny_cnn"), title="Two channels")
    with pytest.raises(RecipeError, match=r"Two channels has no bias.*Set loss\.prior=fixed"):
        require_shiftable(TwoChannels(), spec, 32)


def test_weights_that_are_not_finite_are_left_to_the_training():
    model, spec = built("tiny_cnn", 32)
    nn.init.constant_(model.head.weight, float("inf"))
    require_shiftable(model, spec, 32)


def test_a_regression_head_beside_a_convolution_is_refused():
    model, spec = built("timm:dpn68")
    with pytest.raises(RecipeError, match=r"dpn68 \(timm\) has a convolution.*regression=null"):
        add_regression_head(model, spec)
