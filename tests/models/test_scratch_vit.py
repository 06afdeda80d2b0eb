"""The scratch ViT: shapes, attention, tokens and pooling."""

import pytest
import torch

from fer_core.models.scratch_vit import Attention, ScratchViT, ViTShape


def vit(**options) -> ScratchViT:
    torch.manual_seed(0)
    return ScratchViT(5, ViTShape(32, 8, width=16, depth=3, heads=2), **options).eval()


def test_attention_weights_values_by_the_softmax_of_scaled_products():
    torch.manual_seed(0)
    attention = Attention(16, 2)
    tokens = torch.randn(1, 5, 16)
    query, key, value = attention.qkv(tokens).view(1, 5, 3, 2, 8).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(2, 3) / 8**0.5).softmax(dim=-1)
    mixed = (weights @ value).transpose(1, 2).reshape(1, 5, 16)
    torch.testing.assert_close(attention(tokens), attention.proj(mixed))


def test_a_patch_is_one_token():
    model = vit()
    image = torch.zeros(1, 3, 32, 32)
    changed = image.clone()
    changed[:, :, 8:16, 16:24] = 1  # second row, third column: token 1 + 4 + 2
    difference = (model.tokens(changed) - model.tokens(image)).abs().sum(-1)[0]
    assert difference.nonzero().flatten().tolist() == [7]


def test_without_positions_the_order_of_patches_does_not_matter():
    model = vit()
    with torch.no_grad():
        model.positions.zero_()
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(model(image), model(image.roll(8, dims=-1)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pool", ["token", "mean"])
def test_every_weight_gets_a_gradient_with_both_poolings(pool):
    model = vit(pool=pool)
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    without_gradient = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without_gradient == []


def test_a_convolutional_stem_makes_as_many_tokens_as_patches():
    torch.manual_seed(0)
    shape = ViTShape(64, 8, width=16, depth=1, heads=2, conv_stem=True)
    model = ScratchViT(5, shape).eval()
    assert model.tokens(torch.randn(2, 3, 64, 64)).shape == (2, 1 + 8 * 8, 16)
    convolutions = [layer for layer in model.patches if isinstance(layer, torch.nn.Conv2d)]
    sizes = [(layer.in_channels, layer.out_channels, layer.stride[0]) for layer in convolutions]
    assert sizes == [(3, 4, 2), (4, 8, 2), (8, 16, 2), (16, 16, 1)]


def test_tokens_of_a_convolutional_stem_see_their_neighbours_but_not_the_whole_image():
    torch.manual_seed(0)
    shape = ViTShape(64, 8, width=16, depth=1, heads=2, conv_stem=True)
    model = ScratchViT(5, shape).eval()
    image = torch.zeros(1, 3, 64, 64)
    changed = image.clone()
    changed[:, :, 8:16, 8:16] = 1
    difference = (model.tokens(changed) - model.tokens(image)).abs().sum(-1)[0, 1:]
    rows, columns = difference.view(8, 8).nonzero().T.tolist()
    # each convolution reaches one pixel to the left and above: 1 + 2 + 4 pixels before the patch
    assert {*rows} == {1, 2} == {*columns}


@pytest.mark.parametrize("patch", [6, 12])
def test_a_convolutional_stem_needs_a_power_of_two(patch):
    with pytest.raises(ValueError, match="power of 2"):
        ScratchViT(5, ViTShape(48, patch, width=16, heads=2, conv_stem=True))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="token or mean"):
        vit(pool="max")
