"""dlib's face-recognition ResNet: 29 convolutions, for the initial weights `face`.

King 2017, described in https://github.com/davisking/dlib-models: ResNet-34 (He et al. 2016,
arXiv:1512.03385) with fewer blocks and half the channels. Convolutions that halve the resolution
have no padding; their shortcut is a 2 x 2 average pooling whose missing channels are zero.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError

STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels of each stage, its blocks, and whether its first block halves the resolution."""

MIN_SIZE = 32
"""Smallest input side in pixels. Below 103 px the last maps are padded, because they are smaller
than a kernel."""


class FaceBlock(nn.Module):
    """A residual block of two 3 x 3 convolutions."""

    def __init__(self, inputs: int, channels: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.added = channels - inputs
        stride, padding = (2, 0) if halves else (1, 1)
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.act1 = nn.ReLU()
        self.act2 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, D, H, W), or to half of the height and width, rounded down."""
        if self.halves and (missing := max(3 - min(maps.shape[2:]), 0)):
            maps = F.pad(maps, (0, missing, 0, missing))
        residual = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(maps)))))
        if self.halves:
            maps = F.pad(F.avg_pool2d(maps, 2), (0, 0, 0, 0, 0, self.added))
            rows, columns = (maps.shape[axis] - residual.shape[axis] for axis in (2, 3))
            residual = F.pad(residual, (0, columns, 0, rows))
        result: Tensor = self.act2(maps + residual)
        return result


class FaceResNet(nn.Module):
    """dlib's face-recognition ResNet with a linear classifier on its 256 pooled features."""

    def __init__(self, classes: int, drop_rate: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 7, 2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        inputs, stages = 32, []
        for channels, count, halves in STAGES:
            blocks = [
                FaceBlock(inputs if first else channels, channels, halves=halves and first)
                for first in (number == 0 for number in range(count))
            ]
            stages.append(nn.Sequential(*blocks))
            inputs = channels
        self.stages = nn.Sequential(*stages)
        self.drop = nn.Dropout(drop_rate)
        self.classifier = nn.Linear(inputs, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to the maps of the last stage, (N, 256, h, w)."""
        maps: Tensor = self.stages(self.stem(images))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to logits (N, K)."""
        pooled = self.forward_features(images).mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.drop(pooled))
        return logits


def build_face_resnet(config: ModelConfig, classes: int) -> nn.Module:
    """Builds the network of a recipe's model section with random weights.

    Raises:
        RecipeError: If `drop_path` is set.
    """
    if config.drop_path:
        raise RecipeError("dlib's ResNet does not support model.drop_path. Remove it.")
    return FaceResNet(classes, config.drop_rate)
