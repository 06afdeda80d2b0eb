"""Probing finished runs with drawn faces."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.image_changes import IMAGE_CHANGES
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.data.probe_pictures import ProbePictures, change_images
from fer_core.data.progress import Progress
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.ensemble import require_members
from fer_core.evaluation.probes import ProbePredictions, face_table, probe_stamp
from fer_core.evaluation.real_changes import SCHEMA_VERSION, change_row, read_real_changes
from fer_core.evaluation.robustness import samples_hash
from fer_core.records import RunInfo
from fer_core.synthetic.probe_design import ProbeFace, ProbeView
from fer_core.tables import write_table
from training.jobs.measure import (
    SampledPictures,
    average_members,
    require_predicts,
    require_unchanged,
)
from training.jobs.saved_predictions import SavedPredictions, saved_by_member, weights_stamp

_REAL = "real "
"""Prefix of the names of sets of real pictures."""

_UNCHANGED = f"{_REAL}unchanged"


@dataclass(frozen=True)
class PreparedProbe:
    """The pictures that runs predict.

    Attributes:
        drawn: The drawn faces.
        real: Validation pictures; None if the data set is not on this machine.
        real_hash: Hash of their ids; empty without them.
    """

    drawn: ProbePictures
    real: NDArray[np.uint8] | None
    real_hash: str

    @classmethod
    def prepare(
        cls, benchmark: BenchmarkDir, dataset: PreparedDataset | None, count: int, seed: int
    ) -> "PreparedProbe":
        """Prepares the pictures of a benchmark; nothing is drawn yet.

        Args:
            benchmark: The benchmark.
            dataset: Prepared data set of the benchmark; None if it is not on this machine.
            count: Number of validation pictures.
            seed: Seed of their sample.

        Raises:
            DataError: If the data set has another split than the benchmark.
        """
        info = benchmark.info()
        stored = SampleFormat.of(info)
        drawn = ProbePictures(stored, ProbeView.of(info), benchmark.cache_dir)
        if dataset is None or count == 0:
            return cls(drawn, None, "")
        if dataset.info.split_hash != info.split_hash:
            raise DataError(
                f"The prepared data set {dataset.info.name} has another split than the benchmark. "
                "Prepare the data again with the same options."
            )
        sample = SampledPictures.draw(dataset, count, seed, "validation")
        return cls(drawn, sample.images, samples_hash(sample.truth))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sets of pictures."""
        changed = (f"{_REAL}{change}" for change in IMAGE_CHANGES)
        return (*self.drawn.blocks, *((_UNCHANGED, *changed) if self.real is not None else ()))

    @property
    def faces(self) -> tuple[ProbeFace, ...]:
        """All drawn faces, block by block."""
        return tuple(face for block in self.drawn.blocks for face in self.drawn.faces(block))

    @property
    def size(self) -> int:
        """Number of pictures that each network predicts."""
        changed = 0 if self.real is None else len(self.real) * (1 + len(IMAGE_CHANGES))
        return len(self.faces) + changed

    def images(self, name: str) -> NDArray[np.uint8]:
        """Returns the pictures of a set."""
        if self.real is None or not name.startswith(_REAL):
            return self.drawn.images(name)
        change = name.removeprefix(_REAL)
        return self.real if name == _UNCHANGED else change_images(self.real, change)


def probe_run(
    run: RunDir,
    probe: PreparedProbe,
    device: torch.device,
    progress: Progress,
    *,
    again: bool = False,
) -> bool:
    """Writes a run's `probes.parquet`, and `real_changes.parquet` where real pictures are present.

    An ensemble's predictions come from its members'. An interrupted probe continues.

    Args:
        run: A network's or an ensemble's run.
        probe: The pictures.
        device: Device to predict on.
        progress: Shows progress over the sets of pictures.
        again: Whether to probe again if the same pictures were probed already.

    Returns:
        False if the same pictures were probed already.

    Raises:
        FerscopeError: If the run or a member is damaged.
    """
    info = run.info()
    if not again and _is_probed(run, info, probe):
        return False
    require_predicts(run)
    require_members(run)

    def saved_of(member: RunDir) -> SavedPredictions:
        return SavedPredictions(member, member.probe_cache_path, _stamp(member, probe))

    members = [
        saved.complete(probe.names, probe.images, probe.drawn.stored, device, progress)
        for saved in saved_by_member(run, info, saved_of, again=again)
    ]
    predictions = {
        name: average_members([member[name] for member in members], info) for name in probe.names
    }
    require_unchanged(run, info)
    _write(run, info, probe, predictions)
    return True


def _stamp(run: RunDir, probe: PreparedProbe) -> str:
    pictures = f"{probe.drawn.design} {probe.real_hash} {list(IMAGE_CHANGES)}"
    return f"{pictures} {weights_stamp(run)}"


def _is_probed(run: RunDir, info: RunInfo, probe: PreparedProbe) -> bool:
    if probe_stamp(run.probes_path) != (probe.drawn.design, info.created):
        return False
    if probe.real is None:
        return True
    try:
        first = read_real_changes(run.real_changes_path).iloc[0]
    except ArtifactError:
        return False
    return (first["samples_hash"], first["run_created"]) == (probe.real_hash, info.created)


def _write(
    run: RunDir, info: RunInfo, probe: PreparedProbe, predictions: Mapping[str, NDArray[np.float32]]
) -> None:
    blocks = probe.drawn.blocks
    labels = run.benchmark.info().label_set
    probabilities = np.concatenate([predictions[block] for block in blocks]).astype(np.float64)
    table = ProbePredictions(labels, face_table(probe.faces), probabilities)
    table.write(run.probes_path, probe.drawn.design, info.created)
    if probe.real is None:
        return
    before = predictions[_UNCHANGED].astype(np.float64)
    rows = [
        change_row(change, before, predictions[f"{_REAL}{change}"].astype(np.float64), labels)
        for change in IMAGE_CHANGES
    ]
    changes = pd.DataFrame(rows).assign(
        schema_version=SCHEMA_VERSION, run_created=info.created, samples_hash=probe.real_hash
    )
    write_table(run.real_changes_path, changes)
