"""The one verb, `explain`, and the registry of its methods."""

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
from fer_core.models import spec_of

ALL = ("cnn", "vit")


@dataclass(frozen=True)
class Method:
    """A way to explain.

    Attributes:
        key: Name in files and addresses.
        title: The name that people read.
        says: One sentence on what a bright place means.
        run: Gives logits (N, K) and signed maps (N, h, w) on any grid.
        families: Architectures it suits.
        needs_network: Whether it looks inside; otherwise a function to logits will do.
        by_class: Whether the map depends on the target.
        slow: Whether it takes many forward passes a map.
        control: Whether it knows nothing of the model and is there to be beaten.
        reads_layer: Whether it reads one layer's output, and can read another's.
        reference: The paper.
    """

    key: str
    title: str
    says: str
    run: Callable[[Question], tuple[Tensor, Tensor]]
    reference: str
    families: tuple[str, ...] = ALL
    needs_network: bool = True
    by_class: bool = True
    slow: bool = False
    control: bool = False
    reads_layer: bool = False


METHODS: dict[str, Method] = {
    method.key: method
    for method in (
        Method(
            "grad_cam", "Grad-CAM", "Features there, weighted by their mean pull on the class.",
            cam.grad_cam, "Selvaraju et al. 2017, arXiv:1610.02391", reads_layer=True,
        ),
        Method(
            "grad_cam_pp", "Grad-CAM++",
            "As Grad-CAM, with weights that suit several places at once.",
            cam.grad_cam_plus_plus, "Chattopadhyay et al. 2018, arXiv:1710.11063",
            reads_layer=True,
        ),
        Method(
            "hires_cam", "HiRes-CAM", "Features there, each weighted by its pull at that place.",
            cam.hires_cam, "Draelos and Carin 2020, arXiv:2011.08891", reads_layer=True,
        ),
        Method(
            "layer_cam", "Layer-CAM", "As HiRes-CAM, from positive pulls alone.",
            cam.layer_cam, "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943", reads_layer=True,
        ),
        Method(
            "eigen_cam", "Eigen-CAM",
            "The main direction of the features; the same for every class.",
            cam.eigen_cam, "Muhammad and Yeasin 2020, arXiv:2008.00299", by_class=False,
            reads_layer=True,
        ),
        Method(
            "ablation_cam", "Ablation-CAM",
            "Features there, weighted by what the class loses without them.",
            cam.ablation_cam, "Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.9093360",
            slow=True, reads_layer=True,
        ),
        Method(
            "attention", "Attention, last block",
            "Patches that the class token looks at, or all of them on average where the mean is "
            "read; the same for every class.",
            attention.last_attention, "Dosovitskiy et al. 2021, arXiv:2010.11929",
            families=("vit",), by_class=False,
        ),
        Method(
            "rollout", "Attention rollout",
            "Attention followed through all blocks; the same for every class.",
            attention.attention_rollout, "Abnar and Zuidema 2020, arXiv:2005.00928",
            families=("vit",), by_class=False,
        ),
        Method(
            "grad_rollout", "Gradient rollout",
            "Attention that pulls towards the class, followed through all blocks.",
            attention.gradient_rollout, "Gildenblat 2020, vit-explain, after arXiv:2005.00928",
            families=("vit",),
        ),
        Method(
            "chefer", "Chefer relevance",
            "Attention that pulls towards the class, added up over all blocks.",
            attention.chefer, "Chefer et al. 2021, arXiv:2103.15679", families=("vit",),
        ),
        Method(
            "integrated_gradients", "Integrated gradients",
            "Pixels that change the class's score on the way from a plain colour to the face.",
            gradients.integrated_gradients, "Sundararajan et al. 2017, arXiv:1703.01365",
            slow=True,
        ),
        Method(
            "occlusion", "Occlusion", "What the class loses when that place is painted over.",
            perturbation.occlusion, "Zeiler and Fergus 2014, arXiv:1311.2901",
            needs_network=False, slow=True,
        ),
        Method(
            "random", "Control: random", "Smooth noise that knows nothing of the model.",
            perturbation.random_control, "control", needs_network=False, by_class=False,
            control=True,
        ),
        Method(
            "centre", "Control: centre", "The middle of the picture, whatever it shows.",
            perturbation.centre_control, "control", needs_network=False, by_class=False,
            control=True,
        ),
    )
}  # fmt: skip
"""All methods by key: first those that look inside, the controls last."""

CONTROLS = tuple(key for key, method in METHODS.items() if method.control)
"""The methods to be beaten; `fer_core.explain.tables` knows them by the same keys."""


def method_of(key: str) -> Method:
    """Returns a method.

    Raises:
        ExplainError: If there is none of that name; lists those that are.
    """
    try:
        return METHODS[key]
    except KeyError:
        raise ExplainError(f"There is no method {key!r}. Known: {', '.join(METHODS)}.") from None


def methods_for(config: ModelConfig | None) -> list[Method]:
    """Returns the methods that suit an architecture; None stands for a mere function to logits."""
    if config is None:
        return [method for method in METHODS.values() if not method.needs_network]
    family = spec_of(config.architecture).family
    return [method for method in METHODS.values() if family in method.families]


def default_method(config: ModelConfig | None) -> str:
    """Returns the method that is shown where none was chosen.

    For CNNs HiRes-CAM and not Grad-CAM: it costs the same, and on the trained networks
    insertion is better than that of Grad-CAM, which averages the gradient over the face.
    Neither beats a bump in the middle there; occlusion does, at many times the cost. For
    ViTs Chefer relevance: a CAM of a class-token ViT can point away from the evidence.
    """
    if config is None:
        return "occlusion"
    return "chefer" if spec_of(config.architecture).family == "vit" else "hires_cam"


def explain(
    model: LogitsFunction,
    config: ModelConfig | None,
    inputs: Tensor,
    targets: Sequence[Target | None],
    method: str,
    detail: Detail | None = None,
) -> list[SaliencyMap]:
    """Explains a model's answers for some inputs.

    Methods that look inside a network put hooks on it for the time of the call and ask for
    gradients, so one model must not be explained by two threads at once: hold a lock, as
    `fer_core.predictor` does. Hooks are removed whatever happens.

    Args:
        model: A network in evaluation mode, or, for methods that need no more, any function
            from inputs to logits.
        config: The network's configuration; None for a mere function.
        inputs: Normalised input, shape (N, 3, S, S).
        targets: One an input; None for the predicted class.
        method: A key of `METHODS`.
        detail: Where inside the network to read.

    Returns:
        One map an input, signed and unscaled, at the input's size.

    Raises:
        ExplainError: If the method is unknown or does not suit the model.
    """
    chosen = method_of(method)
    if chosen not in methods_for(config):
        what = "a model of which only answers are known"
        if config is not None:
            what = spec_of(config.architecture).title
        fitting = ", ".join(fit.key for fit in methods_for(config))
        raise ExplainError(f"{chosen.title} does not suit {what}. Take one of: {fitting}.")
    question = Question(model, config, inputs, targets, detail or Detail())
    logits, maps = chosen.run(question)
    values = to_side(maps, inputs.shape[-1]).detach().cpu().numpy().astype(np.float32)
    answers = logits.detach().float().cpu().numpy()
    return [
        SaliencyMap(own, target, method, answer)
        for own, target, answer in zip(values, question.resolve(logits), answers, strict=True)
    ]
