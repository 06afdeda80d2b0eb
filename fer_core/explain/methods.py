"""Registry of explanation methods, and `explain`, which runs one of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fer_core.config import ModelConfig
from fer_core.explain import attention, cam, gradients, perturbation
from fer_core.explain.saliency import (
    Detail,
    ExplainError,
    LogitsFunction,
    Question,
    SaliencyMap,
    Target,
    to_side,
)
from fer_core.explain.tables import BASELINES, MEMBERS
from fer_core.models import ModelSpec, spec_of

ALL = ("cnn", "vit", "other")


@dataclass(frozen=True)
class Method:
    """An explanation method; pages and commands read here what a method can do.

    Attributes:
        key: Name in files and addresses.
        title: Display name.
        summary: One sentence on what high values mean.
        run: Returns logits (N, K) and signed maps (N, h, w) on any grid.
        reference: Paper.
        families: Supported architecture families.
        needs_network: Whether it needs a network; otherwise any function to logits works.
        by_class: Whether the map depends on the target.
        reads_layer: Whether it reads the output of a layer that `Detail.module` can select.
        reads_head: Whether it reads an attention block and head that `Detail.block` and
            `Detail.head` can select.
    """

    key: str
    title: str
    summary: str
    run: Callable[[Question], tuple[Tensor, Tensor]]
    reference: str
    families: tuple[str, ...] = ALL
    needs_network: bool = True
    by_class: bool = True
    reads_layer: bool = False
    reads_head: bool = False

    @property
    def baseline(self) -> bool:
        """Whether the map ignores the model; a faithful method beats the baselines."""
        return self.key in BASELINES

    def refusal(self, spec: ModelSpec) -> str:
        """Returns why the method does not support an architecture; empty if it does."""
        if spec.family not in self.families:
            return "it has no blocks that attend from all tokens to all tokens"
        if self.reads_layer and not spec.cam_layer:
            return "none of its layers returns a map in the order of the image's positions"
        if self.key == "layer_cam" and spec.inverts_layer_cam:
            return "negative activations carry evidence, and the map would point away from it"
        if self.key == "ablation_cam" and spec.inverts_ablation_cam:
            return "its layer has values of either sign, and the map could point away from it"
        return ""

    @property
    def reads_depth(self) -> bool:
        """Whether the depth at which the method reads the network can be selected."""
        return self.reads_layer or self.reads_head


METHODS: dict[str, Method] = {
    method.key: method
    for method in (
        Method(
            "grad_cam", "Grad-CAM", "Activations, weighted by their mean gradient for the class.",
            cam.grad_cam, "Selvaraju et al. 2017, arXiv:1610.02391", reads_layer=True,
        ),
        Method(
            "grad_cam_pp", "Grad-CAM++",
            "Grad-CAM with weights for evidence at several positions.",
            cam.grad_cam_plus_plus, "Chattopadhyay et al. 2018, arXiv:1710.11063",
            reads_layer=True,
        ),
        Method(
            "hires_cam", "HiRes-CAM", "Gradient x activation for the class, at each position.",
            cam.hires_cam, "Draelos and Carin 2020, arXiv:2011.08891", reads_layer=True,
        ),
        Method(
            "layer_cam", "Layer-CAM", "HiRes-CAM with positive gradients only.",
            cam.layer_cam, "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943", reads_layer=True,
        ),
        Method(
            "eigen_cam", "Eigen-CAM",
            "First principal component of the activations; the same for every class.",
            cam.eigen_cam, "Muhammad and Yeasin 2020, arXiv:2008.00299", by_class=False,
            reads_layer=True,
        ),
        Method(
            "ablation_cam", "Ablation-CAM",
            "Activations, weighted by the drop of the class logit without them.",
            cam.ablation_cam, "Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.9093360",
            reads_layer=True,
        ),
        Method(
            "attention", "Attention, last block",
            "Attention of the class token to each patch, or the mean over patches where the "
            "classifier reads their mean; the same for every class.",
            attention.last_attention, "Dosovitskiy et al. 2021, arXiv:2010.11929",
            families=("vit",), by_class=False, reads_head=True,
        ),
        Method(
            "rollout", "Attention rollout",
            "Attention multiplied over all blocks; the same for every class.",
            attention.attention_rollout, "Abnar and Zuidema 2020, arXiv:2005.00928",
            families=("vit",), by_class=False,
        ),
        Method(
            "grad_rollout", "Gradient rollout",
            "Attention weighted by its gradient for the class, multiplied over all blocks.",
            attention.gradient_rollout, "Gildenblat 2020, vit-explain, after arXiv:2005.00928",
            families=("vit",),
        ),
        Method(
            "chefer", "Chefer relevance",
            "Gradient x attention for the class, accumulated over all blocks.",
            attention.chefer, "Chefer et al. 2021, arXiv:2103.15679", families=("vit",),
        ),
        Method(
            "integrated_gradients", "Integrated gradients",
            "Gradient of the class logit, integrated from a plain colour to the face.",
            gradients.integrated_gradients, "Sundararajan et al. 2017, arXiv:1703.01365",
        ),
        Method(
            "smoothed_gradients", "Smoothed gradients",
            "Gradient of the class's log-odds, integrated from a plain colour and from a blurred "
            "face to the face, and smoothed.",
            gradients.smoothed_gradients, "after Sundararajan et al. 2017, arXiv:1703.01365",
        ),
        Method(
            "fast_gradients", "Fast gradients",
            "Smoothed gradients with one path from the mean of both, fewer points and a wider "
            "blur.",
            gradients.fast_gradients, "after Sundararajan et al. 2017, arXiv:1703.01365",
        ),
        Method(
            "occlusion", "Occlusion", "Drop of the class logit when the position is covered.",
            perturbation.occlusion, "Zeiler and Fergus 2014, arXiv:1311.2901",
            needs_network=False,
        ),
        Method(
            "random", "Baseline: random", "Smooth noise, independent of the model.",
            perturbation.random_baseline, "baseline", needs_network=False, by_class=False,
        ),
        Method(
            "centre", "Baseline: centre", "A bump in the centre of every image.",
            perturbation.centre_baseline, "baseline", needs_network=False, by_class=False,
        ),
    )
}  # fmt: skip
"""All methods by key; baselines come last."""


def method_of(key: str) -> Method:
    """Returns a method.

    Raises:
        ExplainError: If there is no such method; the message lists the known ones.
    """
    try:
        return METHODS[key]
    except KeyError:
        raise ExplainError(f"There is no method {key!r}. Known: {', '.join(METHODS)}.") from None


def title_of(key: str) -> str:
    """Returns the display name of a method or of `MEMBERS`."""
    return "Members' maps" if key == MEMBERS else method_of(key).title


def methods_for(config: ModelConfig | None) -> list[Method]:
    """Returns the methods that support an architecture; None means any function to logits."""
    if config is None:
        return [method for method in METHODS.values() if not method.needs_network]
    spec = spec_of(config)
    return [method for method in METHODS.values() if not method.refusal(spec)]


def default_method(config: ModelConfig | None) -> str:
    """Returns the key of the default method.

    Where a run was measured, `fer_core.explain.defaults.default_of` chooses by its measurements.
    Else it is Chefer relevance for ViTs, because a CAM of a class-token ViT can miss the evidence,
    and smoothed gradients for other networks, where CAMs rarely beat the centre baseline
    (docs/explain.md).
    """
    if config is None:
        return "occlusion"
    chefer = METHODS["chefer"]
    return "smoothed_gradients" if chefer.refusal(spec_of(config)) else "chefer"


def explain(
    model: LogitsFunction,
    config: ModelConfig | None,
    inputs: Tensor,
    targets: Sequence[Target | None],
    method: str,
    detail: Detail | None = None,
) -> list[SaliencyMap]:
    """Explains a model's predictions for some inputs.

    Methods that need a network register hooks and compute gradients during the call, so two
    threads must not explain the same model at once: hold a lock, as `fer_core.predictor` does.
    Hooks are always removed.

    Args:
        model: A network in evaluation mode; any function from inputs to logits works for methods
            that do not need a network.
        config: Configuration of the network; None for a function.
        inputs: Normalised input, shape (N, 3, S, S).
        targets: One target per input; None for the predicted class.
        method: A key of `METHODS`.
        detail: Layer, block and head that the method reads.

    Returns:
        One map per input, signed and unscaled, at the size of the input.

    Raises:
        ExplainError: If the method is unknown or does not support the model.
    """
    selected = method_of(method)
    if selected not in methods_for(config):
        raise ExplainError(_unsupported(selected, config))
    question = Question(model, config, inputs, targets, detail or Detail())
    logits, maps = selected.run(question)
    values = to_side(maps, inputs.shape[-1]).detach().cpu().numpy().astype(np.float32)
    rows = logits.detach().float().cpu().numpy()
    return [
        SaliencyMap(values_of_input, target, method, row)
        for values_of_input, target, row in zip(values, question.resolve(logits), rows, strict=True)
    ]


def _unsupported(method: Method, config: ModelConfig | None) -> str:
    supported = ", ".join(other.key for other in methods_for(config))
    name = "a model without access to its network"
    if config is not None:
        spec = spec_of(config)
        name = f"{spec.title}: {method.refusal(spec)}"
    return f"{method.title} does not support {name}. Use one of: {supported}."
