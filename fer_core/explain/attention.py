"""Attention-based saliency for ViTs.

All supported ViTs (timm, transformers, `scratch_vit`) call PyTorch's fused attention, which never
materialises the attention matrix. `AttentionTape` replaces that function in the calling thread
only, so neither the model nor other threads are affected.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fer_core.explain.saliency import ExplainError, LogitsFunction, Question
from fer_core.models.fused_attention import FusedAttentionMode
from fer_core.models.tokens import grid_side


class AttentionTape(FusedAttentionMode):
    """Context manager that records the attention weights of every block.

    Attributes:
        weights: One tensor per block in order, shape (N, heads, T, T); rows sum to 1. They are
            part of the autograd graph if gradients are enabled.
    """

    def __init__(self) -> None:
        super().__init__(self._record)
        self.weights: list[Tensor] = []

    def _record(  # noqa: PLR0913 (the signature of the replaced function)
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
        hides = attn_mask is not None and attn_mask.dtype == torch.bool
        if hides or is_causal or dropout_p:
            raise ExplainError(
                "Masked attention and dropout are not supported. Set the model to evaluation mode."
            )
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        scores = query @ key.transpose(-2, -1) * factor
        if attn_mask is not None:  # a position bias, as in BEiT
            scores = scores + attn_mask
        weights = scores.softmax(dim=-1)
        self.weights.append(weights)
        return weights @ value


def attention(model: LogitsFunction, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a ViT and returns its logits and attention weights.

    Returns:
        Logits (N, K), and attention (N, blocks, heads, T, T) from query (row) to key (column).

    Raises:
        ExplainError: If the model has no attention blocks.
    """
    tape = AttentionTape()
    with torch.no_grad(), tape:
        logits = model(inputs)
    if not tape.weights:
        raise ExplainError("This model has no attention blocks. Use a CAM method.")
    return logits, torch.stack(tape.weights, dim=1)


def rollout(layers: Tensor) -> Tensor:
    """Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928).

    The skip connection of each block weighs as much as its attention.

    Args:
        layers: Attention averaged over heads, shape (N, blocks, T, T); rows sum to 1.

    Returns:
        Contribution of each input token (column) to each output token (row), shape (N, T, T);
        rows sum to 1.
    """
    identity = torch.eye(layers.shape[-1], device=layers.device)
    mixed = identity.expand(len(layers), -1, -1)
    for index in range(layers.shape[1]):
        mixed = (0.5 * identity + 0.5 * layers[:, index]) @ mixed
    return mixed


def relevance(layers: Sequence[Tensor]) -> Tensor:
    """Accumulates relevance over blocks (Chefer et al. 2021, arXiv:2103.15679, eq. 5 and 6).

    Args:
        layers: Positive part of attention times gradient, averaged over heads: (N, T, T) each.

    Returns:
        Relevance of each input token (column) for each output token (row), shape (N, T, T); the
        identity if all inputs are zero.
    """
    count = layers[0].shape[-1]
    total = torch.eye(count, device=layers[0].device).expand(len(layers[0]), -1, -1)
    for layer in layers:
        total = total + layer @ total
    return total


def looked_at(matrix: Tensor, prefix: int, mean_pooled: bool, read: int = 1) -> Tensor:
    """Returns the contribution of each patch to the classifier's input.

    Args:
        matrix: Output tokens in rows, input tokens in columns, (N, T, T).
        prefix: Number of tokens before the patches.
        mean_pooled: Whether the classifier reads the mean of the patches, not the first tokens.
        read: Number of first tokens that classifiers read; the logits are their mean.

    Returns:
        Shape (N, side, side).
    """
    side = grid_side(matrix.shape[-1], prefix)
    row = (matrix[:, prefix:] if mean_pooled else matrix[:, :read]).mean(dim=1)
    return row[:, prefix:].reshape(len(matrix), side, side)


def attention_from(layers: Tensor, block: int, head: int | None, token: int, prefix: int) -> Tensor:
    """Returns the attention of a token to each patch, shape (N, side, side).

    Args:
        layers: Attention from `attention`, shape (N, blocks, heads, T, T).
        block: Index of the block; negative indices count from the end.
        head: Index of the head; None for the mean over heads.
        token: Index of the query token; 0 is the class token, if there is one.
        prefix: Number of tokens before the patches.

    Raises:
        ExplainError: If there is no such block or head.
    """
    matrix = _matrix(layers, block, head)
    side = grid_side(matrix.shape[-1], prefix)
    return matrix[:, token, prefix:].reshape(len(matrix), side, side)


def last_attention(question: Question) -> tuple[Tensor, Tensor]:
    """Attention of the classifier's token in one block; by default the last, mean over heads."""
    logits, layers = attention(question.network, question.inputs)
    block = -1 if question.detail.block is None else question.detail.block
    matrix = _matrix(layers, block, question.detail.head)
    return logits, _of_patches(matrix, question)


def _of_patches(matrix: Tensor, question: Question) -> Tensor:
    """Returns `looked_at` for the classifiers of the network."""
    spec = question.spec
    return looked_at(matrix, spec.prefix_tokens, question.mean_pooled, len(spec.heads))


def _matrix(layers: Tensor, block: int, head: int | None) -> Tensor:
    """Returns the attention of one block and head (or the mean over heads), (N, T, T).

    Raises:
        ExplainError: If there is no such block or head.
    """
    _, blocks, heads, _, _ = layers.shape
    if not -blocks <= block < blocks:
        raise ExplainError(
            f"This network has {blocks} attention blocks. Pass a block from 0 to {blocks - 1}."
        )
    if head is None:
        return layers[:, block].mean(dim=1)
    if not 0 <= head < heads:
        raise ExplainError(
            f"This network has {heads} heads per block. Pass a head from 0 to {heads - 1}."
        )
    return layers[:, block, head]


def attention_rollout(question: Question) -> tuple[Tensor, Tensor]:
    """Attention rollout; independent of the class."""
    logits, layers = attention(question.network, question.inputs)
    mixed = rollout(layers.mean(dim=2))
    return logits, _of_patches(mixed, question)


def gradient_rollout(question: Question) -> tuple[Tensor, Tensor]:
    """Rollout of attention weighted by its gradient, for one class.

    Gildenblat's variant of rollout replaces attention by the positive part of attention times
    gradient and normalises rows, including the skip connection, to sum to 1.
    """
    logits, layers = _weighted(question)
    identity = torch.eye(layers[0].shape[-1], device=layers[0].device)
    normalised = [layer / layer.sum(dim=-1, keepdim=True).clamp_min(1e-12) for layer in layers]
    # An all-zero row becomes the identity.
    steps = [
        torch.where(layer.sum(dim=-1, keepdim=True) > 0, scaled, identity)
        for layer, scaled in zip(layers, normalised, strict=True)
    ]
    mixed = rollout(torch.stack(steps, dim=1))
    return logits, _of_patches(mixed, question)


def chefer(question: Question) -> tuple[Tensor, Tensor]:
    """Relevance of each patch for one class (Chefer et al. 2021, arXiv:2103.15679)."""
    logits, layers = _weighted(question)
    total = relevance(layers)
    identity = torch.eye(total.shape[-1], device=total.device)
    return logits, _of_patches(total - identity, question)


def _weighted(question: Question) -> tuple[Tensor, list[Tensor]]:
    """Returns logits and, per block, the mean over heads of (gradient * attention)+, (N, T, T)."""
    tape = AttentionTape()
    with torch.enable_grad(), tape:
        # the input needs a gradient, because frozen weights would cut the graph
        logits = question.network(question.inputs.detach().requires_grad_(True))
        if not tape.weights:
            raise ExplainError("This model has no attention blocks. Use a CAM method.")
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
