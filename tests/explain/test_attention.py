"""Attention read from all three kinds of ViT, and what the methods promise of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.errors import FerscopeError
from fer_core.explain.attention import (
    AttentionTape,
    attention,
    attention_from,
    chefer,
    looked_at,
    relevance,
    rollout,
)
from fer_core.explain.methods import explain
from fer_core.explain.saliency import Detail, ExplainError, Question, Target
from fer_core.models import build_model, spec_of
from fer_core.models.tokens import grid_side

VITS = (
    ("scratch_vit", 32, 8),
    ("conv_stem_vit", 32, 7),
    ("vit_tiny", 64, 12),
    ("hf_vit_small", 64, 6),
    ("tiny_vit", 32, 2),
)


def network(key: str, size: int, **more):
    torch.manual_seed(0)
    config = ModelConfig(architecture=key, image_size=size, **more)
    return build_model(config, 7).eval(), config


@pytest.mark.parametrize(("key", "size", "blocks"), VITS)
def test_attention_is_recorded_for_every_vit_without_changing_outputs(key, size, blocks):
    model, _ = network(key, size)
    images = torch.randn(2, 3, size, size)
    logits, layers = attention(model, images)
    assert layers.shape[:2] == (2, blocks)
    torch.testing.assert_close(layers.sum(dim=-1), torch.ones(layers.shape[:-1]))
    with torch.no_grad():
        torch.testing.assert_close(logits, model(images), atol=1e-5, rtol=1e-4)


def test_recorded_attention_is_the_softmax_of_scaled_products():
    model, _ = network("scratch_vit", 32)
    images = torch.randn(1, 3, 32, 32)
    recorded = attention(model, images)[1]
    with torch.no_grad():
        tokens = model.tokens(images)
        for index, block in enumerate(model.blocks):
            products = block.attention.qkv(block.norm1(tokens))
            shape = (1, tokens.shape[1], 3, block.attention.heads, -1)
            query, key, _ = products.view(shape).permute(2, 0, 3, 1, 4)
            expected = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(dim=-1)
            torch.testing.assert_close(recorded[:, index], expected)
            tokens = block(tokens)


def test_masks_are_refused_and_other_functions_pass_through():
    query = torch.randn(1, 1, 3, 4)
    with AttentionTape() as tape:
        assert float(torch.softmax(torch.zeros(2), 0)[0]) == 0.5
        with pytest.raises(ExplainError, match="Masked"):
            F.scaled_dot_product_attention(query, query, query, is_causal=True)
    assert tape.weights == []
    F.scaled_dot_product_attention(query, query, query, is_causal=True)  # untouched outside


def test_position_biases_and_scales_are_those_of_torch():
    query, key, value = torch.randn(3, 1, 2, 5, 4)
    options = {"attn_mask": torch.randn(1, 2, 5, 5), "scale": 0.3}
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    with AttentionTape() as tape:
        result = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(tape.weights[0] @ value, expected)


def test_a_network_without_attention_is_an_error():
    model, _ = network("tiny_cnn", 32)
    with pytest.raises(ExplainError, match="no attention"):
        attention(model, torch.randn(1, 3, 32, 32))


def test_rollout_of_identity_attention_is_the_identity():
    layers = torch.eye(5).expand(2, 3, 5, 5)
    torch.testing.assert_close(rollout(layers), torch.eye(5).expand(2, 5, 5))


def test_rollout_by_hand():
    first = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    second = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    # (I + first) / 2 = [[.5, .5], [0, 1]]; (I + second) / 2 = [[.75, .25], [.5, .5]]
    expected = torch.tensor([[[0.375, 0.625], [0.25, 0.75]]])
    torch.testing.assert_close(rollout(torch.stack([first, second])[None]), expected)


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_rows_of_rollout_sum_to_one(tokens, blocks, seed):
    generator = torch.Generator().manual_seed(seed)
    layers = torch.rand(1, blocks, tokens, tokens, generator=generator).softmax(dim=-1)
    mixed = rollout(layers)
    assert bool((mixed >= 0).all())
    torch.testing.assert_close(mixed.sum(dim=-1), torch.ones(1, tokens))


def test_relevance_by_hand_and_for_zero_attention():
    nothing = torch.zeros(1, 3, 3)
    torch.testing.assert_close(relevance([nothing, nothing]), torch.eye(3)[None])
    first = torch.tensor([[[0.0, 2.0], [0.0, 0.0]]])
    second = torch.tensor([[[0.0, 3.0], [1.0, 0.0]]])
    # identity plus second, times identity plus first
    expected = torch.tensor([[[1.0, 5.0], [1.0, 3.0]]])
    torch.testing.assert_close(relevance([first, second]), expected)


@given(st.integers(0, 2**31), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_relevance_of_distributions_doubles_with_each_block(seed, blocks):
    """If each block passes on rows that sum to 1, every row of the total sums to 2 ** blocks."""
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.rand(1, 4, 4, generator=generator).softmax(dim=-1) for _ in range(blocks)]
    torch.testing.assert_close(relevance(layers).sum(dim=-1), torch.full((1, 4), 2.0**blocks))


def test_the_classifiers_attention_is_the_class_tokens_or_the_mean_of_patches():
    matrix = torch.arange(25.0).view(1, 5, 5)
    expected = matrix[0, 0, 1:].view(1, 2, 2)
    torch.testing.assert_close(looked_at(matrix, 1, mean_pooled=False), expected)
    expected = matrix[0, 1:, 1:].mean(dim=0).view(1, 2, 2)
    torch.testing.assert_close(looked_at(matrix, 1, mean_pooled=True), expected)


def test_two_classifiers_read_two_tokens():
    matrix = torch.arange(36.0).view(1, 6, 6)  # class token, distillation token, four patches
    expected = matrix[0, :2, 2:].mean(dim=0).view(1, 2, 2)
    torch.testing.assert_close(looked_at(matrix, 2, mean_pooled=False, read=2), expected)


def test_the_attention_of_a_patch_is_its_row():
    layers = torch.rand(1, 2, 3, 5, 5)
    seen = attention_from(layers, block=-1, head=2, token=3, prefix=1)
    torch.testing.assert_close(seen, layers[:, 1, 2, 3, 1:].view(1, 2, 2))
    mean = attention_from(layers, block=0, head=None, token=0, prefix=1)
    torch.testing.assert_close(mean, layers[:, 0].mean(dim=1)[:, 0, 1:].view(1, 2, 2))


@pytest.mark.parametrize(("tokens", "prefix"), [(6, 1), (1, 1), (0, 1)])
def test_tokens_that_form_no_square_are_refused(tokens, prefix):
    with pytest.raises(FerscopeError, match="do not form a square"):
        grid_side(tokens, prefix)


@pytest.mark.parametrize("method", ["attention", "rollout", "grad_rollout", "chefer"])
@pytest.mark.parametrize(
    ("key", "size", "more"),
    [("scratch_vit", 32, {}), ("scratch_vit", 32, {"pool": "mean"}), ("hf_vit_small", 64, {})],
)
def test_attention_maps_are_finite_and_not_constant(method, key, size, more):
    model, config = network(key, size, **more)
    model.requires_grad_(False)
    (one,) = explain(model, config, torch.randn(1, 3, size, size), [Target(2)], method)
    assert one.values.shape == (size, size)
    assert not one.blank
    assert one.values.min() >= 0
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("pool", ["token", "mean"])
def test_chefers_map_follows_the_positive_part_of_attention_times_gradient(pool):
    model, config = network("scratch_vit", 32, pool=pool)
    image = torch.randn(1, 3, 32, 32)
    with AttentionTape() as tape:
        score = model(image)[0, 2]
    gradients = torch.autograd.grad(score, tape.weights)
    assert any(bool((gradient < 0).any()) for gradient in gradients)
    layers = [
        (weights * gradient).relu().mean(dim=1).detach()
        for weights, gradient in zip(tape.weights, gradients, strict=True)
    ]
    total = relevance(layers)
    prefix = spec_of(config).prefix_tokens
    expected = looked_at(total - torch.eye(total.shape[-1]), prefix, mean_pooled=pool == "mean")
    _, maps = chefer(Question(model, config, image, [Target(2)]))
    torch.testing.assert_close(maps, expected)


def test_maps_differ_between_classes_and_heads():
    model, config = network("scratch_vit", 32)
    image = torch.randn(1, 3, 32, 32)
    for method, differs in (("chefer", True), ("grad_rollout", True), ("rollout", False)):
        maps = [explain(model, config, image, [Target(of)], method)[0].values for of in (0, 1)]
        assert (not np.allclose(*maps)) == differs, method
    heads = [
        explain(model, config, image, [None], "attention", Detail(block=3, head=head))[0].values
        for head in (0, 1, 2, 3)
    ]
    mean = explain(model, config, image, [None], "attention", Detail(block=3))[0].values
    np.testing.assert_allclose(np.mean(heads, axis=0), mean, rtol=1e-4)
    assert not np.allclose(heads[0], heads[1])
    for detail, message in ((Detail(head=4), "4 heads"), (Detail(block=8), "8 attention blocks")):
        with pytest.raises(ExplainError, match=message):
            explain(model, config, image, [None], "attention", detail)
