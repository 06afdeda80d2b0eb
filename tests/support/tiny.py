"""Tiny networks that train in milliseconds; importing this module registers them."""

import timm
import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.models.registry import HALF, ModelSpec, architectures, register


class TinyCnn(nn.Module):
    """One convolution, dropout, and a linear classifier; no batch statistics."""

    def __init__(self, classes: int, drop_rate: float) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
        self.drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(8 * 16, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.features(images), 4)
        return self.head(self.drop(pooled.flatten(1)))


class TwoHeadedCnn(nn.Module):
    """Batch norm, a layer for LoRA, and the mean of a convolution and a linear layer as logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.proj = nn.Linear(8, 8)
        self.head = nn.Conv2d(8, classes, 1)
        self.head_dist = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = self.proj(self.features(images).mean(dim=(2, 3)))
        return (self.head(pooled[..., None, None]).flatten(1) + self.head_dist(pooled)) / 2


class TwoChannels(nn.Module):
    """Copies two input channels; the logits are 2 a - 3 b and b of their means a and b."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1))
            self.head.weight.copy_(torch.tensor([[2.0, -3.0], [0.0, 1.0]]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).mean(dim=(2, 3)))


def _cnn(config: ModelConfig, classes: int) -> nn.Module:
    return TinyCnn(classes, config.drop_rate)


def _vit(config: ModelConfig, classes: int) -> nn.Module:
    return timm.models.VisionTransformer(
        img_size=config.image_size,
        patch_size=8,
        embed_dim=16,
        depth=2,
        num_heads=2,
        num_classes=classes,
        drop_path_rate=config.drop_path,
    )


def _spec(key: str, build, family: str, layer: str, **more) -> ModelSpec:
    return ModelSpec(
        key=key,
        title=key,
        family=family,
        build=build,
        mean=HALF,
        std=HALF,
        cam_layer=layer,
        head="head",
        min_size=16,
        licence="MIT",
        reference="tests",
        **more,
    )


if "tiny_cnn" not in architectures():
    register(_spec("tiny_cnn", _cnn, "cnn", "features"))
    register(
        _spec(
            "tiny_two_heads",
            lambda _, classes: TwoHeadedCnn(classes),
            "cnn",
            "features",
            more_heads=("head_dist",),
            lora_targets=("proj",),
        )
    )
    targets = ("attn.qkv", "attn.proj")
    register(
        _spec(
            "tiny_vit",
            _vit,
            "vit",
            "blocks.0",
            prefix_tokens=1,
            layout="tokens",
            patch=8,
            lora_targets=targets,
        )
    )
