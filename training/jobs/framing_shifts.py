"""Measuring finished runs on framing-shifted copies of validation and test images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.data.framing_shifts import FRAMING_SHIFTS, PADDING, FramingShift, shift_framing
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.errors import ArtifactError
from fer_core.evaluation.framing_shifts import framing_row, read_framing
from fer_core.evaluation.predictions import EVALUATED
from fer_core.evaluation.robustness import samples_hash
from fer_core.records import RunInfo
from fer_core.tables import write_table
from training.jobs.measure import (
    SampledPictures,
    average_members,
    input_stamp,
    require_measurable,
    require_unchanged,
)
from training.jobs.saved_predictions import SavedPredictions, saved_by_member

Condition = tuple[str, FramingShift]
"""Split and framing."""


def draw_splits(dataset: PreparedDataset, count: int, seed: int) -> dict[str, SampledPictures]:
    """Draws images of validation and of test; all if `count` is 0 or larger than a split."""
    return {split: SampledPictures.draw(dataset, count, seed, split) for split in EVALUATED}


def measure_framing_shifts(
    run: RunDir,
    dataset: PreparedDataset,
    pictures: Mapping[str, SampledPictures],
    device: torch.device,
    progress: Progress,
    *,
    again: bool = False,
) -> bool:
    """Writes a run's `framing.parquet`; an ensemble's comes from its members' predictions.

    An interrupted measurement continues after the last finished framing.

    Args:
        run: A network's or an ensemble's run.
        dataset: The prepared dataset.
        pictures: Images by split.
        device: Device to predict on.
        progress: Shows progress over splits and framings.
        again: Measure again even if the same images were measured.

    Returns:
        False if the same images were measured already.

    Raises:
        FerscopeError: If the run or a member is damaged, or has another split than the dataset.
    """
    info = run.info()
    if not again and _is_measured(run, info, pictures):
        return False
    require_measurable(run, info, dataset)
    conditions = {_key(split, shift): (split, shift) for split, shift in _conditions(pictures)}

    def images(key: str) -> NDArray[np.uint8]:
        split, shift = conditions[key]
        drawn = pictures[split]
        return shift_framing(drawn.images, shift, seed=drawn.seed, keys=drawn.rows.tolist())

    def saved_of(member: RunDir) -> SavedPredictions:
        return SavedPredictions(member, member.framing_cache_path, _stamp(member, pictures))

    members = [
        saved.complete(list(conditions), images, dataset.format, device, progress)
        for saved in saved_by_member(run, info, saved_of, again=again)
    ]
    rows = []
    for key, (split, shift) in conditions.items():
        predictions = pictures[split].predictions(average_members([m[key] for m in members], info))
        seed = pictures[split].seed
        rows.append(framing_row(shift.change, shift.amount, split, predictions, seed))
    require_unchanged(run, info)
    write_table(run.framing_path, pd.DataFrame(rows).assign(run_created=info.created))
    return True


def _conditions(pictures: Mapping[str, SampledPictures]) -> Sequence[Condition]:
    return [(split, shift) for split in pictures for shift in FRAMING_SHIFTS]


def _is_measured(run: RunDir, info: RunInfo, pictures: Mapping[str, SampledPictures]) -> bool:
    try:
        table = read_framing(run.framing_path)
    except ArtifactError:
        return False
    measured = {
        (row["split"], row["change"], row["amount"], row["seed"], row["samples_hash"])
        for _, row in table.iterrows()
    }
    expected = {
        (
            split,
            shift.change.value,
            shift.amount,
            pictures[split].seed,
            samples_hash(pictures[split].truth),
        )
        for split, shift in _conditions(pictures)
    }
    same_run = "run_created" in table and (table["run_created"] == info.created).all()
    return measured == expected and bool(same_run)


def _stamp(run: RunDir, pictures: Mapping[str, SampledPictures]) -> str:
    return " ".join([PADDING, *(input_stamp(run, drawn) for drawn in pictures.values())])


def _key(split: str, shift: FramingShift) -> str:
    return f"{split} {shift.change} {shift.amount:g}"
