"""A benchmark's runs as one answerer for new faces: lazy, shared, bounded."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fer_core.artifacts import BenchmarkDir, RunInfo
from fer_core.config import ModelConfig, Recipe, parse_recipe
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine.networks import Network, load_network
from fer_core.errors import ArtifactError
from fer_core.explain.methods import default_method, explain, method_of, methods_for
from fer_core.explain.saliency import (
    Detail,
    ExplainError,
    LogitsFunction,
    SaliencyMap,
    Target,
    to_side,
)
from fer_core.explain.tables import MEMBERS
from fer_core.labels import LabelSet
from fer_core.models import ModelSpec

MAP_SIDE = 224
"""Side in pixels of the saliency maps that answers carry."""


@dataclass(frozen=True)
class Answer:
    """What one run says of one face.

    Attributes:
        run_id: The run.
        title: Its model's name.
        labels: The classes.
        probabilities: Shape (K,), sums to 1.
        saliency: Signed map of the explained class, shape (MAP_SIDE, MAP_SIDE). Of an ensemble:
            the weighted mean of its members' maps, each scaled to a largest magnitude of 1.
        method: Title of the method that gave the map.
        seconds: Time of prediction and explanation, without loading.
    """

    run_id: str
    title: str
    labels: LabelSet
    probabilities: NDArray[np.float64]
    saliency: NDArray[np.float32]
    method: str
    seconds: float

    @property
    def top(self) -> str:
        """The most probable class."""
        return self.labels.names[int(self.probabilities.argmax())]


@dataclass(frozen=True)
class Subject:
    """A run's model for as long as it is borrowed.

    Attributes:
        info: The run.
        model: A network, or an ensemble's mere function to logits.
        config: The network's configuration; None for an ensemble.
        spec: The network's architecture; None for an ensemble.
        prepare: Makes input (N, 3, S, S) on the model's device from stored images.
    """

    info: RunInfo
    model: LogitsFunction
    config: ModelConfig | None
    spec: ModelSpec | None
    prepare: Callable[[NDArray[np.uint8]], Tensor]


@dataclass
class _Slot:
    """A loaded network and the lock that hooks and gradients need."""

    network: Network
    config: ModelConfig
    lock: threading.Lock = field(default_factory=threading.Lock)


class Predictor:
    """Answers for the networks and ensembles of one benchmark; safe to share among threads.

    Args:
        benchmark: Where the runs are.
        device: Where networks run; a GPU where there is one, by default.
        capacity: Networks kept in memory; the one unused longest makes room.
    """

    def __init__(
        self, benchmark: BenchmarkDir, device: torch.device | None = None, capacity: int = 12
    ) -> None:
        info = benchmark.info()
        self._benchmark = benchmark
        self._format = SampleFormat(info.side, info.colour)
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._capacity = capacity
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._loading = threading.Lock()

    @property
    def format(self) -> SampleFormat:
        """The stored format that faces are brought to before any network sees them."""
        return self._format

    def answer(
        self, face: Image.Image | NDArray[np.uint8], run_id: str, explain: str | None = None
    ) -> Answer:
        """Predicts and explains one face.

        Args:
            face: The cropped face, or a stored image.
            run_id: A network's or an ensemble's run.
            explain: The class whose saliency is wanted; the predicted one by default.

        Raises:
            ArtifactError: If the run, or a member of it, is damaged, or holds predictions alone.
            WeightsError: If its weights are missing or damaged.
            DataError: If `explain` is no class of the run.
        """
        info = self._asked(run_id)
        stored = self._format.convert(face)
        labels = LabelSet(info.labels)
        target = None if explain is None else Target(labels.index(explain))
        return self._answer(stored, info, target)

    @contextmanager
    def borrow(self, run_id: str) -> Iterator[Subject]:
        """Gives a run's model to the caller alone: nobody else asks it meanwhile.

        An ensemble's function takes stored images in 0 to 1 and three channels, and returns the
        logarithm of the mean of its members' probabilities.

        Raises:
            ArtifactError: If the run, or a member of it, is damaged, or holds predictions alone.
            WeightsError: If its weights are missing or damaged.
        """
        info = self._asked(run_id)
        members = info.members or (run_id,)
        with ExitStack() as stack:
            slots = {}
            for member in sorted(members):  # one order for all threads: no deadlock
                slots[member] = self._slot(member)
                stack.enter_context(slots[member].lock)
            if info.kind == "network":
                slot = slots[run_id]
                own = slot.network.preprocessing

                def prepare(stored: NDArray[np.uint8]) -> Tensor:
                    return own(stored).to(self._device)

                yield Subject(info, slot.network.model, slot.config, slot.network.spec, prepare)
            else:
                networks = [slots[member].network for member in members]
                mixed = _mean_of(networks, info.member_weights)
                yield Subject(info, mixed, None, None, self._unit)

    def explain(
        self,
        face: Image.Image | NDArray[np.uint8],
        run_id: str,
        method: str | None = None,
        target: Target | None = None,
        detail: Detail | None = None,
    ) -> SaliencyMap:
        """Explains one run on one face.

        A method that looks inside explains an ensemble by its members: the weighted mean of their
        maps, each scaled to a largest magnitude of 1, of those that it suits.

        Args:
            face: The cropped face, or a stored image.
            run_id: A network's or an ensemble's run.
            method: A key of `fer_core.explain.methods.METHODS`; the default of each network.
            target: What is explained; the run's predicted class by default.
            detail: Where inside the network to read.

        Raises:
            ArtifactError: As `borrow`.
            WeightsError: As `borrow`.
            ExplainError: If the method is unknown or does not suit the model.
        """
        stored = self._format.convert(face)
        with self.borrow(run_id) as subject:
            info = subject.info
            inside = method is None or method_of(method).needs_network
            if subject.config is not None or not inside:
                chosen = method or default_method(subject.config)
                inputs = subject.prepare(stored[None])
                (only,) = explain(subject.model, subject.config, inputs, [target], chosen, detail)
                return only
            logits = subject.model(subject.prepare(stored[None]))[0].detach()
        asked = target or Target(int(logits.argmax()))
        return self._by_members(stored, info, method, asked, logits)

    def _by_members(
        self,
        stored: NDArray[np.uint8],
        info: RunInfo,
        method: str | None,
        target: Target,
        logits: Tensor,
    ) -> SaliencyMap:
        maps, weights = [], []
        for member, weight in zip(info.members, info.member_weights, strict=True):
            config = self._slot(member).config
            if method is None or method_of(method) in methods_for(config):
                values = self.explain(stored, member, method, target).values
                maps.append(
                    _unit_peak(to_side(torch.from_numpy(values)[None], MAP_SIDE)[0].numpy())
                )
                weights.append(weight)
        if not maps or not any(weights):
            raise ExplainError(f"{method_of(str(method)).title} suits no member of {info.title}.")
        mean = np.average(maps, axis=0, weights=weights).astype(np.float32)
        named = method or MEMBERS
        return SaliencyMap(mean, target, named, logits.float().cpu().numpy())

    def _asked(self, run_id: str) -> RunInfo:
        info = self._benchmark.run(run_id).info()
        if info.kind == "imported":
            raise ArtifactError(
                f"{info.title} was imported as predictions; it has no network to ask about a face."
            )
        return info

    def _unit(self, stored: NDArray[np.uint8]) -> Tensor:
        side, colour = self._format.side, self._format.colour
        plain = Preprocessing(side, colour, side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return plain(stored).to(self._device)

    def _answer(self, stored: NDArray[np.uint8], info: RunInfo, target: Target | None) -> Answer:
        started = time.perf_counter()
        explained = self.explain(stored, info.run_id, None, target)
        raised = torch.softmax(torch.from_numpy(explained.logits).double(), dim=0)
        probabilities = raised.numpy()
        if not np.isfinite(probabilities).all():
            raise ArtifactError(f"{info.run_id} gives no finite answer; its weights are damaged.")
        saliency = to_side(torch.from_numpy(explained.values)[None], MAP_SIDE)[0].numpy()
        named = "its members' maps" if info.members else method_of(explained.method).title
        seconds = time.perf_counter() - started
        labels = LabelSet(info.labels)
        return Answer(info.run_id, info.title, labels, probabilities, saliency, named, seconds)

    def _slot(self, run_id: str) -> _Slot:
        with self._loading:
            if run_id not in self._slots:
                network = load_network(self._benchmark.run(run_id), self._format)
                network.model.to(self._device).requires_grad_(False)
                recipe = parse_recipe(network.info.recipe)
                assert isinstance(recipe, Recipe)  # noqa: S101 (load_network refuses others)
                while len(self._slots) >= self._capacity:
                    self._slots.popitem(last=False)
                self._slots[run_id] = _Slot(network, recipe.model)
            self._slots.move_to_end(run_id)
            return self._slots[run_id]


def _mean_of(networks: Sequence[Network], weights: Sequence[float]) -> LogitsFunction:
    """Returns a function from unit images to the logarithm of the mean probability."""

    def logits(images: Tensor) -> Tensor:
        total: Tensor | None = None
        for network, weight in zip(networks, weights, strict=True):
            own = network.preprocessing
            part = weight * network.model(own.normalise(own.to_size(images))).softmax(dim=-1)
            total = part if total is None else total + part
        assert total is not None  # noqa: S101 (an ensemble has members)
        return total.clamp_min(1e-12).log()

    return logits


def _unit_peak(saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    peak = float(np.abs(saliency).max())
    return saliency / peak if peak > 0 else saliency
