"""A readable Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929).

Images are split into patches, which are embedded as tokens. A class token is prepended and learned
position embeddings are added. Blocks of self-attention and MLP follow; the final class token gives
the logits. With a convolutional stem the tokens come from a few convolutions instead of patches,
which helps where training images are few (Xiao et al. 2021, arXiv:2106.14881).
"""

from dataclasses import dataclass

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: Size of a token.
        heads: Number of heads; divides `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Applies self-attention to tokens (N, T, width); keeps the shape."""
        count, length, width = tokens.shape
        shape = (count, length, 3, self.heads, width // self.heads)
        query, key, value = self.qkv(tokens).view(shape).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        joined: Tensor = self.proj(mixed.transpose(1, 2).reshape(tokens.shape))
        return joined


class Block(nn.Module):
    """Pre-norm transformer block: self-attention and MLP with residual connections."""

    def __init__(self, width: int, heads: int, drop_rate: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(drop_rate),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps (N, T, width) to the same shape."""
        tokens = tokens + self.drop_path(self.attention(self.norm1(tokens)))
        result: Tensor = tokens + self.drop_path(self.perceptron(self.norm2(tokens)))
        return result


@dataclass(frozen=True)
class ViTShape:
    """Sizes of a vision transformer.

    Attributes:
        image_size: Input side in pixels.
        patch_size: Side of a patch in pixels; divides `image_size`.
        width: Size of a token.
        depth: Number of blocks.
        heads: Attention heads per block; divides `width`.
        conv_stem: Whether convolutions make the tokens instead of one linear map per patch;
            `patch_size` must then be a power of 2.
    """

    image_size: int
    patch_size: int
    width: int = 192
    depth: int = 8
    heads: int = 4
    conv_stem: bool = False


class ScratchViT(nn.Module):
    """The complete network.

    Args:
        classes: Number of logits.
        shape: Sizes of the network.
        drop_rate: Dropout rate in the MLPs.
        drop_path: Stochastic depth rate of the last block; it increases linearly with depth.
        pool: Input of the classifier: the class token, or the mean of the patch tokens.
    """

    def __init__(
        self,
        classes: int,
        shape: ViTShape,
        *,
        drop_rate: float = 0.0,
        drop_path: float = 0.0,
        pool: str = "token",
    ) -> None:
        super().__init__()
        if pool not in ("token", "mean"):
            raise ValueError(f"pool must be token or mean, not {pool!r}")
        self.pool = pool
        width, depth = shape.width, shape.depth
        patches = (shape.image_size // shape.patch_size) ** 2
        self.patches = _stem(shape)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + patches, width))
        skips = [drop_path * index / max(1, depth - 1) for index in range(depth)]
        self.blocks = nn.Sequential(*(Block(width, shape.heads, drop_rate, skip) for skip in skips))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        self.apply(_initialise)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def tokens(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to tokens (N, 1 + patches, width), the class token first."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(images.shape[0], -1, -1)
        return torch.cat([class_token, patches], dim=1) + self.positions

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to logits (N, classes)."""
        tokens = self.norm(self.blocks(self.tokens(images)))
        summary = tokens[:, 0] if self.pool == "token" else tokens[:, 1:].mean(dim=1)
        logits: Tensor = self.head(summary)
        return logits


def _stem(shape: ViTShape) -> nn.Module:
    """Returns what maps images (N, 3, S, S) to tokens (N, width, S / patch, S / patch)."""
    width, patch = shape.width, shape.patch_size
    if not shape.conv_stem:  # a convolution whose stride equals its kernel size
        return nn.Conv2d(3, width, patch, stride=patch)
    halvings = patch.bit_length() - 1
    if patch != 2**halvings:
        raise ValueError(f"the patch size of a convolutional stem is a power of 2, not {patch}")
    layers: list[nn.Module] = []
    before = 3
    for step in reversed(range(halvings)):  # every convolution halves the side
        channels = width // 2**step
        layers += [
            nn.Conv2d(before, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        before = channels
    return nn.Sequential(*layers, nn.Conv2d(before, width, 1))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
