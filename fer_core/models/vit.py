"""Registration of Vision Transformers: timm, transformers and `scratch_vit`."""

from collections.abc import Callable
from typing import Any, cast

import timm
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.external import LogitsOnly
from fer_core.models.registry import HALF, ModelSpec, State, TimmCall, register
from fer_core.models.resampling import resampled
from fer_core.models.scratch_vit import ScratchViT, ViTShape

_REFERENCE = "Dosovitskiy et al. 2021, arXiv:2010.11929"


def _timm_call(name: str) -> TimmCall:
    def call(config: ModelConfig) -> tuple[str, dict[str, Any]]:
        options: dict[str, Any] = {
            "img_size": config.image_size,
            "global_pool": {"token": "token", "mean": "avg"}[config.pool],
            "fc_norm": False,  # keeps the final norm's name for both kinds of pooling
        }
        if config.patch_size is not None:
            options["patch_size"] = config.patch_size
        return name, options

    return call


def _timm_vit(name: str) -> Callable[[ModelConfig, int], nn.Module]:
    def build(config: ModelConfig, classes: int) -> nn.Module:
        _, options = _timm_call(name)(config)
        model: nn.Module = timm.create_model(
            name,
            pretrained=False,
            num_classes=classes,
            drop_rate=config.drop_rate,
            drop_path_rate=config.drop_path,
            **options,
        )
        return model

    return build


def _resampled(state: State, model: nn.Module) -> State:
    """Resamples position and patch embeddings to the network's, as timm does."""
    fitted: State = checkpoint_filter_fn(dict(state), cast(VisionTransformer, model))
    return fitted


def _scratch_vit(depth: int, *, conv_stem: bool) -> Callable[[ModelConfig, int], nn.Module]:
    def build(config: ModelConfig, classes: int) -> nn.Module:
        patch = config.patch_size or 8
        if conv_stem and patch.bit_count() != 1:
            raise RecipeError(
                f"The convolutional stem halves the side repeatedly, so it has no patches of "
                f"{patch} px. Set model.patch_size to 4, 8 or 16."
            )
        return ScratchViT(
            classes,
            ViTShape(config.image_size, patch, depth=depth, conv_stem=conv_stem),
            drop_rate=config.drop_rate,
            drop_path=config.drop_path,
            pool=config.pool,
        )

    return build


def _hf_vit(width: int, depth: int, heads: int) -> Callable[[ModelConfig, int], nn.Module]:
    def build(config: ModelConfig, classes: int) -> nn.Module:
        # a slow import that no other architecture needs
        from transformers import ViTConfig, ViTForImageClassification

        if config.pool != "token":
            raise RecipeError(
                "transformers' ViT classifier reads the class token; set model.pool=token."
            )
        if config.drop_path:
            raise RecipeError(
                "transformers' ViT does not support stochastic depth. Remove model.drop_path."
            )
        options: dict[str, Any] = {"num_labels": classes}
        shape = ViTConfig(
            image_size=config.image_size,
            patch_size=config.patch_size or 16,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=config.drop_rate,
            **options,
        )
        return LogitsOnly(ViTForImageClassification(shape))

    return build


_HF_4_TO_5 = {
    "vit.encoder.layer.": "vit.layers.",
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


def _hf_names(state: State, model: nn.Module) -> State:
    """Renames checkpoints of transformers 4 or 5, of the backbone or of the classifier.

    Position and patch embeddings are resampled to the network's.
    """
    renamed = {}
    for key, value in state.items():
        name = key if key.startswith(("vit.", "classifier.")) else f"vit.{key}"
        for old, new in _HF_4_TO_5.items():
            name = name.replace(old, new)
        renamed[f"model.{name}"] = value
    return resampled(renamed, model.state_dict())


_CONV_STEM = "Xiao et al. 2021, arXiv:2106.14881"
for _key, _title, _depth, _conv_stem, _paper in (
    ("scratch_vit", "ViT from scratch", 8, False, _REFERENCE),
    # one block fewer, as in the paper: the stem costs about as much
    ("conv_stem_vit", "ViT, convolutional stem", 7, True, _CONV_STEM),
):
    register(
        ModelSpec(
            key=_key,
            title=_title,
            family="vit",
            build=_scratch_vit(_depth, conv_stem=_conv_stem),
            mean=HALF,
            std=HALF,
            cam_layer=f"blocks.{_depth - 2}",
            head="head",
            min_size=32,
            licence="MIT",
            reference=_paper,
            prefix_tokens=1,
            layout="tokens",
            inverts_ablation_cam=True,
            patch=8,
            lora_targets=("attention.qkv", "attention.proj"),
        )
    )

for _key, _title, _name, _hub in (
    ("vit_tiny", "ViT-Tiny", "vit_tiny_patch16_224", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    ("vit_base", "ViT-Base", "vit_base_patch16_224", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
):
    register(
        ModelSpec(
            key=_key,
            title=_title,
            family="vit",
            build=_timm_vit(_name),
            mean=HALF,
            std=HALF,
            cam_layer="blocks.10",  # of 12
            head="head",
            min_size=32,
            licence="Apache-2.0 (timm)",
            reference=_REFERENCE,
            imagenet=f"hub:timm/{_hub}",
            prefix_tokens=1,
            layout="tokens",
            inverts_ablation_cam=True,
            patch=16,
            lora_targets=("attn.qkv", "attn.proj"),
            adapt=_resampled,
            timm_call=_timm_call(_name),
        )
    )

for _key, _title, _shape, _layer, _source in (
    ("hf_vit_small", "Hugging Face ViT, small", (192, 6, 3), 4, None),
    (
        "hf_vit_base",
        "Hugging Face ViT-Base",
        (768, 12, 12),
        10,
        "google/vit-base-patch16-224-in21k",
    ),
):
    register(
        ModelSpec(
            key=_key,
            title=_title,
            family="vit",
            build=_hf_vit(*_shape),
            mean=HALF,
            std=HALF,
            cam_layer=f"model.vit.layers.{_layer}",
            head="model.classifier",
            min_size=32,
            licence="Apache-2.0 (transformers)",
            reference=_REFERENCE,
            imagenet=f"hub:{_source}" if _source else None,
            prefix_tokens=1,
            layout="tokens",
            inverts_ablation_cam=True,
            patch=16,
            lora_targets=("q_proj", "k_proj", "v_proj", "o_proj"),
            adapt=_hf_names,
        )
    )
