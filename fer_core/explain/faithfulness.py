"""Faithfulness metrics: insertion, deletion, ROAD, stability and weight randomisation.

Maps are averaged over a coarse grid of cells and only the ranking of cells counts, so that fine
and coarse maps remove regions of the same shape. A faithful method beats the model-agnostic
baselines (`BASELINES` of `fer_core.explain.tables`).
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from fer_core.explain.road import impute
from fer_core.explain.saliency import LogitsFunction, SaliencyMap, Target, batched_logits
from fer_core.explain.tables import CELLS

STEPS = 12
ROAD_SHARES = (0.25, 0.5, 0.75)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Confidence in the target while cells are deleted or inserted.

    Attributes:
        shares: Share of changed cells, 0 to 1, shape (steps + 1,).
        deletion: Confidence when the most salient cells are deleted first; lower is better.
        insertion: Confidence when they are first inserted into a blurred image; higher is better.
    """

    shares: Floats
    deletion: Floats
    insertion: Floats

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, 0 to 1; lower is better."""
        return float(np.trapezoid(self.deletion, self.shares))

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, 0 to 1; higher is better."""
        return float(np.trapezoid(self.insertion, self.shares))


def cell_means(values: NDArray[np.float32], cells: int = CELLS) -> Floats:
    """Averages a map (h, w) over cells; shape (cells, cells)."""
    tensor = torch.from_numpy(np.asarray(values, dtype=np.float32))[None, None]
    means: Floats = F.adaptive_avg_pool2d(tensor, cells)[0, 0].double().numpy()
    return means


def order(values: NDArray[np.float32], cells: int = CELLS) -> Floats:
    """Returns the relative rank of each cell, 0 for the most salient, shape (cells, cells).

    Ties are broken by a fixed random order, so that a blank map does not delete from the top.
    """
    means = cell_means(values, cells).ravel()
    ties = np.random.default_rng(0).permutation(means.size)
    ranks = np.empty(means.size)
    ranks[np.lexsort((ties, -means))] = np.arange(means.size)
    return ranks.reshape(cells, cells) / means.size


def insertion_deletion(
    model: LogitsFunction,
    image: Tensor,
    maps: Sequence[SaliencyMap],
    cells: int = CELLS,
) -> list[Curves]:
    """Insertion and deletion curves (Petsiuk et al. 2018, arXiv:1806.07421).

    Deleted cells get the image's mean colour; insertion starts from a strongly blurred image. All
    maps of an image are evaluated in one batch.

    Args:
        model: Any function to logits.
        image: Input, shape (3, S, S).
        maps: Maps of that image.
        cells: Cells a side.

    Returns:
        Curves for each map.
    """
    side = image.shape[-1]
    plain = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    kernel = 2 * (side // 4) + 1
    blurred = gaussian_blur(image, [kernel, kernel], [side / 8, side / 8])
    levels = np.linspace(0, 1, STEPS + 1)
    batch = []
    for saliency in maps:
        ranks = _enlarged(order(saliency.values, cells), side)
        masks = torch.stack([ranks < level for level in levels])[:, None].to(image.device)
        batch += [torch.where(masks, plain, image), torch.where(masks, image, blurred)]
    if not batch:
        return []
    logits = batched_logits(model, torch.cat(batch)).view(len(maps), 2, STEPS + 1, -1)
    curves = []
    for saliency, map_logits in zip(maps, logits, strict=True):
        confidence = saliency.target.confidence(map_logits).double().cpu().numpy()
        curves.append(Curves(levels, confidence[0], confidence[1]))
    return curves


def road(
    model: LogitsFunction, image: Tensor, maps: Sequence[SaliencyMap], cells: int = CELLS
) -> list[float]:
    """ROAD (Rong et al. 2022, arXiv:2202.00449): half of least minus most relevant first.

    Removed cells are imputed from their neighbours. A value above 0 means that removing the least
    relevant cells costs less confidence than removing the most relevant ones.

    Args:
        model: Any function to logits.
        image: Input, shape (3, S, S).
        maps: Maps of that image.
        cells: Cells a side.

    Returns:
        One value per map, -0.5 to 0.5; higher is better.
    """
    side = image.shape[-1]
    pixels = image.detach().cpu().numpy()
    batch = []
    for saliency in maps:
        ranks = _enlarged(order(saliency.values, cells), side).numpy()
        for share in ROAD_SHARES:
            batch += [impute(pixels, ranks >= 1 - share), impute(pixels, ranks < share)]
    if not batch:
        return []
    inputs = torch.from_numpy(np.stack(batch)).to(image.device)
    logits = batched_logits(model, inputs).view(len(maps), len(ROAD_SHARES), 2, -1)
    results = []
    for saliency, map_logits in zip(maps, logits, strict=True):
        confidence = saliency.target.confidence(map_logits)
        results.append(float((confidence[:, 0] - confidence[:, 1]).mean()) / 2)
    return results


def similarity(
    first: NDArray[np.float32], second: NDArray[np.float32], cells: int = CELLS
) -> float:
    """Spearman's rank correlation of two maps over cells, -1 to 1; 0 if a map is constant."""
    ranks = [rankdata(cell_means(values, cells)) for values in (first, second)]
    if any(values.std() == 0 for values in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


Explainer = Callable[[LogitsFunction, Tensor, Sequence[Target | None]], list[SaliencyMap]]
"""Function (model, inputs, targets) that returns one saliency map per input."""


def stability(
    explainer: Explainer,
    model: LogitsFunction,
    inputs: Tensor,
    maps: Sequence[SaliencyMap],
    noise: float = 0.04,
    seed: int = 0,
) -> Floats:
    """Similarity of each map to the map of the same input with added noise, shape (N,).

    Args:
        explainer: Computes the maps.
        model: Explained model.
        inputs: Normalised input, shape (N, 3, S, S).
        maps: Maps of the inputs; the noisy inputs are explained for the same targets.
        noise: Standard deviation of the noise in normalised units; the default is about 5 of 255
            grey levels for a normalisation with std 0.5.
        seed: Random seed of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(inputs.shape, generator=generator).to(inputs.device)
    noisy_maps = explainer(model, inputs + noise * gaussian, [saliency.target for saliency in maps])
    return np.array(
        [
            similarity(before.values, after.values)
            for before, after in zip(maps, noisy_maps, strict=True)
        ]
    )


def randomised(
    model: nn.Module, parts: int = 4, seed: int = 0
) -> Iterator[tuple[float, nn.Module]]:
    """Yields a network with progressively randomised weights, from the output to the input.

    Cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292). Each tensor keeps its mean and
    standard deviation, so that activations stay in their usual range.

    Yields:
        Share of randomised weight tensors, above 0 to 1, and the network (the same copy,
        modified in place between steps).
    """
    generator = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(model)
    tensors = list(changed.parameters())[::-1]
    bounds = np.linspace(0, len(tensors), parts + 1).round().astype(int)
    for start, end in pairwise(bounds.tolist()):
        with torch.no_grad():
            for tensor in tensors[start:end]:
                gaussian = torch.randn(tensor.shape, generator=generator).to(tensor)
                spread = tensor.std() if tensor.numel() > 1 else torch.zeros(())
                # the clamp also randomises constant tensors, such as fresh norms and biases
                tensor.copy_(tensor.mean() + gaussian * torch.clamp(spread, min=1e-2))
        yield float(end) / len(tensors), changed


def randomisation(
    explainer: Explainer,
    model: nn.Module,
    inputs: Tensor,
    maps: Sequence[SaliencyMap],
    parts: int = 4,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Similarity of maps to those of progressively randomised copies of the network.

    A map that stays similar depends on the image and not on the model.

    Returns:
        Shares of randomised weights, shape (parts,), and similarities, shape (parts, N).
    """
    shares, rows = [], []
    for share, changed in randomised(model, parts, seed):
        again = explainer(changed, inputs, [saliency.target for saliency in maps])
        shares.append(share)
        rows.append(
            [
                similarity(before.values, after.values)
                for before, after in zip(maps, again, strict=True)
            ]
        )
    return np.array(shares), np.array(rows)


def _enlarged(ranks: Floats, side: int) -> Tensor:
    """Upsamples cells to (side, side) by nearest neighbour."""
    return F.interpolate(torch.from_numpy(ranks)[None, None], (side, side), mode="nearest")[0, 0]
