"""dlib's ResNet: sizes of its maps, its shortcuts by hand, and its smallest input."""

import pytest
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models import build_model
from fer_core.models.face_resnet import MIN_SIZE, FaceBlock


def network(side: int) -> nn.Module:
    return build_model(ModelConfig(architecture="resnet_face", image_size=side), 7).eval()


@pytest.mark.parametrize(
    ("side", "expected"),
    [(103, [24, 12, 6, 3, 1]), (112, [26, 13, 6, 3, 1]), (150, [35, 17, 8, 4, 2])],
)
def test_maps_have_the_sides_of_the_original(side, expected):
    model = network(side)
    maps, sides = model.stem(torch.zeros(1, 3, side, side)), []
    for stage in model.stages:
        maps = stage(maps)
        sides.append(maps.shape[-1])
    assert sides == expected
    assert maps.shape[1] == 256
    assert model(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_maps_that_are_smaller_than_a_kernel_are_padded():
    assert network(32)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_it_has_29_convolutions_and_the_weights_of_the_original():
    model = network(112)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 29
    kernels = sum(layer.weight.numel() for layer in convolutions)
    assert kernels == 3 * 32 * 49 + 9 * (
        6 * 32**2 + (32 * 64 + 7 * 64**2) + (64 * 128 + 5 * 128**2) + (128 * 256 + 7 * 256**2)
    )


def test_a_smaller_input_is_refused():
    with pytest.raises(RecipeError, match=f"at least {MIN_SIZE} px, not 24"):
        network(24)
    with pytest.raises(RecipeError, match=r"model\.drop_path. Remove it"):
        build_model(ModelConfig(architecture="resnet_face", image_size=112, drop_path=0.1), 7)


def test_the_shortcut_of_a_halving_block_by_hand():
    """Without a residual, the output is the average pooling, then channels of zero."""
    block = FaceBlock(1, 2, halves=True).eval()
    nn.init.zeros_(block.conv2.weight)
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    assert block(maps)[0].tolist() == [[[2.5, 4.5], [10.5, 12.5]], [[0, 0], [0, 0]]]


def test_the_residual_of_a_halving_block_by_hand():
    """On 4 px the unpadded convolution has one position; zeros are added below and to the right."""
    block = FaceBlock(1, 1, halves=True).eval()
    nn.init.ones_(block.conv1.weight)
    nn.init.zeros_(block.conv2.weight)
    block.conv2.weight.data[0, 0, 1, 1] = 2
    block.bn1.eps = block.bn2.eps = 0
    result = block(torch.ones(1, 1, 4, 4))
    assert result[0, 0].tolist() == [[1 + 2 * 9, 1], [1, 1]]
