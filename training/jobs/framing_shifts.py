"""Measuring finished runs on framing-shifted copies of validation and test images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_core.artifacts import RunDir, write_table
from fer_core.data.framing_shifts import FRAMING_SHIFTS, PADDING, FramingShift, shift_framing
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.engine.classifiers import Classifier, load_classifier
from fer_core.errors import ArtifactError
from fer_core.evaluation.framing_shifts import framing_row, read_framing
from fer_core.evaluation.predictions import EVALUATED
from fer_core.evaluation.robustness import samples_hash
from fer_core.files import DAMAGED_ARRAYS, atomic_path
from fer_core.records import RunInfo
from training.jobs.measure import (
    SampledPictures,
    average_members,
    input_stamp,
    require_measurable,
)

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
    members = []
    for name in info.members or (run.run_id,):
        member = run.benchmark.run(name)
        if again and name == run.run_id:
            member.framing_cache_path.unlink(missing_ok=True)
        predictor = _FramedPredictions(member, dataset.format, pictures, device)
        members.append(predictor.complete(progress))
    rows = [
        framing_row(
            shift.change,
            shift.amount,
            split,
            pictures[split].predictions(average_members([m[split, shift] for m in members], info)),
            pictures[split].seed,
        )
        for split, shift in _conditions(pictures)
    ]
    if run.info().created != info.created:
        raise ArtifactError(f"{run.run_id} was retrained during the measurement. Measure it again.")
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
    wanted = {
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
    return measured == wanted and bool(same_run)


class _FramedPredictions:
    """A network's predictions by condition, saved after each one for resuming and for ensembles.

    Args:
        run: The network's run.
        stored: Format of the stored images.
        pictures: Images by split.
        device: Device to predict on.
    """

    def __init__(
        self,
        run: RunDir,
        stored: SampleFormat,
        pictures: Mapping[str, SampledPictures],
        device: torch.device,
    ) -> None:
        self._run, self._stored, self._pictures, self._device = run, stored, pictures, device
        parts = [input_stamp(run, drawn) for drawn in pictures.values()]
        self._stamp = " ".join([PADDING, *parts])
        self._done: dict[str, NDArray[np.float16]] = self._read()

    def complete(self, progress: Progress) -> dict[Condition, NDArray[np.float32]]:
        """Predicts what is not saved yet, and returns probabilities by condition."""
        conditions = _conditions(self._pictures)
        model: Classifier | None = None
        for split, shift in progress(conditions, len(conditions), self._run.run_id):
            if _key(split, shift) in self._done:
                continue
            if model is None:
                model = load_classifier(self._run, self._stored, self._device)
            self._done[_key(split, shift)] = self._predict(model, split, shift)
            self._write()
        return {
            (split, shift): self._done[_key(split, shift)].astype(np.float32)
            for split, shift in conditions
        }

    def _predict(self, model: Classifier, split: str, shift: FramingShift) -> NDArray[np.float16]:
        drawn = self._pictures[split]
        images = shift_framing(drawn.images, shift, seed=drawn.seed, keys=drawn.rows.tolist())
        probabilities = model.probabilities(images, np.arange(len(images)))
        if not np.isfinite(probabilities).all():
            raise ArtifactError(
                f"The predictions of {self._run.run_id} are not finite; its weights are damaged. "
                "Train it again."
            )
        return probabilities.astype(np.float16)

    def _read(self) -> dict[str, NDArray[np.float16]]:
        try:
            with np.load(self._run.framing_cache_path, allow_pickle=False) as cache:
                if str(cache["stamp"]) == self._stamp:
                    return {name: cache[name] for name in cache.files if name != "stamp"}
        except DAMAGED_ARRAYS:
            pass
        return {}

    def _write(self) -> None:
        path = self._run.framing_cache_path
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            content = {"stamp": np.array(self._stamp), **self._done}
            np.savez_compressed(file, **content)  # type: ignore[arg-type]


def _key(split: str, shift: FramingShift) -> str:
    return f"{split} {shift.change} {shift.amount:g}"
