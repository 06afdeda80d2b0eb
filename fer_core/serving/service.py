"""State of a running service: models, detector, batcher and limits."""

import asyncio
import io
import logging
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from PIL import Image

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import FaceDetector
from fer_core.data.imaging import printable_name
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.explain.evidence import MapEvidence
from fer_core.explain.methods import METHODS
from fer_core.explain.saliency import ExplainError, Target, to_side
from fer_core.figures.overlay import heat_overlay
from fer_core.labels import LabelSet
from fer_core.predictor import MAP_SIDE, Predictor
from fer_core.predictor.predictions import Thresholds
from fer_core.records import RunInfo
from fer_core.serving.batching import Batcher
from fer_core.serving.drift import DriftLog
from fer_core.serving.errors import RefusedError
from fer_core.serving.gate import Gate
from fer_core.serving.inference import CANNOT, BatchPredictor, FaceResult
from fer_core.serving.model_list import ModelList
from fer_core.serving.monitoring import Monitor
from fer_core.serving.pictures import Picture, read_pictures
from fer_core.serving.settings import RUNS, Settings
from fer_core.serving.uploads import Upload

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 100 * 2**20
"""Free bytes of the artifacts' disk below which the service is not ready."""


@dataclass(frozen=True)
class Overlay:
    """An explanation as an image.

    Attributes:
        png: The face in grey with a heatmap of the evidence, `MAP_SIDE` pixels per side.
        explained: Explained class.
        method: Key of the saliency method.
        evidence: Measured faithfulness of such maps on the run.
    """

    png: bytes
    explained: str
    method: str
    evidence: MapEvidence


class Service:
    """Serves the models of one benchmark to concurrent clients.

    Args:
        settings: Settings of the service.
        detector: Face detector; CenterFace by default.
        monitor: Counts the batches.

    Raises:
        ArtifactError: If the benchmark or a run of the settings does not exist, or the operating
            point is damaged or was chosen for another run or for one that clients cannot use.
        DetectorError: If the default detector is not available.
        FerscopeError: If the drift log cannot be opened for appending.
    """

    def __init__(
        self,
        settings: Settings,
        detector: FaceDetector | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        benchmark = settings.open_benchmark()
        self.name = benchmark.name
        self.operating_point = _read_operating_point(settings, benchmark)
        self.gate = Gate(settings.max_requests)
        self.predictor = Predictor(benchmark, capacity=settings.models)
        if self.operating_point is not None:
            self.predictor.obey(self.operating_point)
        self.model_list = ModelList(benchmark, self.predictor, settings.runs)
        self._detector = detector or CenterFaceDetector()
        self._monitor = monitor or Monitor()
        self._drift = None if settings.drift_log is None else DriftLog(settings.drift_log)
        self._inference = BatchPredictor(self.predictor)
        self._max_faces, self._batch_faces = settings.max_faces, settings.batch_faces
        self._batcher: Batcher[NDArray[np.uint8], tuple[str, ...], FaceResult] = Batcher(
            self._predict_batch, settings.batch_faces
        )
        self._preloading = settings.preload
        if settings.preload:
            threading.Thread(target=self._preload, name="preload", daemon=True).start()
        # Decoded images are large, so at most one per CPU core is open at a time.
        self._readers = CapacityLimiter(os.cpu_count() or 1)
        self._explainers = CapacityLimiter(1)

    def thresholds(self, unsure_below: float | None) -> Mapping[str, Thresholds]:
        """Returns the thresholds by run below which there is no label.

        Args:
            unsure_below: Threshold of the request; None if the operating point decides.
        """
        if unsure_below is not None:
            return {info.run_id: unsure_below for info in self.model_list.runs()}
        if self.operating_point is None:
            return {}
        return {self.operating_point.run_id: self.operating_point.thresholds}

    def close(self) -> None:
        """Finishes waiting requests, stops the worker and writes the drift log."""
        self._batcher.close()
        if self._drift is not None:
            self._drift.close()

    def metrics(self) -> bytes:
        """Returns the service's metrics in Prometheus' text format."""
        benchmark = self.predictor.benchmark
        sizes = []
        for run_id in self.predictor.loaded:
            with suppress(OSError):
                sizes.append(benchmark.run(run_id).weights_path.stat().st_size)
        return self._monitor.exposition(self.gate.inside, self._batcher.waiting, sizes)

    def problems(self) -> list[str]:
        """Returns why the service is not ready to predict; nothing if it is."""
        runs = self.model_list.runs()
        problems = [] if runs else ["there is no model that can predict"]
        if self._preloading:
            problems.append("models are being loaded")
        if shutil.disk_usage(self.predictor.benchmark.root).free < LEAST_FREE_BYTES:
            problems.append(f"less than {LEAST_FREE_BYTES // 2**20} MiB of disk are free")
        for info in runs:
            run = self.predictor.benchmark.run(info.run_id)
            if _is_stale(run):
                problems.append(f"the ONNX copy of {info.run_id} is older than its weights")
        return problems

    def _preload(self) -> None:
        """Loads all models, so that the first request need not wait."""
        face = np.zeros(self.predictor.format.shape, dtype=np.uint8)
        try:
            self._inference([face], [info.run_id for info in self.model_list.runs()])
        except Exception:
            log.exception("models could not be loaded in advance")
        finally:
            self._preloading = False

    def _predict_batch(
        self, faces: Sequence[NDArray[np.uint8]], runs: tuple[str, ...]
    ) -> list[FaceResult]:
        self._monitor.batch(len(faces))
        results = self._inference(faces, runs)
        if self._drift is not None:
            for result in results:
                for prediction in result.predictions:
                    self._drift.add(
                        prediction.run_id, prediction.labels.names, prediction.calibrated
                    )
        return results

    async def read(self, uploads: list[Upload], *, cropped: bool) -> list[Picture]:
        """Detects the faces in uploads; empties the list.

        Raises:
            RefusedError: If the only upload has no face or cannot be processed.
        """
        detector = None if cropped else self._detector
        return await run_sync(
            read_pictures,
            uploads,
            detector,
            self.predictor.format,
            self.predictor.framing,
            limiter=self._readers,
        )

    async def predict(
        self, faces: Sequence[NDArray[np.uint8]], runs: Sequence[RunInfo]
    ) -> list[FaceResult]:
        """Returns the predictions of runs for each face, batched with other waiting requests.

        A request with more faces than a batch is split, and queues again for each of its batches:
        other requests are predicted between them.

        Raises:
            RefusedError: If there are too many faces.
        """
        if len(faces) > self._max_faces:
            raise RefusedError(
                422,
                "too_many_faces",
                f"The request has {len(faces)} faces, more than the limit of {self._max_faces}. "
                "Send fewer images at once, or cut a picture of a crowd into several requests.",
            )
        names = tuple(info.run_id for info in runs)
        results: list[FaceResult] = []
        for start in range(0, len(faces), self._batch_faces):
            batch = faces[start : start + self._batch_faces]
            predicted = await asyncio.wrap_future(self._batcher.submit(batch, names))
            results += predicted
        return results

    async def explain(
        self, face: NDArray[np.uint8], run: RunInfo, method: str | None, target: str | None
    ) -> Overlay:
        """Explains a class as a heatmap.

        Args:
            face: Image in the stored format.
            run: Run to explain.
            method: Key of the saliency method; None for the run's default.
            target: Class to explain; None for the predicted class.

        Raises:
            RefusedError: If the method or class is unknown, or the method does not support the run.
        """
        labels = LabelSet(run.labels)
        if target is not None and target not in labels.names:
            raise RefusedError(
                422,
                "unknown_target",
                f"{run.run_id} has no class {printable_name(target)!r}. "
                f"Known: {', '.join(labels.names)}.",
            )
        if method is not None and method not in METHODS:
            raise RefusedError(
                422,
                "unknown_method",
                f"There is no method {printable_name(method)!r}. Known: {', '.join(METHODS)}.",
            )
        resolved = None if target is None else Target(labels.index(target))
        return await run_sync(
            self._explain, face, run.run_id, method, resolved, labels, limiter=self._explainers
        )

    def _explain(
        self,
        face: NDArray[np.uint8],
        run_id: str,
        method: str | None,
        target: Target | None,
        labels: LabelSet,
    ) -> Overlay:
        try:
            explanation = self.predictor.explain(face, run_id, method, target)
        except ExplainError as error:
            raise RefusedError(422, "unsuited_method", str(error)) from None
        except FerscopeError:
            log.exception("%s cannot be explained", run_id)
            raise RefusedError(503, "damaged_model", f"{run_id}: {CANNOT}") from None
        picture = Image.fromarray(face).resize((MAP_SIDE, MAP_SIDE), Image.Resampling.BICUBIC)
        values = to_side(torch.from_numpy(explanation.values)[None], MAP_SIDE)[0].numpy()
        buffer = io.BytesIO()
        heat_overlay(picture, values).save(buffer, "PNG")
        return Overlay(
            buffer.getvalue(),
            labels.names[explanation.target.of],
            explanation.method,
            explanation.evidence,
        )


def _is_stale(run: RunDir) -> bool:
    """Whether a run's ONNX copy is older than its weights, so that it is not used."""
    try:
        return run.onnx_path.stat().st_mtime < run.weights_path.stat().st_mtime
    except FileNotFoundError:  # one of the two alone
        return False


def _read_operating_point(settings: Settings, benchmark: BenchmarkDir) -> OperatingPoint | None:
    if settings.operating_point is None:
        return None
    point = OperatingPoint.read(settings.operating_point)
    point.check(benchmark.name, benchmark.run(point.run_id).info())
    if settings.runs and point.run_id not in settings.runs:
        raise ArtifactError(
            f"The operating point is that of {point.run_id}, which clients cannot use. Add it to "
            f"{RUNS} or --run, or leave the operating point out."
        )
    return point
