"""What the routes stand on: models, detector, batcher and limits of one running service."""

import asyncio
import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import FaceDetector
from fer_core.data.imaging import printable_name
from fer_core.errors import FerscopeError
from fer_core.explain.methods import METHODS
from fer_core.explain.saliency import ExplainError, Target, to_side
from fer_core.figures.overlay import heat_overlay
from fer_core.labels import LabelSet
from fer_core.predictor import MAP_SIDE, Predictor
from fer_core.records import RunInfo
from fer_core.serving.batching import Batcher
from fer_core.serving.errors import RefusedError
from fer_core.serving.inference import CANNOT, Answers, Asker
from fer_core.serving.model_list import ModelList
from fer_core.serving.pictures import Picture, read_pictures
from fer_core.serving.settings import Settings
from fer_core.serving.uploads import Gate, Upload

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Overlay:
    """An explanation as a picture.

    Attributes:
        png: The face in grey with what speaks for the class as heat, `MAP_SIDE` pixels a side.
        explained: The class.
        method: Key of the method.
    """

    png: bytes
    explained: str
    method: str


class Service:
    """One benchmark's models for many clients.

    Args:
        settings: What the service was told.
        detector: What finds faces; dlib's by default.

    Raises:
        ArtifactError: If there is no such benchmark.
        DetectorError: If the default detector cannot be had.
    """

    def __init__(self, settings: Settings, detector: FaceDetector | None = None) -> None:
        benchmark = settings.open_benchmark()
        self.name = benchmark.name
        self.gate = Gate(settings.max_requests)
        self.predictor = Predictor(benchmark, capacity=settings.models)
        self.model_list = ModelList(benchmark, self.predictor)
        self._detector = detector or CenterFaceDetector()
        self._batcher: Batcher[NDArray[np.uint8], tuple[str, ...], Answers] = Batcher(
            Asker(self.predictor), settings.batch_faces
        )
        # Pictures are large: no more are open at once than there are processors to decode them.
        self._readers = CapacityLimiter(os.cpu_count() or 1)
        self._explainers = CapacityLimiter(1)

    def close(self) -> None:
        """Answers what waits and ends the worker."""
        self._batcher.close()

    async def read(self, uploads: list[Upload], *, cropped: bool) -> list[Picture]:
        """Finds the faces of uploads; empties the list.

        Raises:
            RefusedError: If there is one upload only, and no face in it.
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

    async def ask(
        self, faces: Sequence[NDArray[np.uint8]], runs: Sequence[RunInfo]
    ) -> list[Answers]:
        """Returns what runs say of each face, in a pass shared with whoever else waits."""
        if not faces:
            return []
        names = tuple(info.run_id for info in runs)
        return await asyncio.wrap_future(self._batcher.submit(faces, names))

    async def explain(
        self, face: NDArray[np.uint8], run: RunInfo, method: str | None, target: str | None
    ) -> Overlay:
        """Shows what speaks for a class.

        Args:
            face: A stored image.
            run: Who is asked.
            method: Key of a method; the run's default one for None.
            target: The class; the predicted one for None.

        Raises:
            RefusedError: If there is no such method or class, or the method does not suit the run.
        """
        labels = LabelSet(run.labels)
        if target is not None and target not in labels.names:
            raise RefusedError(
                422,
                "unknown_target",
                f"{run.run_id} knows no class {printable_name(target)!r}. "
                f"Known: {', '.join(labels.names)}.",
            )
        if method is not None and method not in METHODS:
            raise RefusedError(
                422,
                "unknown_method",
                f"There is no method {printable_name(method)!r}. Known: {', '.join(METHODS)}.",
            )
        asked = None if target is None else Target(labels.index(target))
        return await run_sync(
            self._explain, face, run.run_id, method, asked, labels, limiter=self._explainers
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
            found = self.predictor.explain(face, run_id, method, target)
        except ExplainError as error:
            raise RefusedError(422, "unsuited_method", str(error)) from None
        except FerscopeError:
            log.exception("%s cannot answer", run_id)
            raise RefusedError(503, "damaged_model", f"{run_id}: {CANNOT}") from None
        picture = Image.fromarray(face).resize((MAP_SIDE, MAP_SIDE), Image.Resampling.BICUBIC)
        values = to_side(torch.from_numpy(found.values)[None], MAP_SIDE)[0].numpy()
        buffer = io.BytesIO()
        heat_overlay(picture, values).save(buffer, "PNG")
        return Overlay(buffer.getvalue(), labels.names[found.target.of], found.method)
