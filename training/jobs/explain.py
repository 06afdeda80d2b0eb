"""Evaluating saliency methods on a run: faithfulness, and saliency by facial region."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.artifacts import RunDir
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.errors import ArtifactError
from fer_core.explain import faithfulness as metrics
from fer_core.explain.defaults import config_of, made_of, members_methods
from fer_core.explain.evidence import PASSES
from fer_core.explain.features import penultimate, project
from fer_core.explain.ground_truth import Evidence, draw_evidence, drawn_masks, hit, mass_inside
from fer_core.explain.methods import explain, methods_for
from fer_core.explain.regions import Masks, canonical_regions, framing_of, only_drawn, shares
from fer_core.explain.saliency import ExplainError, LogitsFunction, SaliencyMap, Target, to_side
from fer_core.explain.tables import BASELINES, MEMBERS, MeasurementProtocol, hash_of, protocol_of
from fer_core.labels import Emotion
from fer_core.predictor import BorrowedModel, Predictor
from fer_core.records import RunInfo
from fer_core.tables import read_table, write_table
from training.jobs.evaluate import require_split

_BATCH = 8
_DRAWN_SIDE = 96
_REGION_SIDE = 96
_RANDOMISED = 14
_PROJECTED = 1000
_LEVELS = 1024

_Row = dict[str, object]
ExplainedSplit = Literal["validation", "test"]


@dataclass(frozen=True)
class Plan:
    """The faces to explain; the same for all runs of a benchmark.

    Attributes:
        dataset: The prepared dataset.
        rows: Sampled images.
        drawn: Drawn faces with known evidence.
        stored: The drawn faces in the dataset's format.
        seed: Seed of the sample, the noise and the random weights.
        split: Split of the images. On validation only deletion and insertion are measured, which
            choose the default method; everything else is reported on test.
    """

    dataset: PreparedDataset
    rows: NDArray[np.int64]
    drawn: tuple[Evidence, ...]
    stored: NDArray[np.uint8]
    seed: int
    split: ExplainedSplit = "test"

    @property
    def chooses(self) -> bool:
        """Whether the results choose the default method and are not reported."""
        return self.split == "validation"

    def faithfulness_path(self, run: RunDir) -> Path:
        """Returns the file of a run's results."""
        return run.faithfulness_validation_path if self.chooses else run.faithfulness_path

    @property
    def ids(self) -> list[str]:
        """Ids of the sampled images."""
        return [str(name) for name in self.dataset.samples["id"].to_numpy()[self.rows]]

    def protocol(self, info: RunInfo, members: str) -> MeasurementProtocol:
        """Returns the protocol of a run's results; `members` as in `MeasurementProtocol`."""
        return MeasurementProtocol(
            run=made_of(info),
            split_hash=self.dataset.info.split_hash,
            images=len(self.rows),
            samples=hash_of(self.ids),
            seed=self.seed,
            drawn=len(self.drawn),
            parts=f"{framing_of(self.dataset.info)}"
            + (" exact" if only_drawn(self.dataset.info) else ""),
            split=self.split,
            members=members,
        ).current


def make_plan(
    dataset: PreparedDataset, images: int, drawn: int, seed: int, split: ExplainedSplit = "test"
) -> Plan:
    """Samples images, balanced over classes, and draws faces with known evidence.

    Args:
        dataset: The prepared dataset.
        images: Number of images.
        drawn: Number of drawn faces, over the dataset's emotions except neutral.
        seed: Seed of the sample.
        split: Split of the images; on validation no faces are drawn.
    """
    drawn = 0 if split == "validation" else drawn
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(dataset.rows(split))
    # balance: the n-th image of every class comes before the (n + 1)-th of any class
    labels = pd.Series(dataset.targets(shuffled))
    order = np.lexsort((labels.to_numpy(), labels.groupby(labels).cumcount().to_numpy()))
    rows = np.sort(shuffled[order[:images]])
    emotions = [
        emotion
        for emotion in Emotion
        if emotion in dataset.labels.names and emotion != Emotion.NEUTRAL
    ]
    faces: list[Evidence] = []
    for number in range(2 * drawn if emotions else 0):
        if len(faces) == drawn:
            break
        emotion = emotions[number % len(emotions)]
        person = number // len(emotions)
        evidence = draw_evidence(person, emotion, _DRAWN_SIDE, dataset.info.framing)
        if evidence is not None:
            faces.append(evidence)
    stored = [dataset.format.convert(face.image) for face in faces]
    shape = (0, *dataset.format.shape)
    return Plan(
        dataset,
        rows.astype(np.int64),
        tuple(faces),
        np.stack(stored) if stored else np.zeros(shape, np.uint8),
        seed,
        split,
    )


def explain_run(
    predictor: Predictor,
    run: RunDir,
    plan: Plan,
    progress: Progress,
    requested: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> list[str]:
    """Evaluates a run's saliency methods and writes its tables after each method.

    Methods that were evaluated under the same protocol are skipped, so an interrupted command
    continues where it stopped.

    Args:
        predictor: Predictor of the run's benchmark.
        run: A network's or an ensemble's run.
        plan: The faces.
        progress: Shows progress over a method's faces.
        requested: Keys of methods; all that the run supports if empty.
        overwrite: Whether to evaluate methods again; removes results under another protocol.

    Returns:
        The methods that were evaluated now.

    Raises:
        DataError: If the dataset has another split than the run.
        ExplainError: If methods are requested and the run has results of others under another
            protocol, with which they cannot be compared.
    """
    info = run.info()
    require_split(plan.dataset, info.split_hash, run.run_id)
    protocol = plan.protocol(info, members_methods(predictor.benchmark, info))
    suitable = suitable_methods(info)
    path = plan.faithfulness_path(run)
    if requested and not overwrite:
        _require_same_protocol(run, path, protocol)
    tables = _Tables(path, None if plan.chooses else run.regions_path, protocol)
    done = set() if overwrite else tables.done
    todo = [name for name in suitable if (not requested or name in requested) and name not in done]
    masks = _masks(plan) if todo else []
    for name in todo:
        tables.add(*_measure(_Method(predictor, info, plan, name), masks, progress))
    if plan.chooses:
        return todo
    _project(predictor, run, info, plan, protocol, overwrite=overwrite)
    return todo


class _Tables:
    """A run's tables with the results under one protocol; no regions if their path is None."""

    def __init__(
        self, faithfulness: Path, regions: Path | None, protocol: MeasurementProtocol
    ) -> None:
        self._protocol = protocol
        self._paths = [faithfulness, *([regions] if regions else [])]
        self._tables = [_read(path, protocol) for path in self._paths]

    @property
    def done(self) -> set[str]:
        """The methods that all tables hold."""
        return set.intersection(
            *(set() if table is None else set(table["method"]) for table in self._tables)
        )

    def add(self, *results: pd.DataFrame) -> None:
        """Adds a method's results, in the order of the paths, and writes the files.

        The regions are written first, because a method in both files counts as done.
        """
        pairs = zip(self._tables, results, strict=False)
        joined = [self._joined(old, new) for old, new in pairs]
        for path, table in list(zip(self._paths, joined, strict=True))[::-1]:
            write_table(path, self._protocol.stamp(table))
        self._tables = [*joined]

    @staticmethod
    def _joined(old: pd.DataFrame | None, new: pd.DataFrame) -> pd.DataFrame:
        if old is None:
            return new
        kept = old[~old["method"].isin(set(new["method"]))]
        return pd.concat([kept, new], ignore_index=True)


def _require_same_protocol(run: RunDir, path: Path, protocol: MeasurementProtocol) -> None:
    """Raises ExplainError if a run's earlier results have another protocol."""
    try:
        table = read_table(path, ("id", "method"))
        earlier = protocol_of(table, path.name)
    except ArtifactError:
        return
    if protocol.select(table) is not None or earlier.run != protocol.run:
        return
    if replace(earlier, parts=protocol.parts, members=protocol.members) == protocol:
        raise ExplainError(
            f"{run.run_id} was evaluated with another framing of the benchmark's images, so facial "
            "regions cannot be compared. Evaluate all methods again with --overwrite."
        )
    raise ExplainError(
        f"{run.run_id} was evaluated on {earlier.images} images with seed {earlier.seed}, and "
        f"results under two protocols cannot be compared. Pass --images {earlier.images} "
        f"--drawn {earlier.drawn} --seed {earlier.seed}, evaluate all methods without "
        "--method, or remove the earlier results with --overwrite."
    )


def _read(path: Path, protocol: MeasurementProtocol) -> pd.DataFrame | None:
    try:
        return protocol.select(read_table(path, ("id", "method")))
    except ArtifactError:
        return None


def suitable_methods(info: RunInfo) -> list[str]:
    """Returns the methods that a run supports: baselines first, slow methods last."""
    supported = sorted(
        methods_for(config_of(info)),
        key=lambda method: (not method.baseline, PASSES.get(method.key, 1)),
    )
    keys = [method.key for method in supported]
    of_members = [MEMBERS] if info.members else []
    return [*keys[: len(BASELINES)], *of_members, *keys[len(BASELINES) :]]


@dataclass(frozen=True)
class _Method:
    """A saliency method applied to one run and the faces of a plan."""

    predictor: Predictor
    info: RunInfo
    plan: Plan
    name: str

    def borrow(self) -> AbstractContextManager[BorrowedModel]:
        return self.predictor.borrow(self.info.run_id)

    def maps(
        self, stored: NDArray[np.uint8], targets: Sequence[Target | None]
    ) -> list[SaliencyMap]:
        """Explains stored images."""
        if self.name == MEMBERS:
            return [
                self.predictor.explain(face, self.info.run_id, MEMBERS, target)
                for face, target in zip(stored, targets, strict=True)
            ]
        with self.borrow() as model:
            used = model.model_for(self.name)
            return explain(used, model.config, model.prepare(stored), targets, self.name)

    def row(self, metric: str, key: str, value: float, share: float = math.nan) -> _Row:
        return {
            "method": self.name,
            "metric": metric,
            "id": key,
            "share": share,
            "value": float(value),
        }


def _measure(
    method: _Method, masks: Sequence[Masks], progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Evaluates one method on all faces; returns rows of faithfulness and of regions."""
    plan = method.plan
    images = np.asarray(plan.dataset.images[plan.rows])
    faithfulness: list[_Row] = []
    regions: list[_Row] = []
    starts = range(0, len(images), _BATCH)
    for start in progress(starts, len(starts), f"{method.info.run_id}: {method.name}"):
        batch = slice(start, start + _BATCH)
        stored = images[batch]
        maps = method.maps(stored, [None] * len(stored))
        faithfulness += _insertion_deletion(method, plan.ids[batch], stored, maps)
        if not plan.chooses:
            faithfulness += _robustness(method, plan.ids[batch], stored, maps)
            regions += _regions(method, batch, maps, masks[batch])
    if not plan.chooses:
        faithfulness += _randomisation(method)
        faithfulness += _on_drawn_faces(method)
    return pd.DataFrame(faithfulness), pd.DataFrame(regions)


def _insertion_deletion(
    method: _Method, ids: Sequence[str], stored: NDArray[np.uint8], maps: Sequence[SaliencyMap]
) -> list[_Row]:
    """Measures insertion and deletion of maps."""
    rows: list[_Row] = []
    with method.borrow() as model:
        for key, image, saliency in zip(ids, model.prepare(stored), maps, strict=True):
            (curves,) = metrics.insertion_deletion(model.logits, image, [saliency])
            rows.append(method.row("deletion", key, curves.deletion_area))
            rows.append(method.row("insertion", key, curves.insertion_area))
    return rows


def _robustness(
    method: _Method, ids: Sequence[str], stored: NDArray[np.uint8], maps: Sequence[SaliencyMap]
) -> list[_Row]:
    """Measures ROAD and stability to noise of maps."""
    rows: list[_Row] = []
    with method.borrow() as model:
        inputs = model.prepare(stored)
        for key, image, saliency in zip(ids, inputs, maps, strict=True):
            (road,) = metrics.road(model.logits, image, [saliency])
            rows.append(method.row("road", key, road))
        if method.name != MEMBERS:
            explainer, seed = _explainer(method.name, model), method.plan.seed
            used = model.model_for(method.name)
            stability = metrics.stability(explainer, used, inputs, list(maps), seed=seed)
            rows += [
                method.row("stability", key, value)
                for key, value in zip(ids, stability, strict=True)
            ]
    return rows


def _regions(
    method: _Method, batch: slice, maps: Sequence[SaliencyMap], masks: Sequence[Masks]
) -> list[_Row]:
    """Measures the saliency by region of maps."""
    plan, labels = method.plan, method.plan.dataset.labels.names
    truth = plan.dataset.targets(plan.rows[batch])
    rows: list[_Row] = []
    for key, saliency, target, mask in zip(plan.ids[batch], maps, truth, masks, strict=True):
        values = torch.from_numpy(saliency.values)[None]
        rows.append(
            {
                "method": method.name,
                "id": key,
                "label": labels[target],
                "predicted": labels[int(saliency.logits.argmax())],
                **shares(to_side(values, len(mask["eyes"]))[0].numpy(), mask),
                "cells": _stored_map(saliency),
            }
        )
    return rows


def _stored_map(saliency: SaliencyMap) -> NDArray[np.float16]:
    """Returns the cells' values, scaled to a peak of 1 and rounded, which makes files smaller."""
    cells = metrics.cell_means(saliency.values).ravel()
    peak = np.abs(cells).max()
    return (np.round(cells / (peak or 1.0) * _LEVELS) / _LEVELS).astype(np.float16)


def _masks(plan: Plan) -> Sequence[Masks]:
    """Returns the regions of each sampled image: exact for drawn faces, else canonical."""
    info = plan.dataset.info
    exact = drawn_masks(plan.dataset, plan.rows) if only_drawn(info) else None
    if exact is not None:
        return exact
    return [canonical_regions(_REGION_SIDE, framing_of(info))] * len(plan.rows)


def _explainer(name: str, borrowed: BorrowedModel) -> metrics.Explainer:
    def explainer(
        model: LogitsFunction, inputs: Tensor, targets: Sequence[Target | None]
    ) -> list[SaliencyMap]:
        return explain(model, borrowed.config, inputs, targets, name)

    return explainer


def _randomisation(method: _Method) -> list[_Row]:
    """Compares maps with those of the network after cascading weight randomisation."""
    if method.info.kind != "network":
        return []
    plan = method.plan
    sample = plan.rows[:: max(1, len(plan.rows) // _RANDOMISED)][:_RANDOMISED]
    ids = plan.dataset.samples["id"].to_numpy()[sample]
    rows = []
    with method.borrow() as model:
        assert isinstance(model.model, nn.Module)  # noqa: S101 (a network's run)
        inputs = model.prepare(np.asarray(plan.dataset.images[sample]))
        explainer = _explainer(method.name, model)
        maps = explainer(model.model, inputs, [None] * len(sample))
        steps, similarities = metrics.randomisation(
            explainer, model.model, inputs, maps, seed=plan.seed
        )
    for share, values in zip(steps, similarities, strict=True):
        rows += [
            method.row("randomisation", str(key), value, share=float(share))
            for key, value in zip(ids, values, strict=True)
        ]
    return rows


def _on_drawn_faces(method: _Method) -> list[_Row]:
    """Measures on drawn faces how much of a map lies on the known evidence for the emotion."""
    plan, rows = method.plan, []
    labels = plan.dataset.labels
    targets = [Target(labels.index(str(evidence.emotion))) for evidence in plan.drawn]
    for start in range(0, len(plan.drawn), _BATCH):
        batch = slice(start, start + _BATCH)
        maps = method.maps(plan.stored[batch], targets[batch])
        for index, (saliency, evidence) in enumerate(zip(maps, plan.drawn[batch], strict=True)):
            values = to_side(torch.from_numpy(saliency.values)[None], _DRAWN_SIDE)[0].numpy()
            key = f"drawn/{start + index:03d}"
            # a tolerance of 2 px, because stored pixels are larger than drawn ones
            rows.append(method.row("pointing", key, float(hit(values, evidence.mask, 2))))
            rows.append(method.row("inside", key, mass_inside(values, evidence.mask)))
    return rows


def _project(
    predictor: Predictor,
    run: RunDir,
    info: RunInfo,
    plan: Plan,
    protocol: MeasurementProtocol,
    *,
    overwrite: bool,
) -> None:
    """Projects test images' features to the plane and writes `projection.parquet`."""
    if info.kind != "network":
        return
    if not overwrite and _read(run.projection_path, protocol) is not None:
        return
    test = plan.dataset.rows("test")
    sample = np.sort(np.random.default_rng(plan.seed).permutation(test)[:_PROJECTED])
    features, logits = [], []
    with predictor.borrow(info.run_id) as model:
        assert model.spec is not None  # noqa: S101 (a network's run)
        for start in range(0, len(sample), 64):
            rows = sample[start : start + 64]
            inputs = model.prepare(np.asarray(plan.dataset.images[rows]))
            features.append(penultimate(model.model, model.spec, inputs))
            logits.append(metrics.batched_logits(model.model, inputs).cpu().numpy())
    plane = project(np.concatenate(features), plan.seed)
    names = np.array(plan.dataset.labels.names, dtype=object)
    table = pd.DataFrame(
        {
            "id": plan.dataset.samples["id"].to_numpy()[sample],
            "label": names[plan.dataset.targets(sample)],
            "predicted": names[np.concatenate(logits).argmax(axis=1)],
            "x": plane[:, 0],
            "y": plane[:, 1],
        }
    )
    write_table(run.projection_path, protocol.stamp(table))
