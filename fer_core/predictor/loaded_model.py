"""One run's model in memory, its ONNX copy, and the lock that hooks and gradients need."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_core.artifacts import RunDir
from fer_core.config import ModelConfig, Recipe, parse_recipe
from fer_core.data.imaging import SampleFormat
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx import OnnxNetwork, exported_copy, read_onnx
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError
from fer_core.explain.saliency import LogitsFunction
from fer_core.models import ModelSpec
from fer_core.predictor.answers import Backend, Probabilities
from fer_core.records import RunInfo


@dataclass(frozen=True)
class BorrowedModel:
    """A run's model for as long as it is borrowed.

    Attributes:
        info: The run.
        model: A network, or a mere function to logits: of an ensemble, or of an ONNX file.
        config: The network's configuration; None for a mere function.
        spec: The network's architecture; None for a mere function.
        prepare: Makes input (N, 3, S, S) on the model's device from stored images.
    """

    info: RunInfo
    model: LogitsFunction
    config: ModelConfig | None
    spec: ModelSpec | None
    prepare: Callable[[NDArray[np.uint8]], Tensor]


class LoadedModel:
    """A run that answers by itself: a network, or an imported ONNX file.

    What it needs is loaded when it is first asked for. Whoever looks inside the network holds
    `lock` meanwhile; an ONNX session needs none.

    Args:
        run: The run's files.
        info: Its record.
        stored: Format of the images that it will be asked about.
        device: Where the network runs.
    """

    def __init__(
        self, run: RunDir, info: RunInfo, stored: SampleFormat, device: torch.device
    ) -> None:
        self.info = info
        self.lock = threading.RLock()
        self._run = run
        self._stored = stored
        self._device = device
        self._network: Network | None = None
        self._copy: OnnxNetwork | None = None
        self._copy_sought = False

    @property
    def config(self) -> ModelConfig | None:
        """How the network is built; None for an imported file."""
        recipe = parse_recipe(self.info.recipe) if self.info.kind == "network" else None
        return recipe.model if isinstance(recipe, Recipe) else None

    @property
    def loaded(self) -> bool:
        """Whether a model is in memory."""
        return self._network is not None or self._copy is not None

    def network(self) -> Network:
        """Returns the network on its device, without gradients.

        Raises:
            ArtifactError: If the run is damaged.
            WeightsError: If its weights are missing or damaged.
        """
        with self.lock:
            if self._network is None:
                network = load_network(self._run, self._stored)
                network.model.to(self._device).requires_grad_(False)
                self._network = network
            return self._network

    def onnx(self) -> OnnxNetwork | None:
        """Returns the imported file, or a CPU network's ONNX copy if it is of the same weights.

        Raises:
            ArtifactError: If the run was imported as predictions alone.
            WeightsError: If an imported file is damaged.
        """
        with self.lock:
            if not self._copy_sought:
                self._copy = self._find_onnx()
                self._copy_sought = True
            return self._copy

    def load(self, *, use_onnx: bool) -> OnnxNetwork | Network:
        """Returns what answers: the ONNX file where it may and can, else the network.

        Raises:
            ArtifactError: If the run is damaged, or was imported as predictions alone.
            WeightsError: If its weights are missing or damaged.
        """
        copy = self.onnx() if use_onnx or self.info.kind == "imported" else None
        return copy or self.network()

    def borrowed(self) -> BorrowedModel:
        """Returns the model to look inside; hold `lock` while you do."""
        if self.info.kind == "imported":
            copy = self.onnx()
            assert copy is not None  # noqa: S101 (an imported file is there, or was refused)
            return BorrowedModel(self.info, copy.logits, None, None, copy.preprocessing)
        network = self.network()

        def prepare(stored: NDArray[np.uint8]) -> Tensor:
            return network.preprocessing(stored).to(self._device)

        return BorrowedModel(self.info, network.model, self.config, network.spec, prepare)

    def probabilities(
        self, stored: NDArray[np.uint8], batch_size: int, *, use_onnx: bool
    ) -> tuple[Probabilities, Backend]:
        """Predicts stored images, uint8 (N, ...); gives shape (N, K).

        Raises:
            ArtifactError: As `load`, or if an answer is not finite.
            WeightsError: As `load`.
        """
        asked = self.load(use_onnx=use_onnx)
        if isinstance(asked, OnnxNetwork):
            rows = np.arange(len(stored))
            result, backend = asked.probabilities(stored, rows, batch_size), Backend.ONNX
        else:
            with self.lock:
                logits = predict_logits(
                    asked.model, stored, asked.preprocessing, batch_size=batch_size
                )
            result = logits.double().softmax(dim=-1).cpu().numpy()
            backend = Backend.TORCH
        if not np.isfinite(result).all():
            raise ArtifactError(
                f"{self.info.run_id} gives no finite answer; its weights are damaged."
            )
        return result, backend

    def _find_onnx(self) -> OnnxNetwork | None:
        if self.info.kind != "imported":
            on_cpu = self._device.type == "cpu"
            return exported_copy(self._run, self._stored) if on_cpu else None
        if not self._run.onnx_path.is_file():
            raise ArtifactError(
                f"{self.info.title} was imported as predictions; it has no network to ask about a "
                "face."
            )
        return read_onnx(self._run.onnx_path, self._stored)
