"""Architectures of torchvision, such as `torchvision:resnet18`."""

import inspect
from typing import Any

from torch import nn
from torchvision import models

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.external.base import Facts, as_rgb, plain_options, similar_names
from fer_core.models.registry import IMAGENET_MEAN, IMAGENET_STD, State
from fer_core.models.resampling import resampled


class TorchvisionLibrary:
    """torchvision's image classifiers."""

    def resolved(self, config: ModelConfig) -> ModelConfig:
        """Fills in mean and standard deviation of the preset of the default weights."""
        name = config.architecture.removeprefix("torchvision:")
        if name not in models.list_models(module=models):
            similar = similar_names(name, models.list_models(module=models))
            raise RecipeError(
                f"torchvision has no image classifier {name!r}.{similar} Search: python -c "
                '"from torchvision import models; print(models.list_models(module=models))".'
            )
        if config.pool != "token" or config.drop_path or config.drop_rate or config.patch_size:
            raise RecipeError(
                f"Set options of {config.architecture} with model.options, not with model.pool, "
                "model.patch_size, model.drop_rate or model.drop_path."
            )
        if {"weights", "num_classes"} & set(config.options) or not plain_options(config.options):
            raise RecipeError(
                f"model.options of {config.architecture} must be plain values, without weights "
                "and num_classes."
            )
        preset = _weights(name).transforms()
        return config.model_copy(
            update={
                "mean": config.mean or as_rgb(getattr(preset, "mean", IMAGENET_MEAN)),
                "std": config.std or as_rgb(getattr(preset, "std", IMAGENET_STD)),
            }
        )

    def build(self, config: ModelConfig, classes: int) -> nn.Module:
        """Builds the network; one of a fixed input size is built for `image_size`."""
        name = config.architecture.removeprefix("torchvision:")
        options: dict[str, Any] = {"num_classes": classes, **config.options}
        if name.startswith("vit_"):
            options["image_size"] = config.image_size
        if "init_weights" in inspect.signature(models.get_model_builder(name)).parameters:
            options.setdefault("init_weights", False)
        if name in ("googlenet", "inception_v3"):
            options |= {"aux_logits": False, "init_weights": True}
        try:
            model: nn.Module = models.get_model(name, weights=None, **options)
        except Exception as error:  # constructors raise many exception types
            raise RecipeError(
                f"torchvision cannot build {name} with these options: {error}"
            ) from error
        return model

    def default_size(self, architecture: str) -> int | None:
        """Returns the side of the crops that the default weights were evaluated on."""
        name = architecture.removeprefix("torchvision:")
        if name not in models.list_models(module=models):
            return None
        crop = getattr(_weights(name).transforms(), "crop_size", [224])
        return int(crop[0] if isinstance(crop, list | tuple) else crop)

    def facts(self, config: ModelConfig, model: nn.Module) -> Facts:
        """Returns torchvision's statements about the default weights."""
        name = config.architecture.removeprefix("torchvision:")
        weights = _weights(name)
        return Facts(
            title=f"{name} (torchvision)",
            licence="BSD-3-Clause (torchvision); weights: not stated",
            reference=weights.meta.get("recipe", "https://docs.pytorch.org/vision"),
            pretrained=f"url:{weights.url}",
            mean_pooled=False,
            adapt=_resampled,
        )


def _weights(name: str) -> Any:  # noqa: ANN401 (torchvision's enumerations)
    return models.get_model_weights(name).DEFAULT


def _resampled(state: State, target: nn.Module) -> State:
    return resampled(state, target.state_dict())
