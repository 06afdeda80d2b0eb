"""Whether a map can be believed: what the model says when the marked places go or come.

Every map is first averaged over the same coarse cells and only their order counts, so that a
fine map and a coarse one remove the same shapes. A method must beat maps that know nothing of
the model (`BASELINES` of `fer_core.explain.tables`).
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
from fer_core.explain.saliency import LogitsFunction, SaliencyMap, Target, answer
from fer_core.explain.tables import CELLS

STEPS = 12
ROAD_SHARES = (0.25, 0.5, 0.75)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """The model's confidence in the target while cells go or come.

    Attributes:
        shares: Share of cells changed, 0 to 1, shape (steps + 1,).
        deletion: Confidence as the most salient cells are painted over first; low is good.
        insertion: Confidence as they are first to appear in a blurred picture; high is good.
    """

    shares: Floats
    deletion: Floats
    insertion: Floats

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, 0 to 1; low if the map is faithful."""
        return float(np.trapezoid(self.deletion, self.shares))

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, 0 to 1; high if the map is faithful."""
        return float(np.trapezoid(self.insertion, self.shares))


def cell_means(values: NDArray[np.float32], cells: int = CELLS) -> Floats:
    """Averages a map (h, w) over cells; shape (cells, cells)."""
    tensor = torch.from_numpy(np.asarray(values, dtype=np.float32))[None, None]
    means: Floats = F.adaptive_avg_pool2d(tensor, cells)[0, 0].double().numpy()
    return means


def order(values: NDArray[np.float32], cells: int = CELLS) -> Floats:
    """Returns each cell's rank as a share of all, 0 for the most salient, (cells, cells).

    Equal cells are ranked in a fixed random order: a blank map must not remove rows from the top.
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
    steps: int = STEPS,
    cells: int = CELLS,
) -> list[Curves]:
    """Insertion and deletion curves (Petsiuk et al. 2018, arXiv:1806.07421).

    Deleted cells take the picture's mean colour; insertion starts from a strong blur. All maps of
    one picture are asked about in one batch.

    Args:
        model: Any function to logits.
        image: Input, shape (3, S, S).
        maps: Maps of that image.
        steps: Changes from the whole picture to none of it.
        cells: Cells a side.

    Returns:
        Curves for each map.
    """
    side = image.shape[-1]
    plain = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    kernel = 2 * (side // 4) + 1
    blurred = gaussian_blur(image, [kernel, kernel], [side / 8, side / 8])
    levels = np.linspace(0, 1, steps + 1)
    batch = []
    for saliency in maps:
        ranks = _enlarged(order(saliency.values, cells), side)
        gone = torch.stack([ranks < level for level in levels])[:, None].to(image.device)
        batch += [torch.where(gone, plain, image), torch.where(gone, image, blurred)]
    if not batch:
        return []
    logits = answer(model, torch.cat(batch)).view(len(maps), 2, steps + 1, -1)
    curves = []
    for saliency, map_logits in zip(maps, logits, strict=True):
        confidence = saliency.target.confidence(map_logits).double().cpu().numpy()
        curves.append(Curves(levels, confidence[0], confidence[1]))
    return curves


def road(
    model: LogitsFunction, image: Tensor, maps: Sequence[SaliencyMap], cells: int = CELLS
) -> list[float]:
    """ROAD (Rong et al. 2022, arXiv:2202.00449): least minus most relevant first, halved.

    Removed cells are imputed from their surroundings. Above 0 the model loses less confidence
    when what the map calls unimportant goes than when what it calls important does.

    Args:
        model: Any function to logits.
        image: Input, shape (3, S, S).
        maps: Maps of that image.
        cells: Cells a side.

    Returns:
        For each map, in -0.5 to 0.5.
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
    logits = answer(model, inputs).view(len(maps), len(ROAD_SHARES), 2, -1)
    results = []
    for saliency, map_logits in zip(maps, logits, strict=True):
        confidence = saliency.target.confidence(map_logits)
        results.append(float((confidence[:, 0] - confidence[:, 1]).mean()) / 2)
    return results


def similarity(
    first: NDArray[np.float32], second: NDArray[np.float32], cells: int = CELLS
) -> float:
    """Spearman's rank correlation of two maps' cells, -1 to 1; 0 if one of them is constant."""
    ranks = [rankdata(cell_means(values, cells)) for values in (first, second)]
    if any(values.std() == 0 for values in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


Explainer = Callable[[LogitsFunction, Tensor, Sequence[Target | None]], list[SaliencyMap]]
"""Explains inputs of a model by one method."""


def stability(
    explainer: Explainer,
    model: LogitsFunction,
    inputs: Tensor,
    maps: Sequence[SaliencyMap],
    noise: float = 0.04,
    seed: int = 0,
) -> Floats:
    """Similarity of each map to that of the same input with a little noise, shape (N,).

    Args:
        explainer: Gives the maps.
        model: What it explains.
        inputs: Shape (N, 3, S, S).
        maps: Their maps; the noisy inputs are explained for the same targets.
        noise: Deviation of the noise in the inputs' normalised units; by default about 5 of 255
            grey values where the deviation of a channel is a half.
        seed: Of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(inputs.shape, generator=generator).to(inputs.device)
    again = explainer(model, inputs + noise * drawn, [saliency.target for saliency in maps])
    return np.array(
        [similarity(before.values, after.values) for before, after in zip(maps, again, strict=True)]
    )


def randomised(
    model: nn.Module, parts: int = 4, seed: int = 0
) -> Iterator[tuple[float, nn.Module]]:
    """Yields copies of a network whose weights are random from the output down, ever further.

    Cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292). Every tensor keeps its mean
    and deviation, so that the copies compute numbers of the usual size.

    Yields:
        The share of weight tensors that are random, above 0 up to 1, and the copy (one object,
        changed between the steps).
    """
    generator = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(model)
    tensors = list(changed.parameters())[::-1]
    bounds = np.linspace(0, len(tensors), parts + 1).round().astype(int)
    for start, end in pairwise(bounds.tolist()):
        with torch.no_grad():
            for tensor in tensors[start:end]:
                drawn = torch.randn(tensor.shape, generator=generator).to(tensor)
                spread = tensor.std() if tensor.numel() > 1 else torch.zeros(())
                # a constant tensor (fresh norms and biases) is made random too
                tensor.copy_(tensor.mean() + drawn * torch.clamp(spread, min=1e-2))
        yield float(end) / len(tensors), changed


def randomisation(
    explainer: Explainer,
    model: nn.Module,
    inputs: Tensor,
    maps: Sequence[SaliencyMap],
    parts: int = 4,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Similarity of maps to those of ever more random copies of the network.

    A map that stays the same shows the picture, not the model.

    Returns:
        Shares of random weights, shape (parts,), and similarities, shape (parts, N).
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
    """Scales cells to (side, side) without blending them."""
    return F.interpolate(torch.from_numpy(ranks)[None, None], (side, side), mode="nearest")[0, 0]
