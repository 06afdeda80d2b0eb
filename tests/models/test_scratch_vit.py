"""The scratch ViT: shapes, attention, tokens and pooling."""

import pytest
import torch

from fer_core.models.scratch_vit import Attention, ScratchViT, ViTShape


def vit(**options) -> ScratchViT:
    torch.manual_seed(0)
    return ScratchViT(5, ViTShape(32, 8, width=16, depth=3, heads=2), **options).eval()


def test_attention_maps_are_distributions_over_all_tokens():
    maps = vit().attention_maps(torch.randn(2, 3, 32, 32))
    assert maps.shape == (2, 3, 2, 17, 17)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 3, 2, 17))


def test_attention_weights_are_those_of_forward():
    torch.manual_seed(0)
    attention = Attention(16, 2)
    tokens = torch.randn(1, 5, 16)
    values = attention.qkv(tokens).view(1, 5, 3, 2, 8).permute(2, 0, 3, 1, 4)[2]
    mixed = (attention.weights(tokens) @ values).transpose(1, 2).reshape(1, 5, 16)
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


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="token or mean"):
        vit(pool="max")
