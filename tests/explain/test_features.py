"""Layers found by running the network, their maps, a ViT's patches, projections."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.explain.features import (
    FeatureMaps,
    Layer,
    RankBy,
    feature_maps,
    layers,
    order_by_depth,
    patches,
    penultimate,
    project,
)
from fer_core.explain.saliency import ExplainError, Target
from fer_core.models import build_model, spec_of
from tests.support.tiny import TwoChannels


def network(key: str, size: int):
    torch.manual_seed(0)
    model = build_model(ModelConfig(architecture=key, image_size=size), 7).eval()
    return model.requires_grad_(False), spec_of(key)


def hooks(model: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


@pytest.mark.parametrize(
    ("key", "size", "count", "first", "last"),
    [
        ("resnet34", 64, 17, ("act1", 64, 32), ("layer4.2", 512, 2)),
        ("tiny_cnn", 32, 1, ("features.1", 8, 8), ("features.1", 8, 8)),
        ("efficientnet_lite0", 64, 9, ("bn1", 32, 32), ("bn2", 1280, 2)),
        ("scratch_vit", 32, 9, ("patches", 192, 4), ("blocks.7", 192, 4)),
        ("vit_tiny", 64, 13, ("patch_embed.proj", 192, 4), ("blocks.11", 192, 4)),
        (
            "hf_vit_small", 64, 7,
            ("model.vit.embeddings", 192, 4), ("model.vit.layers.5", 192, 4),
        ),
    ],
)  # fmt: skip
def test_layers_are_listed_from_input_to_output(key, size, count, first, last):
    model, spec = network(key, size)
    result = layers(model, spec, torch.randn(1, 3, size, size))
    assert len(result) == count
    assert [(one.path, one.channels, one.side) for one in (result[0], result[-1])] == [first, last]
    assert hooks(model) == 0
    middle = order_by_depth(result)["middle"]
    maps = feature_maps(model, spec, torch.randn(1, 3, size, size), middle)
    assert maps.values.shape == (middle.channels, middle.side, middle.side)
    assert np.abs(maps.relevance).max() > 0


def test_maps_and_relevance_by_hand():
    model, spec = TwoChannels().eval(), spec_of("tiny_cnn")
    image = torch.rand(1, 3, 4, 4)
    (layer,) = layers(model, spec, image)
    assert layer == Layer("features", "Conv2d", 2, 4)
    maps = feature_maps(model, spec, image, layer, Target(0))
    np.testing.assert_allclose(maps.values, image[0, :2], rtol=1e-6)
    # the logit is 2 mean(red) - 3 mean(green): each channel's part of it is its relevance
    means = image[0].mean(dim=(1, 2))
    np.testing.assert_allclose(maps.relevance, [2 * means[0], -3 * means[1]], rtol=1e-5)
    assert maps.relevance.sum() == pytest.approx(float(model(image)[0, 0].detach()), rel=1e-5)


def test_channels_are_ranked_by_activation_or_relevance():
    values = np.stack([np.full((2, 2), value, np.float32) for value in (1, -5, 3)])
    pull = np.array([0.5, -2, 0.1], np.float32)
    maps = FeatureMaps(Layer("x", "Conv2d", 3, 2), values, pull, Target(0))
    assert maps.top(2, RankBy.ACTIVATION).tolist() == [1, 2]
    assert maps.top(3, RankBy.RELEVANCE).tolist() == [0, 2, 1]


def test_hooks_are_removed_when_the_network_raises():
    model, spec = network("tiny_vit", 32)
    wrong = torch.randn(1, 3, 20, 20)
    layer = Layer("blocks.0", "Block", 16, 4)
    for call in (
        lambda: layers(model, spec, wrong),
        lambda: feature_maps(model, spec, wrong, layer),
        lambda: penultimate(model, spec, wrong),
    ):
        with pytest.raises(AssertionError):
            call()
        assert hooks(model) == 0


def test_penultimate_features_give_the_logits():
    model, spec = network("tiny_vit", 32)
    images = torch.randn(5, 3, 32, 32)
    features = penultimate(model, spec, images, batch_size=2)
    expected = model(images)
    torch.testing.assert_close(model.head(torch.from_numpy(features)), expected)
    with pytest.raises(ExplainError, match="no accessible network"):
        penultimate(lambda images: images, spec, images)


def test_patches_are_ordered_row_by_row():
    image = np.arange(36, dtype=np.uint8).reshape(6, 6)
    cut = patches(image, 3)
    assert cut.shape == (2, 2, 3, 3)
    np.testing.assert_array_equal(cut[1, 0], image[3:, :3])
    assert patches(np.zeros((8, 8, 3), np.uint8), 4).shape == (2, 2, 4, 4, 3)


@pytest.mark.parametrize("count", [5, 90])
def test_a_projection_separates_distant_groups(count):
    random = np.random.default_rng(0)
    side = np.arange(count) % 2
    features = (random.normal(0, 1, (count, 20)) + 40 * side[:, None]).astype(np.float32)
    plane = project(features)
    assert plane.shape == (count, 2)
    centres = np.stack([plane[side == value].mean(axis=0) for value in (0, 1)])
    nearest = np.linalg.norm(plane[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, side)
    np.testing.assert_array_equal(plane, project(features))
