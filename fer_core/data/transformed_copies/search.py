"""The search: candidates, registration from coarse to fine, proof."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_core.data.progress import Progress, silent
from fer_core.data.quality import to_grey
from fer_core.data.storage import BLOCK_BYTES, image_blocks
from fer_core.data.transformed_copies.candidates import CandidatePairs, find_candidates
from fer_core.data.transformed_copies.descriptor import Descriptor
from fer_core.data.transformed_copies.proof import Proof, prove
from fer_core.data.transformed_copies.registration import (
    LEVELS,
    Level,
    fitted_change,
    identity,
    normalised,
    register,
)
from fer_core.data.transformed_copies.resampling import SIDE, apply_separable, resampling
from fer_core.data.transformed_copies.table import COLUMNS, COPY, SAME_SCENE, TransformedCopies

LEAST_CONTRAST = 4.0
"""Standard deviation in grey levels below which an image is too flat to be compared."""

_BLOCK = 4096
_PAIRS = 512


def find_transformed_copies(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64] | None = None,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> TransformedCopies:
    """Finds pairs of images that are one picture under mirroring, rotation, scale, shift and light.

    The time grows linearly with the images, except for a matrix product that grows with their
    square. 2.8 kB per image are held in memory.

    Args:
        images: uint8, shape (N, S, S) or (N, S, S, 3); may be a memory map.
        rows: Rows of the compared images, ascending: one of each group of duplicates that are known
            already. All by default.
        seed: Seed of the images that the descriptor is fitted on.
        progress: Shows progress.

    Returns:
        Pairs of rows of `images`, and what they are.
    """
    rows = np.arange(len(images)) if rows is None else rows
    grey = _compared(images, rows, progress)
    contrast = np.array([picture.std() for picture in grey], dtype=np.float32)
    usable = np.flatnonzero(contrast >= LEAST_CONTRAST)
    rows, grey = rows[usable], grey[usable]
    if len(rows) < 2:
        return TransformedCopies.none()
    candidates = find_candidates(*_descriptors(grey, seed, progress), progress)
    matches = _Matches(candidates, identity(len(candidates)))
    for level in LEVELS:
        matches = _registered(grey, matches, level, progress)
    return _proved(grey, rows, matches)


@dataclass(frozen=True)
class _Matches:
    """Candidate pairs and how they are registered so far."""

    pairs: CandidatePairs
    motion: Tensor

    def blocks(self, grey: NDArray[np.uint8]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields first images (mirrored where needed), second images and motions."""
        for start in range(0, len(self.pairs), _PAIRS):
            part = self.pairs.take(np.arange(start, min(start + _PAIRS, len(self.pairs))))
            first = torch.from_numpy(grey[part.first]).float()
            second = torch.from_numpy(grey[part.second]).float()
            mirrored = torch.from_numpy(part.mirrored)[:, None, None]
            first = torch.where(mirrored, first.flip(2), first)
            yield first, second, self.motion[start : start + _PAIRS]

    def take(self, keep: NDArray[np.bool_]) -> "_Matches":
        return replace(self, pairs=self.pairs.take(keep), motion=self.motion[keep])


def _compared(
    images: NDArray[np.uint8], rows: NDArray[np.int64], progress: Progress
) -> NDArray[np.uint8]:
    """Returns the images as they are compared: grey, 48 x 48."""
    selected = np.zeros(len(images), dtype=bool)
    selected[rows] = True
    operator = resampling(images.shape[1], SIDE)
    grey = np.empty((len(rows), SIDE, SIDE), dtype=np.uint8)
    filled = 0
    count = -(-images.size // BLOCK_BYTES)
    for start, block in progress(image_blocks(images), count, "reading images"):
        for image in block[selected[start : start + len(block)]]:
            light = torch.from_numpy(to_grey(image))[None]
            grey[filled] = apply_separable(light, operator)[0].round().clamp(0, 255).numpy()
            filled += 1
    return grey


def _descriptors(
    grey: NDArray[np.uint8], seed: int, progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    descriptor = Descriptor.fit(grey, seed)
    starts = range(0, len(grey), _BLOCK)
    parts = [
        descriptor.embed(grey[start : start + _BLOCK])
        for start in progress(starts, len(starts), "describing images")
    ]
    plain, mirrored = (np.concatenate(views) for views in zip(*parts, strict=True))
    return plain, mirrored


def _registered(
    grey: NDArray[np.uint8], matches: _Matches, level: Level, progress: Progress
) -> _Matches:
    """Registers matches at a level and drops those that do not correlate."""
    motions, kept = [matches.motion[:0]], [np.empty(0, dtype=bool)]
    count = -(-len(matches.pairs) // _PAIRS)
    title = f"registering at {level.side} pixels"
    for first, second, motion in progress(matches.blocks(grey), count, title):
        fitted = register(normalised(first, level), normalised(second, level), motion, level.steps)
        motions.append(fitted.motion)
        kept.append((fitted.correlation >= level.least).numpy())
    return replace(matches, motion=torch.cat(motions)).take(np.concatenate(kept))


def _proved(
    grey: NDArray[np.uint8], rows: NDArray[np.int64], matches: _Matches
) -> TransformedCopies:
    """Returns the matches that are one picture or one scene, each pair once."""
    if not len(matches.pairs):
        return TransformedCopies.none()
    proofs = [prove(*block) for block in matches.blocks(grey)]
    proof = Proof(
        **{
            name: np.concatenate([getattr(part, name) for part in proofs])
            for name in Proof.__dataclass_fields__
        }
    )
    facts = pd.DataFrame(
        {
            "kind": np.where(proof.copy, COPY, SAME_SCENE),
            "mirrored": matches.pairs.mirrored,
            **fitted_change(matches.motion),
            **vars(proof),
        }
    )
    pairs = np.stack([rows[matches.pairs.first], rows[matches.pairs.second]], axis=1)
    copies = facts.assign(first=pairs[:, 0], second=pairs[:, 1])[proof.copy | proof.same_scene]
    # A symmetric face matches mirrored as well; the better view tells what was done.
    copies = copies.sort_values("correlation", ascending=False, kind="stable")
    copies = copies.drop_duplicates(["first", "second"]).sort_values(["first", "second"])
    measures = [name for name in COLUMNS[2:] if name not in ("kind", "mirrored")]
    rounded = copies[measures].astype(np.float32).round(4)
    return TransformedCopies(
        copies[["first", "second"]].to_numpy(dtype=np.int64),
        pd.concat([copies[["kind", "mirrored"]], rounded], axis=1).reset_index(drop=True),
    )
