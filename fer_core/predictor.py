"""A benchmark's runs as one answerer for new faces: lazy, shared, bounded."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from fer_core.artifacts import BenchmarkDir, RunInfo
from fer_core.data.imaging import SampleFormat
from fer_core.engine.networks import Network, load_network
from fer_core.errors import ArtifactError
from fer_core.explain.cam import grad_cam
from fer_core.labels import LabelSet

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
        seconds: Time of prediction and explanation, without loading.
    """

    run_id: str
    title: str
    labels: LabelSet
    probabilities: NDArray[np.float64]
    saliency: NDArray[np.float32]
    seconds: float

    @property
    def top(self) -> str:
        """The most probable class."""
        return self.labels.names[int(self.probabilities.argmax())]


@dataclass
class _Slot:
    """A loaded network and the lock that hooks and gradients need."""

    network: Network
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
        info = self._benchmark.run(run_id).info()
        if info.kind == "imported":
            raise ArtifactError(
                f"{info.title} was imported as predictions; it has no network to ask about a face."
            )
        stored = self._format.convert(face)
        labels = LabelSet(info.labels)
        target = -1 if explain is None else labels.index(explain)
        if info.kind == "network":
            return self._answer_network(stored, info, target)
        return self._answer_ensemble(stored, info, target)

    def _answer_network(self, stored: NDArray[np.uint8], info: RunInfo, target: int) -> Answer:
        slot = self._slot(info.run_id)
        with slot.lock:
            started = time.perf_counter()
            inputs = slot.network.preprocessing(stored[None]).to(self._device)
            logits, maps = grad_cam(
                slot.network.model, slot.network.spec, inputs, np.array([target])
            )
        probabilities = torch.softmax(logits[0].double(), dim=0).cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise ArtifactError(f"{info.run_id} gives no finite answer; its weights are damaged.")
        saliency = F.interpolate(
            torch.from_numpy(maps)[None], (MAP_SIDE, MAP_SIDE), mode="bilinear"
        )[0, 0].numpy()
        seconds = time.perf_counter() - started
        labels = LabelSet(info.labels)
        return Answer(info.run_id, info.title, labels, probabilities, saliency, seconds)

    def _answer_ensemble(self, stored: NDArray[np.uint8], info: RunInfo, target: int) -> Answer:
        labels = LabelSet(info.labels)
        members = [self._benchmark.run(member).info() for member in info.members]
        answers = [self._answer_network(stored, member, target) for member in members]
        weights = info.member_weights
        probabilities = np.average(
            [answer.probabilities for answer in answers], axis=0, weights=weights
        )
        chosen = int(probabilities.argmax())
        if target < 0 and any(int(answer.probabilities.argmax()) != chosen for answer in answers):
            # Members that would explain their own class explain the ensemble's instead.
            answers = [self._answer_network(stored, member, chosen) for member in members]
        saliency = np.average(
            [_unit_peak(answer.saliency) for answer in answers], axis=0, weights=weights
        )
        seconds = sum(answer.seconds for answer in answers)
        return Answer(
            info.run_id, info.title, labels, probabilities, saliency.astype(np.float32), seconds
        )

    def _slot(self, run_id: str) -> _Slot:
        with self._loading:
            if run_id not in self._slots:
                network = load_network(self._benchmark.run(run_id), self._format)
                network.model.to(self._device).requires_grad_(False)
                while len(self._slots) >= self._capacity:
                    self._slots.popitem(last=False)
                self._slots[run_id] = _Slot(network)
            self._slots.move_to_end(run_id)
            return self._slots[run_id]


def _unit_peak(saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    peak = float(np.abs(saliency).max())
    return saliency / peak if peak > 0 else saliency
