"""`explain`: gradients and occlusion worked out by hand, controls, refusals, LoRA, ONNX."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.explain.gradients import integrated_gradients
from fer_core.explain.methods import METHODS, default_method, explain, methods_for
from fer_core.explain.saliency import ExplainError, Question, SaliencyMap, Target
from fer_core.explain.tables import BASELINES
from fer_core.models import build_model
from fer_core.models.adapters import add_adapter

CNN = ModelConfig(architecture="tiny_cnn", image_size=16)
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Linear(nn.Module):
    """Logit 0 is a weighted sum of all pixels, logit 1 is 0."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weights = nn.Parameter(torch.randn(3, 16, 16, generator=generator))

    def forward(self, images):
        logit = (images * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)


class Curved(Linear):
    def forward(self, images):
        return torch.tanh(super().forward(images) / 20)


def test_integrated_gradients_of_a_linear_model_are_weight_times_difference():
    model = Linear().eval()
    (one, _) = explain(model, CNN, IMAGES, [Target(0)] * 2, "integrated_gradients")
    plain = IMAGES[0].mean(dim=(1, 2), keepdim=True)
    expected = ((IMAGES[0] - plain) * model.weights.detach()).sum(dim=0)
    np.testing.assert_allclose(one.values, expected, atol=1e-5)


def test_integrated_gradients_are_complete():
    """A map sums to the score of the image less that of the plain colour."""
    model = Curved().eval()
    _, maps = integrated_gradients(Question(model, CNN, IMAGES, [Target(0)] * 2), steps=200)
    plain = IMAGES.mean(dim=(2, 3), keepdim=True).expand_as(IMAGES)
    with torch.no_grad():
        expected = (model(IMAGES) - model(plain))[:, 0]
    torch.testing.assert_close(maps.sum(dim=(1, 2)), expected, atol=1e-4, rtol=1e-3)


def test_occlusion_finds_the_only_relevant_pixel():
    def answers(images):
        lit = images[:, 0, 11, 4]
        return torch.stack([lit, -lit], dim=1)

    image = torch.zeros(1, 3, 16, 16)
    image[0, 0, 11, 4] = 8.0
    (one,) = explain(answers, None, image, [None], "occlusion")
    y, x = np.unravel_index(one.values.argmax(), one.values.shape)
    assert abs(y - 11) <= 2
    assert abs(x - 4) <= 2
    # every window over the pixel takes the score from 8 to the image's mean
    assert one.values.max() == pytest.approx(8 - 8 / 256, rel=1e-5)
    far = np.hypot(*(np.indices((16, 16)) - np.array([11, 4])[:, None, None])) > 6
    np.testing.assert_allclose(one.values[far], 0, atol=1e-6)


def test_baselines_are_independent_of_the_model():
    cold, warm = nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(768, 7))
    for key in BASELINES:
        first = explain(cold, None, IMAGES, [Target(0)] * 2, key)
        second = explain(warm, None, IMAGES, [Target(3)] * 2, key)
        np.testing.assert_array_equal(first[0].values, second[0].values)
    random = explain(cold, None, IMAGES, [None] * 2, "random")
    assert not np.allclose(random[0].values, random[1].values)
    centre = explain(cold, None, IMAGES, [None] * 2, "centre")[0].values
    assert centre[7, 8] == centre.max()
    np.testing.assert_allclose(centre, centre[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("architecture", ["tiny_cnn", "tiny_vit"])
def test_every_supported_method_gives_a_map_of_the_input_size(key, architecture):
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, image_size=16)
    model = build_model(config, 7).eval()
    if METHODS[key] not in methods_for(config):
        with pytest.raises(ExplainError, match="does not support tiny_cnn"):
            explain(model, config, IMAGES, [None] * 2, key)
        return
    maps = explain(model, config, IMAGES, [None, Target(1, against=2)], key)
    assert [one.values.shape for one in maps] == [(16, 16)] * 2
    assert maps[0].target == Target(int(maps[0].logits.argmax()))
    assert maps[1].target == Target(1, against=2)
    assert all(np.isfinite(one.values).all() and one.values.dtype == np.float32 for one in maps)
    # one input alone gives the same map as among others
    (alone,) = explain(model, config, IMAGES[1:], [Target(1, against=2)], key)
    np.testing.assert_allclose(alone.values, maps[1].values, rtol=1e-3, atol=1e-5)


def test_unknown_and_unsupported_methods_are_refused_with_alternatives():
    with pytest.raises(ExplainError, match=r"no method 'magic'.*grad_cam"):
        explain(nn.Flatten(), None, IMAGES, [None] * 2, "magic")
    with pytest.raises(ExplainError, match="occlusion"):
        explain(nn.Flatten(), None, IMAGES, [None] * 2, "grad_cam")


def test_default_methods_suit_their_family():
    for config in (CNN, ModelConfig(architecture="tiny_vit", image_size=16), None):
        assert default_method(config) in {method.key for method in methods_for(config)}


def test_a_target_has_a_contrast_and_a_probability():
    logits = torch.tensor([2.0, 1.0, 0.0])
    assert float(Target(0, against=2).score(logits)) == 2
    total = np.exp([2, 1, 0]).sum()
    assert float(Target(0).confidence(logits)) == pytest.approx(np.exp(2) / total)
    among_two = np.exp(2) / (np.exp(2) + np.exp(0))
    assert float(Target(0, against=2).confidence(logits)) == pytest.approx(among_two)


def test_a_map_without_positive_values_is_blank():
    logits = np.zeros(2, np.float32)
    for value, blank in ((0, True), (-1, True), (np.nan, True), (1, False)):
        values = np.full((2, 2), value, np.float32)
        assert SaliencyMap(values, Target(0), "x", logits).blank == blank


def test_an_adapter_is_explained_like_its_base():
    torch.manual_seed(0)
    base = ModelConfig(architecture="tiny_vit", image_size=16)
    model = build_model(base, 7).eval()
    methods = [method.key for method in methods_for(base)]
    before = {key: explain(model, base, IMAGES, [Target(0)] * 2, key) for key in methods}
    widened = ModelConfig.model_validate(
        {**base.model_dump(), "init": "imagenet", "lora": {"rank": 2}}
    )
    add_adapter(model, widened)  # a fresh adapter changes no answer
    model.eval()
    for key, maps in before.items():
        (one, _) = explain(model, widened, IMAGES, [Target(0)] * 2, key)
        np.testing.assert_allclose(one.values, maps[0].values, rtol=1e-3, atol=1e-6, err_msg=key)
