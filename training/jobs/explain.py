"""Saliency of a run over a sample of the test images: where it lies and whether it is faithful."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.artifacts import RunDir, read_table, write_table
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.errors import ArtifactError
from fer_core.explain import faithfulness
from fer_core.explain.features import penultimate, project
from fer_core.explain.ground_truth import Evidence, draw_evidence, drawn_masks, hit, mass_inside
from fer_core.explain.methods import explain, methods_for
from fer_core.explain.regions import Masks, canonical_regions, framing_of, only_drawn, shares
from fer_core.explain.saliency import ExplainError, LogitsFunction, SaliencyMap, Target, to_side
from fer_core.explain.tables import BASELINES, MEMBERS, MeasurementProtocol, hash_of, protocol_of
from fer_core.labels import Emotion
from fer_core.predictor import BorrowedModel, Predictor
from fer_core.records import RunInfo
from training.jobs.evaluate import require_split

_BATCH = 8
_DRAWN_SIDE = 96
_REGION_SIDE = 96
_RANDOMISED = 14
_PROJECTED = 1000


@dataclass(frozen=True)
class Plan:
    """What is explained in every run of a benchmark: the same faces.

    Attributes:
        dataset: The prepared set.
        rows: Sampled test images.
        drawn: Drawn faces with known evidence.
        stored: Those faces in the set's format.
        seed: Of the sample, the noise and the random weights.
    """

    dataset: PreparedDataset
    rows: NDArray[np.int64]
    drawn: tuple[Evidence, ...]
    stored: NDArray[np.uint8]
    seed: int

    @property
    def ids(self) -> list[str]:
        """The sampled images' ids."""
        return [str(name) for name in self.dataset.samples["id"].to_numpy()[self.rows]]

    def protocol(self, info: RunInfo) -> MeasurementProtocol:
        """Returns what a run's numbers under this plan stand on."""
        return MeasurementProtocol(
            run=f"{info.run_id} {info.created}",
            split_hash=self.dataset.info.split_hash,
            images=len(self.rows),
            samples=hash_of(self.ids),
            seed=self.seed,
            drawn=len(self.drawn),
            parts=f"{framing_of(self.dataset.info)}"
            + (" exact" if only_drawn(self.dataset.info) else ""),
        )


def make_plan(dataset: PreparedDataset, images: int, drawn: int, seed: int) -> Plan:
    """Draws test images, as many of each class as there are, and faces with known evidence.

    Args:
        dataset: The prepared set.
        images: How many test images.
        drawn: How many drawn faces, over the emotions that the set knows and that move a part.
        seed: Of the sample.
    """
    test = dataset.rows("test")
    random = np.random.default_rng(seed)
    shuffled = random.permutation(test)
    # the n-th image of each class before the (n + 1)-th of any
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
    stored = [dataset.format.convert(one.image) for one in faces]
    shape = (0, *dataset.format.shape)
    return Plan(
        dataset,
        rows.astype(np.int64),
        tuple(faces),
        np.stack(stored) if stored else np.zeros(shape, np.uint8),
        seed,
    )


def explain_run(
    predictor: Predictor,
    run: RunDir,
    plan: Plan,
    progress: Progress,
    wanted: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> list[str]:
    """Measures a run's saliency methods and writes its three tables, a method at a time.

    Methods that were measured under the same protocol are left as they are, so an interrupted
    command goes on where it stopped.

    Args:
        predictor: Of the run's benchmark.
        run: A network's or an ensemble's run.
        plan: The faces.
        progress: Shows how far a method is.
        wanted: Keys of methods; all that suit the run by default.
        overwrite: Measure again what is there: the wanted methods, or all. What was measured under
            another protocol goes.

    Returns:
        The methods that were measured now.

    Raises:
        DataError: If the set's split is not the run's.
        ExplainError: If some methods alone are wanted and the run's others were measured under
            another protocol, with which they cannot stand.
    """
    info = run.info()
    require_split(plan.dataset, info.split_hash, run.run_id)
    protocol = plan.protocol(info)
    suitable = suitable_methods(predictor, info)
    if wanted and not overwrite:
        _require_same(run, protocol)
    measured = _Tables(run, protocol, overwrite=overwrite)
    todo = [
        name for name in suitable if (not wanted or name in wanted) and name not in measured.done
    ]
    masks = _masks(plan) if todo else []
    for name in todo:
        rows, places = _measure(predictor, info, plan, name, masks, progress)
        measured.add(rows, places)
    _project(predictor, run, info, plan, protocol, overwrite=overwrite)
    return todo


class _Tables:
    """The tables of a run, as far as they were measured under one protocol."""

    def __init__(self, run: RunDir, protocol: MeasurementProtocol, *, overwrite: bool) -> None:
        self._run, self._protocol = run, protocol
        paths = (run.faithfulness_path, run.regions_path)
        tables = [_read(path, protocol) for path in paths]
        self._rows, self._places = tables
        both = [set() if table is None else set(table["method"]) for table in tables]
        self.done: set[str] = set() if overwrite else both[0] & both[1]

    def add(self, rows: pd.DataFrame, places: pd.DataFrame) -> None:
        """Adds a method and writes both files."""
        self._places = self._joined(self._places, places)
        self._rows = self._joined(self._rows, rows)
        self.done |= set(rows["method"])
        write_table(self._run.regions_path, self._protocol.stamp(self._places))
        write_table(self._run.faithfulness_path, self._protocol.stamp(self._rows))

    @staticmethod
    def _joined(old: pd.DataFrame | None, new: pd.DataFrame) -> pd.DataFrame:
        if old is None:
            return new
        kept = old[~old["method"].isin(set(new["method"]))]
        return pd.concat([kept, new], ignore_index=True)


def _require_same(run: RunDir, protocol: MeasurementProtocol) -> None:
    """Refuses to replace all of a run's table by a few methods under another protocol."""
    try:
        table = read_table(run.faithfulness_path, ("id",))
        earlier = protocol_of(table, run.faithfulness_path.name)
    except ArtifactError:
        return
    if earlier != protocol and earlier.run == protocol.run:
        raise ExplainError(
            f"{run.run_id} was measured on {earlier.images} images with seed {earlier.seed}, and "
            f"methods under two protocols cannot be compared. Give --images {earlier.images} "
            f"--drawn {earlier.drawn} --seed {earlier.seed} for these, measure all methods by "
            "leaving out --method, or drop the earlier ones with --overwrite."
        )


def _read(path: Path, protocol: MeasurementProtocol) -> pd.DataFrame | None:
    try:
        table = read_table(path, ("id",))
    except ArtifactError:
        return None
    return table if protocol.fits(table) else None


def suitable_methods(predictor: Predictor, info: RunInfo) -> list[str]:
    """Returns the methods that suit a run: the baselines first, the slow ones last."""
    config, own = None, [MEMBERS] if info.kind == "ensemble" else []
    if info.kind == "network":
        with predictor.borrow(info.run_id) as subject:
            config = subject.config
    fitting = sorted(methods_for(config), key=lambda method: (not method.baseline, method.slow))
    keys = [method.key for method in fitting]
    return [*keys[: len(BASELINES)], *own, *keys[len(BASELINES) :]]


def _measure(
    predictor: Predictor,
    info: RunInfo,
    plan: Plan,
    name: str,
    masks: Sequence[Masks],
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measures one method on all faces."""
    title = f"{info.run_id}: {name}"
    images = np.asarray(plan.dataset.images[plan.rows])
    labels = plan.dataset.labels.names
    truth = plan.dataset.targets(plan.rows)
    rows: list[dict[str, object]] = []
    places: list[dict[str, object]] = []
    starts = range(0, len(images), _BATCH)
    for start in progress(starts, len(starts), title):
        part = slice(start, start + _BATCH)
        stored = images[part]
        maps = _maps(predictor, info, stored, name, [None] * len(stored))
        ids = plan.ids[part]
        with predictor.borrow(info.run_id) as subject:
            inputs = subject.prepare(stored)
            for key, image, one in zip(ids, inputs, maps, strict=True):
                (curves,) = faithfulness.insertion_deletion(subject.model, image, [one])
                (removed,) = faithfulness.road(subject.model, image, [one])
                rows += [
                    _row(name, "deletion", key, curves.deletion_area),
                    _row(name, "insertion", key, curves.insertion_area),
                    _row(name, "road", key, removed),
                ]
            if name != MEMBERS:
                steady = faithfulness.stability(
                    _by(name, subject), subject.model, inputs, maps, seed=plan.seed
                )
                rows += [
                    _row(name, "stability", key, value)
                    for key, value in zip(ids, steady, strict=True)
                ]
        for key, one, target, own in zip(ids, maps, truth[part], masks[part], strict=True):
            sized = to_side(torch.from_numpy(one.values)[None], len(own["eyes"]))[0].numpy()
            cells = faithfulness.cell_means(one.values).ravel()
            peak = np.abs(cells).max()
            places.append(
                {
                    "method": name,
                    "id": key,
                    "label": labels[target],
                    "predicted": labels[int(one.logits.argmax())],
                    **shares(sized, own),
                    "cells": (cells / peak if peak > 0 else cells).astype(np.float32),
                }
            )
    rows += _randomisation(predictor, info, plan, name)
    rows += _on_drawn_faces(predictor, info, plan, name)
    return pd.DataFrame(rows), pd.DataFrame(places)


def _masks(plan: Plan) -> Sequence[Masks]:
    """Returns each sampled image's regions: exact ones of drawn faces, else the usual places."""
    info = plan.dataset.info
    exact = drawn_masks(plan.dataset, plan.rows) if only_drawn(info) else None
    if exact is not None:
        return exact
    return [canonical_regions(_REGION_SIDE, framing_of(info))] * len(plan.rows)


def _maps(
    predictor: Predictor,
    info: RunInfo,
    stored: NDArray[np.uint8],
    name: str,
    targets: Sequence[Target | None],
) -> list[SaliencyMap]:
    if name == MEMBERS:
        return [
            predictor.explain(face, info.run_id, None, target)
            for face, target in zip(stored, targets, strict=True)
        ]
    with predictor.borrow(info.run_id) as subject:
        return explain(subject.model, subject.config, subject.prepare(stored), targets, name)


def _by(name: str, subject: BorrowedModel) -> faithfulness.Explainer:
    def explainer(
        model: LogitsFunction, inputs: Tensor, targets: Sequence[Target | None]
    ) -> list[SaliencyMap]:
        return explain(model, subject.config, inputs, targets, name)

    return explainer


def _randomisation(
    predictor: Predictor, info: RunInfo, plan: Plan, name: str
) -> list[dict[str, object]]:
    """Compares a few maps with those of networks with ever more random weights."""
    if info.kind != "network":
        return []
    few = plan.rows[:: max(1, len(plan.rows) // _RANDOMISED)][:_RANDOMISED]
    ids = plan.dataset.samples["id"].to_numpy()[few]
    rows = []
    with predictor.borrow(info.run_id) as subject:
        assert isinstance(subject.model, nn.Module)  # noqa: S101 (a network's run)
        inputs = subject.prepare(np.asarray(plan.dataset.images[few]))
        explainer = _by(name, subject)
        maps = explainer(subject.model, inputs, [None] * len(few))
        steps, similar = faithfulness.randomisation(
            explainer, subject.model, inputs, maps, seed=plan.seed
        )
    for share, values in zip(steps, similar, strict=True):
        rows += [
            _row(name, "randomisation", str(key), value, share=float(share))
            for key, value in zip(ids, values, strict=True)
        ]
    return rows


def _on_drawn_faces(
    predictor: Predictor, info: RunInfo, plan: Plan, name: str
) -> list[dict[str, object]]:
    """Asks for each drawn face what speaks for its emotion, and whether that is where it is."""
    rows = []
    labels = plan.dataset.labels
    targets = [Target(labels.index(str(one.emotion))) for one in plan.drawn]
    for start in range(0, len(plan.drawn), _BATCH):
        part = slice(start, start + _BATCH)
        maps = _maps(predictor, info, plan.stored[part], name, targets[part])
        for number, (one, evidence) in enumerate(zip(maps, plan.drawn[part], strict=True)):
            sized = to_side(torch.from_numpy(one.values)[None], _DRAWN_SIDE)[0].numpy()
            key = f"drawn/{start + number:03d}"
            # by as much as a stored pixel may be off
            rows.append(_row(name, "pointing", key, float(hit(sized, evidence.mask, 2))))
            rows.append(_row(name, "inside", key, mass_inside(sized, evidence.mask)))
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
    """Lays test images out by what the classifier reads of them."""
    if info.kind != "network":
        return
    if not overwrite and _read(run.projection_path, protocol) is not None:
        return
    test = plan.dataset.rows("test")
    chosen = np.random.default_rng(plan.seed).permutation(test)[:_PROJECTED]
    chosen.sort()
    features, logits = [], []
    with predictor.borrow(info.run_id) as subject:
        assert subject.spec is not None  # noqa: S101 (a network's run)
        for start in range(0, len(chosen), 64):
            rows = chosen[start : start + 64]
            inputs = subject.prepare(np.asarray(plan.dataset.images[rows]))
            features.append(penultimate(subject.model, subject.spec, inputs))
            logits.append(faithfulness.answer(subject.model, inputs).cpu().numpy())
    plane = project(np.concatenate(features), plan.seed)
    names = np.array(plan.dataset.labels.names, dtype=object)
    table = pd.DataFrame(
        {
            "id": plan.dataset.samples["id"].to_numpy()[chosen],
            "label": names[plan.dataset.targets(chosen)],
            "predicted": names[np.concatenate(logits).argmax(axis=1)],
            "x": plane[:, 0],
            "y": plane[:, 1],
        }
    )
    write_table(run.projection_path, protocol.stamp(table))


def _row(
    method: str, metric: str, key: str, value: float, share: float = float("nan")
) -> dict[str, object]:
    return {"method": method, "metric": metric, "id": key, "share": share, "value": float(value)}
