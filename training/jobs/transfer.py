"""Transfers the finished runs of a benchmark to another set of pictures.

Faces are found once; then each network predicts all of them in batches. Ensembles are computed
from their members' predictions. Faces and predictions are cached by content, so that an
interrupted or repeated transfer computes only what is missing.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fer_core.abilities import abilities_of, model_file
from fer_core.artifacts import BenchmarkDir, safe_name
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset, is_prepared
from fer_core.data.splits import split_hash
from fer_core.data.transfer_faces import FaceOptions, FoundFaces, find_set_faces
from fer_core.data.transfer_set import SetFacts, is_unlabelled_class, write_set
from fer_core.data.transfer_source import PictureSet, SetOptions, mapped_to, open_set
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.ensemble import average_probabilities
from fer_core.evaluation.report import Report
from fer_core.evaluation.shift import ShiftReport
from fer_core.evaluation.shift_build import write_shift
from fer_core.evaluation.transfers import TransferredSamples, rescore, write_transferred_run
from fer_core.files import content_hash, try_lock
from fer_core.predictor.predictor import Predictor
from fer_core.records import RunInfo, shown_titles
from training.jobs.prediction_cache import PredictionCache
from training.jobs.transfer_progress import TransferProgressFile
from training.jobs.transfer_reference import measure_set, reference_of

BATCH = 256
"""Faces per file of cached predictions: what an interruption loses."""

FORWARD = 64
"""Faces per forward pass, as in `predict`."""


@dataclass(frozen=True)
class TransferOptions:
    """Options of `transfer`.

    Attributes:
        name: Name of the transferred set.
        title: Title of the set; the name of the source if empty.
        pictures: The user's options for the pictures.
        cropped: Whether all pictures are cropped faces.
        all_faces: Whether every face of a picture is used, and not only the largest.
        run_ids: Runs to transfer; all that can predict if empty.
        device: Device of the networks; a GPU if there is one by default.
        engine: Place of the predictions: this process, or a Ray cluster.
        workers: Workers of the cluster; None for one per GPU, or per CPU core.
    """

    name: str
    title: str = ""
    pictures: SetOptions = field(default_factory=SetOptions)
    cropped: bool = False
    all_faces: bool = False
    run_ids: tuple[str, ...] = ()
    device: torch.device | None = None
    engine: Literal["local", "ray"] = "local"
    workers: int | None = None


@dataclass(frozen=True)
class Transferred:
    """Result of `transfer`.

    Attributes:
        benchmark: The transferred set.
        classes: The benchmark's class of each class of the set; empty if it lacks it.
        counts: Pictures of each class of the set.
        notes: Sentences on what the reader assumed.
        faces: Faces that were found in the pictures.
        reports: Reports of the runs, by id.
        left_out: Runs that could not predict, and why.
        shift: Comparison with the benchmark.
    """

    benchmark: BenchmarkDir
    classes: Mapping[str, str]
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    faces: FoundFaces
    reports: Mapping[str, Report]
    left_out: Mapping[str, str]
    shift: ShiftReport


def transfer(
    origin: BenchmarkDir,
    path: str,
    options: TransferOptions,
    data: Path,
    progress: TransferProgressFile,
) -> Transferred:
    """Predicts the pictures of a set with finished runs, and writes the set as a benchmark.

    Args:
        origin: The benchmark whose runs are transferred.
        path: Path of the set, or the name of a prepared data set.
        options: Name of the set, and how it is read.
        data: Folder of prepared data sets.
        progress: Shows progress.

    Raises:
        DataError: If the set cannot be read, its classes cannot be mapped, or it has no face.
        ArtifactError: If no run can predict, or another process transfers to this set.
    """
    info = origin.info()
    benchmark = origin.transfer(safe_name(options.name, "set"))
    benchmark.cache_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if not stack.enter_context(try_lock(benchmark.cache_dir)):
            raise ArtifactError(
                f"Another process is transferring to {options.name}. Wait until it is finished, "
                "or give another --name."
            )
        stack.enter_context(progress.of(benchmark))
        runs, left_out = select_runs(origin, options.run_ids)
        prepared = data / path if _is_prepared(data, path) else None
        before = _snapshot(path)
        pictures = open_set(path, prepared, options.pictures)
        classes = mapped_to(_labelled(pictures), info.label_set, options.pictures.mapping)
        progress.plan(pictures.length, sum(not run.members for run in runs.values()))
        faces = _find_faces(origin, benchmark, pictures, options, progress)
        facts = SetFacts(pictures, classes, options.title or pictures.origin.title)
        dataset = write_set(benchmark, data, faces, facts, progress.wrap)
        reports, failed = predict_set(origin, benchmark, dataset, runs, options, progress)
        _rescore_others(benchmark, dataset, reports)
        shift = compare(origin, benchmark, dataset, data, progress)
        return Transferred(
            benchmark,
            classes,
            pictures.classes,
            (*pictures.notes, *_changes(before, _snapshot(path))),
            faces,
            reports,
            {**left_out, **failed},
            shift,
        )


def select_runs(
    origin: BenchmarkDir, run_ids: Sequence[str]
) -> tuple[dict[str, RunInfo], dict[str, str]]:
    """Returns the runs to transfer with the members of their ensembles, and why others cannot.

    Raises:
        ArtifactError: If a requested run is unknown or cannot predict, or no run can.
    """
    infos, left_out = _run_infos(origin)
    titles = shown_titles({run_id: info.title for run_id, info in infos.items()})
    known: dict[str, RunInfo] = {}
    for run_id, info in infos.items():
        named = info.model_copy(update={"title": titles[run_id]})
        try:
            abilities = abilities_of(origin.run(run_id), named)
        except ArtifactError as error:
            left_out[run_id] = str(error)
            continue
        if abilities.predicts:
            known[run_id] = info
        else:
            left_out[run_id] = abilities.reason
    for name in run_ids:
        if name not in known:
            reason = left_out.get(name, f"Its runs that can predict: {', '.join(known) or 'none'}.")
            raise ArtifactError(f"{origin.name} has no run {name!r} that can predict. {reason}")
    requested = list(run_ids) or list(known)
    if not requested:
        raise ArtifactError(f"{origin.name} has no run that can predict. Train one first.")
    members = {member for name in requested for member in known[name].members}
    selected = {name: info for name, info in known.items() if name in members or name in requested}
    return selected, {} if run_ids else left_out


def _run_infos(origin: BenchmarkDir) -> tuple[dict[str, RunInfo], dict[str, str]]:
    """Returns the metadata of the runs by id, and why that of others cannot be read."""
    infos: dict[str, RunInfo] = {}
    problems: dict[str, str] = {}
    for run in origin.runs():
        try:
            infos[run.run_id] = run.info()
        except ArtifactError as error:
            problems[run.run_id] = str(error)
    return infos, problems


def predict_set(
    origin: BenchmarkDir,
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    runs: Mapping[str, RunInfo],
    options: TransferOptions,
    progress: TransferProgressFile,
) -> tuple[dict[str, Report], dict[str, str]]:
    """Predicts the set's faces with each network, averages ensembles, and writes the runs.

    Returns:
        Reports by run id, and why other runs could not predict.
    """
    samples = TransferredSamples(dataset.samples, split_hash(dataset.samples))
    digests = dataset.samples["sha1"].tolist()
    if options.engine == "ray":
        _predict_on_cluster(origin, benchmark, dataset, runs, options, progress)
    predictor = Predictor(origin, options.device, capacity=1)
    by_run: dict[str, NDArray[np.float64]] = {}
    reports: dict[str, Report] = {}
    failed: dict[str, str] = {}
    ordered = sorted(runs.items(), key=lambda item: bool(item[1].members))
    for run_id, info in ordered:
        missing = [member for member in info.members if member not in by_run]
        if missing:
            failed[run_id] = f"Its member {missing[0]!r} could not predict."
            continue
        try:
            if info.members:
                probabilities = average_probabilities(
                    [by_run[name] for name in info.members], info.member_weights, info.logit_shift
                )
            else:
                cache = PredictionCache(benchmark, run_id, _model_key(origin, info))
                steps = _predict_missing(predictor, run_id, dataset, digests, cache)
                for _ in progress.work(steps, len(digests), f"predicting with {info.title}"):
                    pass
                cache.merge()
                probabilities = cache.probabilities(digests)
            by_run[run_id] = probabilities
            reports[run_id] = write_transferred_run(
                benchmark.run(run_id), info, probabilities, samples
            )
        except FerscopeError as error:
            failed[run_id] = str(error)
    if not reports:
        raise ArtifactError(f"No run could predict. {next(iter(failed.values()), '')}")
    return reports, failed


def _predict_on_cluster(
    origin: BenchmarkDir,
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    runs: Mapping[str, RunInfo],
    options: TransferOptions,
    progress: TransferProgressFile,
) -> None:
    """Fills the caches of the networks, which `predict_set` then reads."""
    from training.jobs.transfer_on_ray import PredictSetJob, predict_set_on_ray

    digests = dataset.samples["sha1"].tolist()
    caches = {
        run_id: PredictionCache(benchmark, run_id, _model_key(origin, info))
        for run_id, info in runs.items()
        if not info.members and model_file(origin.run(run_id), info).is_file()
    }
    device = None if options.device is None else str(options.device)
    job = PredictSetJob(origin.root.absolute(), dataset.folder.absolute(), FORWARD, device)
    steps = predict_set_on_ray(caches, digests, job, BATCH, options.workers)
    total = sum(len(cache.missing(digests)) for cache in caches.values())
    for _ in progress.work(steps, total, "predicting on the cluster"):
        pass


def compare(
    origin: BenchmarkDir,
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    data: Path,
    progress: TransferProgressFile,
) -> ShiftReport:
    """Compares a transferred set with its benchmark, and writes what changed.

    The benchmark's statistics are computed first if they are missing and its pictures are here.
    """
    detector = CenterFaceDetector()
    known = PreparedDataset.open_if_present(data / origin.name)
    reference = reference_of(origin, known, detector, progress.wrap)
    if reference is not None:
        measure_set(origin, benchmark, dataset, reference, detector, progress.wrap)
    return write_shift(benchmark)


def _rescore_others(
    benchmark: BenchmarkDir, dataset: PreparedDataset, reports: Mapping[str, Report]
) -> None:
    """Scores runs of earlier transfers by the current labels; removes those of other faces."""
    samples = TransferredSamples(dataset.samples, split_hash(dataset.samples))
    for run in benchmark.runs():
        if run.run_id in reports or rescore(run, samples) is not None:
            continue
        if not run.own_weights_path.is_file():  # an adapted run is kept
            shutil.rmtree(run.root, ignore_errors=True)


def _predict_missing(
    predictor: Predictor,
    run_id: str,
    dataset: PreparedDataset,
    digests: Sequence[str],
    cache: PredictionCache,
) -> Iterator[int]:
    """Predicts the faces that have no prediction yet, and yields once for each face."""
    missing = cache.missing(digests)
    yield from range(len(digests) - len(missing))
    for start in range(0, len(missing), BATCH):
        rows = missing[start : start + BATCH]
        stored = [np.asarray(dataset.images[row]) for row in rows]
        (prediction,) = predictor.predict(stored, [run_id], FORWARD)
        cache.add([digests[row] for row in rows], prediction.probabilities)
        yield from rows


def _model_key(origin: BenchmarkDir, info: RunInfo) -> str:
    weights = content_hash(model_file(origin.run(info.run_id), info))
    facts = (weights, info.preprocessing_hash, info.base_hash, info.outputs)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _find_faces(
    origin: BenchmarkDir,
    benchmark: BenchmarkDir,
    pictures: PictureSet,
    options: TransferOptions,
    progress: TransferProgressFile,
) -> FoundFaces:
    info = origin.info()
    face_options = FaceOptions(
        SampleFormat.of(info), info.framing, options.cropped, options.all_faces
    )
    detector = None if options.cropped else CenterFaceDetector()
    return find_set_faces(pictures, face_options, detector, benchmark.cache_dir, progress.work)


def _labelled(pictures: PictureSet) -> PictureSet:
    """Returns the set without the folders of pictures that have no label."""
    classes = {
        name: count for name, count in pictures.classes.items() if not is_unlabelled_class(name)
    }
    return PictureSet(pictures.origin, pictures.length, pictures.items, classes)


def _is_prepared(data: Path, path: str) -> bool:
    return "/" not in path and is_prepared(data / path)


def _snapshot(path: str) -> dict[str, tuple[int, int]]:
    """Returns size and time of change of each file of a folder; empty for other sources."""
    root = Path(path)
    if not root.is_dir():
        return {}
    facts = {}
    for file in root.rglob("*"):
        try:
            state = file.stat()
        except OSError:
            continue
        if file.is_file():
            facts[file.relative_to(root).as_posix()] = (state.st_size, state.st_mtime_ns)
    return facts


def _changes(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> tuple[str, ...]:
    """Returns a note if the folder changed while it was read."""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not changed:
        return ()
    files = "1 file" if len(changed) == 1 else f"{len(changed):,} files"
    return (
        f"The folder changed while it was read: {files}, such as {sorted(changed)[0]}. Run "
        "the command again; only new pictures are computed.",
    )
