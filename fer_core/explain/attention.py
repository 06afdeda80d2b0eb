"""What a ViT's tokens gather from one another, and what of it speaks for a class.

Attention is read without touching the model. Each of the project's ViTs (timm's, transformers',
our own) calls one fused function, which never forms the attention matrix. `AttentionTape`
stands in for that function in the calling thread only, so nothing has to be undone in the model
and other threads notice nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from fer_core.explain.saliency import ExplainError, LogitsFunction, Question
from fer_core.models.tokens import grid_side


class AttentionTape(TorchFunctionMode):
    """Keeps the attention of every block that runs while it is entered.

    Attributes:
        weights: One tensor a block in order, (N, heads, T, T); each row sums to 1. They carry
            the graph where gradients are on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (torch's protocol)
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return self._attend(*args, **(kwargs or {}))

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **_: object,
    ) -> Tensor:
        if attn_mask is not None or is_causal or dropout_p:
            raise ExplainError(
                "Masked attention and dropout are not explained: patches see all patches. Put the "
                "model into evaluation mode."
            )
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        weights = (query @ key.transpose(-2, -1) * factor).softmax(dim=-1)
        self.weights.append(weights)
        return weights @ value


def attention(model: LogitsFunction, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a ViT and returns its logits and all its attention.

    Returns:
        Logits (N, K), and attention (N, blocks, heads, T, T): who (row) looks at whom (column).

    Raises:
        ExplainError: If the model has no attention.
    """
    tape = AttentionTape()
    with torch.no_grad(), tape:
        logits = model(inputs)
    if not tape.weights:
        raise ExplainError("This model has no attention to read. Take a CAM method.")
    return logits, torch.stack(tape.weights, dim=1)


def rollout(layers: Tensor, residual: float = 0.5) -> Tensor:
    """Follows attention through all blocks (Abnar and Zuidema 2020, arXiv:2005.00928).

    Args:
        layers: Attention averaged over heads, shape (N, blocks, T, T); rows sum to 1.
        residual: Share of each token that passes a block by its skip connection.

    Returns:
        How much of each input token (column) each output token (row) holds: (N, T, T), rows sum
        to 1.
    """
    identity = torch.eye(layers.shape[-1], device=layers.device)
    mixed = identity.expand(len(layers), -1, -1)
    for index in range(layers.shape[1]):
        mixed = (residual * identity + (1 - residual) * layers[:, index]) @ mixed
    return mixed


def relevance(layers: Sequence[Tensor]) -> Tensor:
    """Adds up what each block passes on (Chefer et al. 2021, arXiv:2103.15679, eq. 5 and 6).

    Args:
        layers: Positive part of attention times gradient, averaged over heads: (N, T, T) each.

    Returns:
        Relevance of each input token (column) for each output token (row), (N, T, T); the
        identity where nothing is passed on.
    """
    count = layers[0].shape[-1]
    total = torch.eye(count, device=layers[0].device).expand(len(layers[0]), -1, -1)
    for layer in layers:
        total = total + layer @ total
    return total


def looked_at(matrix: Tensor, prefix: int, mean_pooled: bool) -> Tensor:
    """Returns what the classifier's input holds of each patch.

    Args:
        matrix: Output tokens in rows, input tokens in columns, (N, T, T).
        prefix: Tokens before the patches.
        mean_pooled: Whether the classifier reads the mean of the patches; the first token if not.

    Returns:
        Shape (N, side, side).
    """
    side = grid_side(matrix.shape[-1], prefix)
    row = matrix[:, prefix:].mean(dim=1) if mean_pooled else matrix[:, 0]
    return row[:, prefix:].reshape(len(matrix), side, side)


def attention_from(layers: Tensor, block: int, head: int | None, token: int, prefix: int) -> Tensor:
    """Returns where a token looks: attention to each patch, shape (N, side, side).

    Args:
        layers: As `attention` gives it, (N, blocks, heads, T, T).
        block: From 0; negative ones count from the last.
        head: One head, or their mean if None.
        token: Row of the token that looks; 0 is the class token where there is one.
        prefix: Tokens before the patches.

    Raises:
        ExplainError: If there is no such block or head.
    """
    matrix = _matrix(layers, block, head)
    side = grid_side(matrix.shape[-1], prefix)
    return matrix[:, token, prefix:].reshape(len(matrix), side, side)


def last_attention(question: Question) -> tuple[Tensor, Tensor]:
    """What the classifier's token looks at in one block; the last, all heads, by default."""
    logits, layers = attention(question.network, question.inputs)
    block = -1 if question.detail.block is None else question.detail.block
    matrix = _matrix(layers, block, question.detail.head)
    return logits, looked_at(matrix, question.spec.prefix_tokens, question.mean_pooled)


def _matrix(layers: Tensor, block: int, head: int | None) -> Tensor:
    """Returns one block's attention of one head, or of their mean, (N, T, T).

    Raises:
        ExplainError: If there is no such block or head.
    """
    _, blocks, heads, _, _ = layers.shape
    if not -blocks <= block < blocks:
        raise ExplainError(f"This network has {blocks} attention blocks.")
    if head is None:
        return layers[:, block].mean(dim=1)
    if not 0 <= head < heads:
        raise ExplainError(f"This network has {heads} heads in a block.")
    return layers[:, block, head]


def attention_rollout(question: Question) -> tuple[Tensor, Tensor]:
    """Attention followed through all blocks; the same for every class."""
    logits, layers = attention(question.network, question.inputs)
    mixed = rollout(layers.mean(dim=2))
    return logits, looked_at(mixed, question.spec.prefix_tokens, question.mean_pooled)


def gradient_rollout(question: Question) -> tuple[Tensor, Tensor]:
    """Rollout of attention weighted by its gradient, for one class.

    Gildenblat's variant of rollout: the positive part of attention times gradient takes the place
    of attention, and rows are scaled to sum to 1 with the skip connection.
    """
    logits, layers = _weighted(question)
    identity = torch.eye(layers[0].shape[-1], device=layers[0].device)
    normalised = [layer / layer.sum(dim=-1, keepdim=True).clamp_min(1e-12) for layer in layers]
    # A row that passes nothing on keeps its own token.
    steps = [
        torch.where(layer.sum(dim=-1, keepdim=True) > 0, scaled, identity)
        for layer, scaled in zip(layers, normalised, strict=True)
    ]
    mixed = rollout(torch.stack(steps, dim=1))
    return logits, looked_at(mixed, question.spec.prefix_tokens, question.mean_pooled)


def chefer(question: Question) -> tuple[Tensor, Tensor]:
    """Relevance of each patch for one class (Chefer et al. 2021, arXiv:2103.15679)."""
    logits, layers = _weighted(question)
    total = relevance(layers)
    own = torch.eye(total.shape[-1], device=total.device)
    return logits, looked_at(total - own, question.spec.prefix_tokens, question.mean_pooled)


def _weighted(question: Question) -> tuple[Tensor, list[Tensor]]:
    """Returns logits and, a block, the head mean of (gradient * attention)+, (N, T, T)."""
    tape = AttentionTape()
    with torch.enable_grad(), tape:
        # a gradient asked for at the input: frozen weights would cut the graph
        logits = question.network(question.inputs.detach().requires_grad_(True))
        if not tape.weights:
            raise ExplainError("This model has no attention to read. Take a CAM method.")
        gradients = torch.autograd.grad(
            question.target_values(logits).sum(), tape.weights, allow_unused=True
        )
    layers = [
        (weights * gradient).clamp_min(0).mean(dim=1).detach()
        if gradient is not None
        else torch.zeros_like(weights[:, 0])
        for weights, gradient in zip(tape.weights, gradients, strict=True)
    ]
    return logits.detach(), layers
