"""Kernels for training on a CPU: the same results, and only where they are meant to be used."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fer_core.engine import cpu_kernels
from fer_core.engine.cpu_kernels import depthwise, training_kernels

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side"),
    [(5, 1, 2, 7), (5, 2, 2, 9), (5, 2, 0, 11), (3, 1, 1, 4), (7, 3, 1, 10), (5, 1, 2, 1)],
)
def test_result_and_gradients_are_those_of_a_grouped_convolution(kernel, stride, padding, side):
    generator = torch.Generator().manual_seed(0)
    draw = {"generator": generator, "dtype": torch.float64}
    images = torch.randn(3, 4, side, side, **draw).requires_grad_()
    weight = torch.randn(4, 1, kernel, kernel, **draw).requires_grad_()
    expected = F.conv2d(images, weight, None, stride, padding, groups=4)
    got = depthwise(images, weight, stride, padding)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    outside = torch.randn(got.shape, **draw)
    wanted = torch.autograd.grad(expected, (images, weight), outside)
    result = torch.autograd.grad(got, (images, weight), outside)
    torch.testing.assert_close(result, wanted, rtol=1e-10, atol=1e-10)


def test_a_weights_gradient_worked_out_by_hand():
    """One channel, one picture of 2 x 2, a 5 x 5 kernel: its middle 3 x 3 meets the picture."""
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    weight = torch.zeros(1, 1, 5, 5, requires_grad=True)
    depthwise(images, weight, 1, 2).sum().backward()
    expected = torch.zeros(5, 5)
    # the weight at (dy, dx) from the middle meets the pixels that have a neighbour there
    expected[1:4, 1:4] = torch.tensor([[1.0, 3.0, 2.0], [4.0, 10.0, 6.0], [3.0, 7.0, 4.0]])
    torch.testing.assert_close(weight.grad[0, 0], expected)


@pytest.fixture
def asked(monkeypatch):
    """The kernel sizes with which `depthwise` was asked."""
    sizes, plain = [], cpu_kernels.depthwise

    def noting(images, weight, stride, padding):
        sizes.append(weight.shape[-1])
        return plain(images, weight, stride, padding)

    monkeypatch.setattr(cpu_kernels, "depthwise", noting)
    return sizes


def test_only_large_bfloat16_depthwise_kernels_are_replaced(asked):
    images = torch.randn(2, 4, 8, 8)
    large = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    others = [
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 8, 5, padding=2, groups=4),
        nn.Conv2d(4, 4, 5, padding=4, dilation=2, groups=4),
        nn.Conv2d(4, 4, (5, 1), groups=4),
        nn.Conv2d(4, 4, 5, padding="same", groups=4),
    ]
    with training_kernels(CPU):
        large(images)
    assert asked == []  # torch's choice is as fast in float32
    with torch.autocast("cpu", torch.bfloat16), training_kernels(CPU):
        for layer in others:
            layer(images)
        assert asked == []
        large(images)
        large(images[..., :7])  # not square
        assert asked == [5]
        F.conv2d(images, large.weight, groups=4)  # arguments by name
        F.conv2d(images, large.weight, None, (1, 2), 0, 1, 4)  # strides differ
    assert asked == [5, 5]
    with torch.autocast("cpu", torch.bfloat16):
        large(images)
        with training_kernels(torch.device("meta")):
            large(images)
    assert asked == [5, 5]  # nothing stays in place, and other devices keep torch's choice


def test_a_layer_has_the_output_and_gradients_of_autocast(asked):
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, 5, padding=2, groups=6)
    images = torch.randn(16, 6, 8, 8)

    def gradients() -> tuple[torch.Tensor, ...]:
        layer.zero_grad()
        answer = layer(images)
        answer.float().square().sum().backward()
        return answer.detach(), layer.weight.grad.clone(), layer.bias.grad.clone()

    with torch.autocast("cpu", torch.bfloat16):
        plain = gradients()
        with training_kernels(CPU):
            replaced = gradients()
    assert asked == [5]
    assert replaced[0].dtype == plain[0].dtype == torch.bfloat16
    assert replaced[1].dtype == torch.float32
    for first, second in zip(replaced, plain, strict=True):
        scale = float(second.float().abs().max())
        torch.testing.assert_close(first.float(), second.float(), rtol=0, atol=0.02 * scale)


def test_layers_over_the_memory_limit_keep_torchs_kernel(asked, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "_MOST_PRODUCTS", 4 * 8**4 - 1)
    layer = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    with torch.autocast("cpu", torch.bfloat16), training_kernels(CPU):
        layer(torch.randn(1, 4, 8, 8))
        assert asked == []
        layer(torch.randn(1, 4, 7, 7))
    assert asked == [5]


def test_attention_is_explicit_inside_the_context_and_fused_outside():
    assert torch.backends.cuda.flash_sdp_enabled()
    with training_kernels(CPU):
        assert not torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
    with training_kernels(torch.device("meta")):
        assert torch.backends.cuda.flash_sdp_enabled()


def test_the_switch_keeps_torchs_kernels(asked, monkeypatch):
    monkeypatch.setenv("FERSCOPE_CPU_KERNELS", "0")
    layer = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    with torch.autocast("cpu", torch.bfloat16), training_kernels(CPU):
        layer(torch.randn(2, 4, 8, 8))
        assert torch.backends.cuda.flash_sdp_enabled()
    assert asked == []
