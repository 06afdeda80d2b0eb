"""Models as other projects publish them: tiny, with random weights, in their real file formats."""

import json
from pathlib import Path

import numpy as np
import onnx
import timm
import torch
from onnx import TensorProto, helper
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

SHUFFLED = ("sadness", "Happy", "anger", "disgust", "surprised", "Neutral", "fear")
"""Seven class names as a hub model may have them; `CANONICAL[i]` is what name i means."""

CANONICAL = ("sad", "happy", "angry", "disgust", "surprise", "neutral", "fear")

EIGHT = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip
"""Classes of FER+ in its own order."""


def hub_vit(folder: Path, names: tuple[str, ...] = SHUFFLED, side: int = 32) -> nn.Module:
    """Saves a tiny transformers ViT with its image processor; returns it in evaluation mode."""
    torch.manual_seed(1)
    config = ViTConfig(
        image_size=side, patch_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32, num_labels=len(names), id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    with torch.no_grad():  # the initial head is so small that all answers are alike
        model.classifier.weight.normal_(std=1.0)
    model.save_pretrained(folder)
    processor = {
        "do_normalize": True, "do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255,
        "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3],
        "size": {"height": side, "width": side}, "image_processor_type": "ViTImageProcessor",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model


def hub_cache(root: Path, folder: Path, name: str, commit: str = "c" * 40) -> None:
    """Lays a model's folder out as the hub's local cache of `name` at its branch main."""
    repository = root / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)


def timm_state(path: Path, classes: int = 7, architecture: str = "convnext_atto") -> nn.Module:
    """Saves a timm network as a training script does, in a DataParallel's checkpoint."""
    torch.manual_seed(2)
    model = timm.create_model(architecture, num_classes=classes).eval()
    with torch.no_grad():
        model.get_classifier().weight.normal_(std=0.1)
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "best_acc1": 0.7}, path)
    return model


def onnx_net(
    path: Path,
    classes: int = 8,
    shape: tuple[int | str, ...] = ("batch", "channels", "height", "width"),
    *,
    channels: int = 1,
    half: bool = False,
    softmax: bool = False,
) -> Path:
    """Saves a tiny convolutional classifier; with channels last if the shape ends in channels."""
    random = np.random.default_rng(3)
    dtype = np.float16 if half else np.float32
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    last = shape[-1] in (1, 3) or shape[-1] == "channels"
    tensors = {
        "kernel": random.normal(size=(6, channels, 3, 3)),
        "weights": random.normal(size=(6, classes)),
        "bias": random.normal(size=classes),
    }
    nodes = [helper.make_node("Transpose", ["images"], ["x"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        helper.make_node("Conv", ["x" if last else "images", "kernel"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["answers"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand_in",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("answers", kind, [shape[0], classes])],
        [
            helper.make_tensor(name, kind, values.shape, values.astype(dtype).ravel())
            for name, values in tensors.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path
