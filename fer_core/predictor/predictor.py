"""Predictions and explanations of the runs of one benchmark for faces."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.abilities import abilities_of
from fer_core.artifacts import BenchmarkDir
from fer_core.config import ModelConfig
from fer_core.data.imaging import SampleFormat
from fer_core.engine.devices import Device
from fer_core.errors import ArtifactError, DataError, FerscopeError
from fer_core.evaluation.calibration import fit_temperature
from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.predictions import read_predictions
from fer_core.evaluation.regression import margins
from fer_core.explain.defaults import default_of, run_evidence
from fer_core.explain.evidence import NOT_MEASURED, MapEvidence
from fer_core.explain.tables import MEMBERS
from fer_core.extras import require_torch
from fer_core.labels import LabelSet
from fer_core.predictor.loaded_model import BorrowedModel, LoadedModel
from fer_core.predictor.lru import LRUCache
from fer_core.predictor.predictions import (
    ExplainedPrediction,
    Prediction,
    TargetEstimates,
    ensemble_prediction,
)
from fer_core.records import Framing, RunInfo

if TYPE_CHECKING:  # imported where it is needed: predictions from ONNX copies need no torch
    import torch
    from torch import Tensor

    from fer_core.engine.classifiers import Classifier
    from fer_core.explain.saliency import Detail, LogitsFunction, SaliencyMap, Target

MAP_SIDE = 224
"""Side in pixels of the saliency maps in explained predictions."""

BATCH_SIZE = 64
_MAPS_KEPT = 256

Face = Image.Image | NDArray[np.uint8]


def listed_runs(run_ids: Sequence[str]) -> list[str]:
    """Returns run ids as a list; one id is a list of one, not of its characters."""
    return [run_ids] if isinstance(run_ids, str) else list(run_ids)


class Predictor:
    """Inference and explanations with the networks and ensembles of one benchmark; thread-safe.

    Args:
        benchmark: Directory of the benchmark.
        device: Device of the networks; by default a GPU, if there is one.
        capacity: Largest number of models in memory, at least 1; the least recently used is
            evicted.
        use_onnx: Whether to use ONNX graphs and exports for predictions on a CPU, which need no
            PyTorch and are faster; explanations always use the network.

    Raises:
        DataError: If `capacity` is less than 1.

    Examples:
        >>> import fer_core
        >>> from fer_core.data.sources.synthetic import portrait
        >>> from PIL import Image
        >>> face = Image.fromarray(portrait(512, "happy", 96).image)
        >>> predictor = fer_core.Predictor(fer_core.open_benchmark("synthetic"))
        >>> (prediction,) = predictor.predict([face], ["efficientnet_lite0-cpu-s0"])
        >>> prediction.calibrated.shape
        (1, 7)
        >>> round(float(prediction.calibrated.sum()), 6)
        1.0
    """

    def __init__(
        self,
        benchmark: BenchmarkDir,
        device: "torch.device | str | None" = None,
        capacity: int = 12,
        *,
        use_onnx: bool = True,
    ) -> None:
        if capacity < 1:
            raise DataError(f"The capacity is {capacity}. Pass at least 1.")
        info = benchmark.info()
        self._benchmark = benchmark
        self._info = info
        self._format = SampleFormat.of(info)
        self._device = Device(device)
        self._use_onnx = use_onnx
        self._slots: LRUCache[str, LoadedModel] = LRUCache(capacity)
        self._maps: LRUCache[tuple[object, ...], _CachedMap] = LRUCache(_MAPS_KEPT)
        self._temperatures: dict[str, float | None] = {}
        self._logit_shifts: dict[str, tuple[float, ...]] = {}
        self._margins: dict[str, Mapping[str, float | None]] = {}

    @property
    def benchmark(self) -> BenchmarkDir:
        """Directory of the benchmark."""
        return self._benchmark

    @property
    def format(self) -> SampleFormat:
        """The format that faces are converted to before preprocessing."""
        return self._format

    @property
    def labels(self) -> LabelSet:
        """The benchmark's classes."""
        return self._info.label_set

    @property
    def framing(self) -> Framing | None:
        """Position of faces in the benchmark's images; None if it was not measured."""
        return self._info.framing

    @property
    def loaded(self) -> list[str]:
        """Ids of the runs whose models are in memory, least recently used first."""
        return [loaded.info.run_id for loaded in self._slots.values() if loaded.loaded]

    def runs(self) -> list[RunInfo]:
        """Returns the runs that can predict, by id; damaged runs are left out."""
        usable = []
        for run in self._benchmark.runs():
            try:
                info = run.info()
            except ArtifactError:
                continue
            if abilities_of(run, info).predicts:
                usable.append(info)
        return usable

    def predict(
        self, faces: Sequence[Face], run_ids: Sequence[str], batch_size: int = BATCH_SIZE
    ) -> list[Prediction]:
        """Predicts several faces with several runs; each network runs once on all faces.

        Args:
            faces: At least one cropped face or stored image; see `SampleFormat.convert`.
            run_ids: Ids of networks and ensembles, or one id.
            batch_size: Largest number of faces per forward pass.

        Returns:
            One prediction per id, in their order, each for all faces.

        Raises:
            DataError: If there is no face, or one is not an image or an array of uint8.
            ArtifactError: If a run, or a member of it, is damaged, or holds predictions alone.
            WeightsError: If its weights are missing or damaged.
        """
        results = [result for _, result in self.predict_each(faces, run_ids, batch_size)]
        if problems := [result for result in results if isinstance(result, FerscopeError)]:
            raise problems[0]
        return [result for result in results if isinstance(result, Prediction)]

    def try_predict(
        self, faces: Sequence[Face], run_ids: Sequence[str]
    ) -> dict[str, Prediction | FerscopeError]:
        """Like `predict`, by id, with the error of a failing run in place of its prediction."""
        return dict(self.predict_each(faces, run_ids))

    def predict_each(
        self, faces: Sequence[Face], run_ids: Sequence[str], batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[str, Prediction | FerscopeError]]:
        """Yields each run with its prediction, or its error, as soon as it is computed.

        Args:
            faces: At least one cropped face or stored image; see `SampleFormat.convert`.
            run_ids: Ids of networks and ensembles, or one id; members of an ensemble run once.
            batch_size: Largest number of faces per forward pass.

        Raises:
            DataError: If there is no face, or one is not an image or an array of uint8.
        """
        stored = np.stack([self._format.convert(face) for face in _listed_faces(faces)])
        single: dict[str, Prediction | FerscopeError] = {}

        def predict_run(run_id: str) -> Prediction:
            if run_id not in single:
                try:
                    single[run_id] = self._predict_one(stored, run_id, batch_size)
                except FerscopeError as error:
                    single[run_id] = error
            result = single[run_id]
            if isinstance(result, FerscopeError):
                raise result
            return result

        for run_id in listed_runs(run_ids):
            try:
                info = self._benchmark.run(run_id).info()
                members = [predict_run(name) for name in info.members]
                result = self._mixed(info, members) if members else predict_run(run_id)
            except FerscopeError as error:
                yield run_id, error
            else:
                yield run_id, result

    def predict_and_explain(
        self, face: Face, run_id: str, explain: str | None = None
    ) -> ExplainedPrediction:
        """Predicts and explains one face.

        Args:
            face: The cropped face, or a stored image.
            run_id: A network's or an ensemble's run.
            explain: Class to explain; the predicted class by default.

        Raises:
            ArtifactError: If the run, or a member of it, is damaged, or holds predictions alone.
            WeightsError: If its weights are missing or damaged.
            DataError: If `explain` is not a class of the run, or the face is not an image or an
                array of uint8.
            MissingExtraError: If PyTorch is not installed.
        """
        require_torch("Saliency")
        import torch

        from fer_core.explain.methods import title_of
        from fer_core.explain.saliency import Target, to_side

        info = self._benchmark.run(run_id).info()
        labels = LabelSet(info.labels)
        target = None if explain is None else Target(labels.index(explain))
        with self.borrow(run_id):  # loads the models, whose time is not the model's
            pass
        started = time.perf_counter()
        explained = self.explain(face, run_id, None, target)
        probabilities = torch.softmax(torch.from_numpy(explained.logits).double(), dim=0).numpy()
        if not np.isfinite(probabilities).all():
            raise ArtifactError(
                f"The predictions of {run_id} are not finite: its weights are damaged. Restore "
                "them, or train or import the run again."
            )
        return ExplainedPrediction(
            run_id,
            info.title,
            labels,
            probabilities,
            self.temperature(run_id),
            labels.names[explained.target.of],
            to_side(torch.from_numpy(explained.values)[None], MAP_SIDE)[0].numpy(),
            title_of(explained.method),
            explained.evidence,
            time.perf_counter() - started,
            estimates=self._estimates(face, run_id),
            logit_shift=self._logit_shifts.get(run_id, ()),
        )

    def _estimates(self, face: Face, run_id: str) -> Mapping[str, TargetEstimates]:
        """Returns a run's estimates for one face; empty without a regression head."""
        if not self._benchmark.run(run_id).info().recipe.get("regression"):
            return {}
        return self.predict([face], [run_id])[0].estimates

    def obey(self, point: OperatingPoint) -> None:
        """Predicts a run with the temperature and the prior shift of an operating point."""
        self._temperatures[point.run_id] = point.temperature
        self._logit_shifts[point.run_id] = point.logit_shift

    def calibration(self, run_id: str) -> tuple[float | None, tuple[float, ...]]:
        """Returns a run's temperature and logit shift, which its calibrated predictions need."""
        return self.temperature(run_id), self._logit_shifts.get(run_id, ())

    def temperature(self, run_id: str) -> float | None:
        """Returns the temperature fitted on a run's validation predictions.

        That of an operating point if there is one (`obey`).
        None if they are missing or damaged; probabilities are then not calibrated.
        """
        if run_id not in self._temperatures:
            run = self._benchmark.run(run_id)
            try:
                predictions = read_predictions(run, self.labels)
                fitted = fit_temperature(predictions.split("validation"))
            except ArtifactError:
                fitted = None
            self._temperatures[run_id] = fitted
        return self._temperatures[run_id]

    @contextmanager
    def borrow(self, run_id: str) -> Iterator[BorrowedModel]:
        """Yields a run's model for exclusive use.

        The function of an ensemble takes stored images with three channels in 0 to 1 and returns
        the log of its members' mean probabilities, including the prior shift.

        Raises:
            ArtifactError: If the run, or a member of it, is damaged, or holds predictions alone.
            WeightsError: If its weights are missing or damaged.
        """
        info = self._benchmark.run(run_id).info()
        with ExitStack() as stack:
            models = {}
            for member in sorted(info.members or (run_id,)):  # a fixed order prevents deadlocks
                models[member] = self._loaded(member)
                stack.enter_context(models[member].lock)
            if info.members:
                loaded = [models[member].load(use_onnx=self._use_onnx) for member in info.members]
                mixed = _mean_of(loaded, info.member_weights, info.logit_shift)
                yield BorrowedModel(info, mixed, None, None, self._unit)
            else:
                yield models[run_id].borrowed(use_onnx=self._use_onnx)

    def explain(
        self,
        face: Face,
        run_id: str,
        method: str | None = None,
        target: "Target | None" = None,
        detail: "Detail | None" = None,
    ) -> "SaliencyMap":
        """Explains one run on one face; the map carries the evidence for its method on this run.

        If the method needs a network, an ensemble's map is the weighted mean of the maps of the
        members that support the method, each scaled to a largest magnitude of 1. Recent maps are
        cached, because an ensemble often needs maps that its members have just computed.

        Args:
            face: The cropped face, or a stored image.
            run_id: A network's or an ensemble's run.
            method: A key of `fer_core.explain.methods.METHODS`, or `MEMBERS` for an ensemble; by
                default the run's (`fer_core.explain.defaults.default_of`).
            target: Target to explain; by default the class that `predict` returns, after the prior
                shift of an operating point.
            detail: Position in the network that the method reads.

        Raises:
            ArtifactError: As `borrow`.
            WeightsError: As `borrow`.
            DataError: If the face is not an image or an array of uint8.
            ExplainError: If the method is unknown or does not support the model.
        """
        require_torch("Saliency")
        from fer_core.explain.methods import method_of

        stored = self._format.convert(face)
        run = self._benchmark.run(run_id)
        info = run.info()
        selected = method or default_of(self._benchmark, run, info)
        target = target or self._shifted_target(stored, run_id)
        if info.members and (selected == MEMBERS or method_of(selected).needs_network):
            explained = self._by_members(stored, info, selected, target)
        else:
            explained = self._by_itself(stored, run_id, selected, target, detail)
        return replace(explained, evidence=self._evidence(info, explained, detail))

    def _shifted_target(self, stored: NDArray[np.uint8], run_id: str) -> "Target | None":
        """Returns the class that `predict` returns if a prior shift may change it; else None."""
        from fer_core.explain.saliency import Target

        if not any(self._logit_shifts.get(run_id, ())):
            return None
        (prediction,) = self.predict([stored], [run_id])
        return Target(int(prediction.calibrated[0].argmax()))

    def _evidence(
        self, info: RunInfo, explained: "SaliencyMap", detail: "Detail | None"
    ) -> MapEvidence:
        """Returns the evidence for a map; contrasts and other layers were not measured."""
        from fer_core.explain.saliency import Detail

        if explained.target.against is not None or (detail is not None and detail != Detail()):
            return NOT_MEASURED
        run = self._benchmark.run(info.run_id)
        return run_evidence(self._benchmark, run, info).of(explained.method)

    def _by_itself(
        self,
        stored: NDArray[np.uint8],
        run_id: str,
        selected: str,
        target: "Target | None",
        detail: "Detail | None",
    ) -> "SaliencyMap":
        from fer_core.explain.methods import explain

        digest = sha256(stored.tobytes()).digest()
        cached = self._maps.get((digest, run_id, selected, target, detail), _CachedMap)
        with cached.lock:  # concurrent equal requests share one computation
            if cached.map is None:
                with self.borrow(run_id) as borrowed:
                    inputs = borrowed.prepare(stored[None])
                    model = borrowed.model_for(selected)
                    (cached.map,) = explain(
                        model, borrowed.config, inputs, [target], selected, detail
                    )
                self._remember_resolved(digest, run_id, selected, detail, target, cached.map)
            return cached.map

    def _remember_resolved(
        self,
        digest: bytes,
        run_id: str,
        method: str,
        detail: "Detail | None",
        target: "Target | None",
        explained: "SaliencyMap",
    ) -> None:
        """Caches a map of the predicted class under that class as well."""
        if target is None:
            same = self._maps.get((digest, run_id, method, explained.target, detail), _CachedMap)
            same.map = explained

    def _by_members(
        self,
        stored: NDArray[np.uint8],
        info: RunInfo,
        method: str,
        target: "Target | None",
    ) -> "SaliencyMap":
        """Averages the members' maps of one method, or of each member's default for `MEMBERS`."""
        import torch

        from fer_core.explain.methods import method_of, methods_for, title_of
        from fer_core.explain.saliency import ExplainError, SaliencyMap, Target, to_side

        with self.borrow(info.run_id) as borrowed, torch.inference_mode():
            logits = borrowed.logits(borrowed.prepare(stored[None]))[0].float().cpu().numpy()
        resolved = target or Target(int(logits.argmax()))
        maps, weights = [], []
        for member, weight in zip(info.members, info.member_weights, strict=True):
            member_method = None if method == MEMBERS else method
            if member_method is None or method_of(member_method) in methods_for(
                self._config(member)
            ):
                values = self.explain(stored, member, member_method, resolved).values
                maps.append(
                    _unit_peak(to_side(torch.from_numpy(values)[None], MAP_SIDE)[0].numpy())
                )
                weights.append(weight)
        if not maps or not any(weights):
            raise ExplainError(
                f"{title_of(method)} does not support any member of {info.title}. Use another "
                "method."
            )
        mean = np.average(maps, axis=0, weights=weights).astype(np.float32)
        coverage = (len(maps), len(info.members))
        return SaliencyMap(mean, resolved, method, logits, coverage)

    def _predict_one(self, stored: NDArray[np.uint8], run_id: str, batch_size: int) -> Prediction:
        loaded = self._loaded(run_id)
        loaded.load(use_onnx=self._use_onnx)
        started = time.perf_counter()
        probabilities, values, backend = loaded.probabilities(
            stored, batch_size, use_onnx=self._use_onnx
        )
        seconds = time.perf_counter() - started
        info = loaded.info
        known = self._margins_of(run_id) if loaded.targets else {}
        return Prediction(
            run_id,
            info.title,
            LabelSet(info.labels),
            probabilities,
            self.temperature(run_id),
            backend,
            seconds,
            estimates={
                name: TargetEstimates(values[:, index], known.get(name))
                for index, name in enumerate(loaded.targets)
            },
            logit_shift=self._logit_shifts.get(run_id, ()),
        )

    def _margins_of(self, run_id: str) -> Mapping[str, float | None]:
        """Returns the margins of a run's estimates by target; empty if they are damaged."""
        if run_id not in self._margins:
            by_target: Mapping[str, float | None] = {}
            with suppress(ArtifactError):
                by_target = margins(self._benchmark.run(run_id))
            self._margins[run_id] = by_target
        return self._margins[run_id]

    def _mixed(self, info: RunInfo, members: Sequence[Prediction]) -> Prediction:
        mean = ensemble_prediction(
            members,
            info.member_weights,
            info.logit_shift,
            run_id=info.run_id,
            title=info.title,
            temperature=self.temperature(info.run_id),
        )
        return replace(mean, logit_shift=self._logit_shifts.get(info.run_id, ()))

    def _config(self, run_id: str) -> ModelConfig | None:
        return self._loaded(run_id).config

    def _loaded(self, run_id: str) -> LoadedModel:
        run = self._benchmark.run(run_id)
        return self._slots.get(
            run_id, lambda: LoadedModel(run, run.info(), self._format, self._device)
        )

    def _unit(self, stored: NDArray[np.uint8]) -> "Tensor":
        from fer_core.data.preprocessing import Preprocessing

        side, colour = self._format.side, self._format.colour
        plain = Preprocessing(side, colour, side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return plain(stored).to(self._device.torch)


def _listed_faces(faces: Sequence[Face]) -> list[Face]:
    """Returns faces as a list; one face that is not in a list is refused.

    An array of stored images is a sequence of faces, but one face is a sequence of its rows.
    """
    single = isinstance(faces, Image.Image)
    if isinstance(faces, np.ndarray):
        item = faces.shape[1:]
        single = len(item) < 2 or item[1:] in ((1,), (3,), (4,))
    if single:
        raise DataError("One face was passed in place of a list of faces. Pass [face].")
    listed = list(faces)
    if not listed:
        raise DataError("There is no face to predict. Pass at least one.")
    return listed


class _CachedMap:
    """A saliency map that is computed once, and its lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.map: SaliencyMap | None = None


def _mean_of(
    models: "Sequence[Classifier]", weights: Sequence[float], shift: Sequence[float]
) -> "LogitsFunction":
    """Returns a function from images in 0 to 1 to the log of the mean probability, shifted."""
    import torch

    def logits(images: "Tensor") -> "Tensor":
        total: Tensor | None = None
        for model, weight in zip(models, weights, strict=True):
            preprocessing = model.preprocessing
            inputs = preprocessing.normalise(preprocessing.to_size(images))
            weighted = weight * model.logits(inputs).softmax(dim=-1).to(images.device)
            total = weighted if total is None else total + weighted
        assert total is not None  # noqa: S101 (an ensemble has members)
        log_mean = total.clamp_min(1e-12).log()
        return log_mean + torch.tensor(shift).to(log_mean) if shift else log_mean

    return logits


def _unit_peak(saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    peak = float(np.abs(saliency).max())
    return saliency / peak if peak > 0 else saliency
