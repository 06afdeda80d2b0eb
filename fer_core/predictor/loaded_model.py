"""A run's model in memory: the network, its ONNX export, and a lock for hooks and gradients."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.config import ModelConfig, RegressionConfig
from fer_core.data.imaging import SampleFormat
from fer_core.engine.classifiers import open_onnx
from fer_core.engine.devices import Device
from fer_core.engine.onnx_graph import onnx_copy
from fer_core.engine.onnx_network import OnnxNetwork
from fer_core.errors import ArtifactError, WeightsError
from fer_core.explain.defaults import config_of
from fer_core.extras import INSTALL_FULL, require_torch, torch_installed
from fer_core.predictor.predictions import Backend, Probabilities
from fer_core.records import RunInfo

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.engine.networks import Network
    from fer_core.explain.saliency import LogitsFunction
    from fer_core.models import ModelSpec


@dataclass(frozen=True)
class BorrowedModel:
    """Exclusive access to a run's model.

    Attributes:
        info: Metadata of the run.
        logits: The fastest function from inputs to logits: on a CPU the ONNX copy of a network.
        config: Configuration of the network; None without one.
        spec: Architecture of the network; None without one.
        prepare: Preprocesses stored images into input (N, 3, S, S) on the model's device.
        load: Returns the network; None for an ensemble or an ONNX file.
    """

    info: RunInfo
    logits: "LogitsFunction"
    config: ModelConfig | None
    spec: "ModelSpec | None"
    prepare: "Callable[[NDArray[np.uint8]], Tensor]"
    load: "Callable[[], Network] | None" = None

    @property
    def model(self) -> "LogitsFunction":
        """The network, for hooks and gradients, loaded on first use; `logits` without one."""
        return self.logits if self.load is None else self.load().model

    def model_for(self, method: str) -> "LogitsFunction":
        """Returns what a saliency method reads: the network only if the method needs it."""
        from fer_core.explain.methods import method_of

        return self.model if method_of(method).needs_network else self.logits


class LoadedModel:
    """A run with its own model: a network, or an imported ONNX file.

    Models are loaded lazily. Hold `lock` while using hooks or gradients of the network; ONNX
    sessions need no lock.

    Args:
        run: Files of the run.
        info: Metadata of the run.
        stored: Format of the stored images.
        device: Device of the network.
    """

    def __init__(self, run: RunDir, info: RunInfo, stored: SampleFormat, device: Device) -> None:
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
        """Configuration of the network; None for an imported ONNX file."""
        return config_of(self.info)

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets of the network's regression head; empty without one."""
        saved = self.info.recipe.get("regression")
        return RegressionConfig.model_validate(saved).targets if saved else ()

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._network is not None or self._copy is not None

    def network(self) -> "Network":
        """Returns the network on its device, with gradients disabled for parameters.

        Raises:
            ArtifactError: If the run is damaged.
            WeightsError: If its weights are missing or damaged.
            MissingExtraError: If PyTorch is not installed.
        """
        require_torch(f"The network of {self.info.run_id}")
        from fer_core.engine.networks import load_network

        with self.lock:
            if self._network is None:
                network = load_network(self._run, self._stored)
                network.model.to(self._device.torch).requires_grad_(False)
                self._network = network
            return self._network

    def onnx(self) -> OnnxNetwork | None:
        """Returns the imported ONNX model, or on a CPU a copy of the network as it is now.

        Raises:
            ArtifactError: If the run was imported as predictions only.
            WeightsError: If an imported file is damaged.
        """
        with self.lock:
            if not self._copy_sought:
                self._copy = self._find_onnx()
                self._copy_sought = True
            return self._copy

    def load(self, *, use_onnx: bool) -> "OnnxNetwork | Network":
        """Returns the model for inference: ONNX if allowed and available, else the network.

        Raises:
            ArtifactError: If the run is damaged, or was imported as predictions only.
            WeightsError: If its weights are missing or damaged.
        """
        if self.targets:  # an export has the classifier alone
            return self.network()
        copy = self.onnx() if use_onnx or self.info.kind == "imported" else None
        return copy or self.network()

    def borrowed(self, *, use_onnx: bool) -> BorrowedModel:
        """Returns the model for explanations; hold `lock` while using it.

        Raises:
            ArtifactError: As `load`.
            WeightsError: As `load`.
        """
        model = self.load(use_onnx=use_onnx)
        if self.config is None:
            return BorrowedModel(self.info, model.logits, None, None, model.preprocessing)
        from fer_core.models import spec_of

        def prepare(stored: NDArray[np.uint8]) -> "Tensor":
            return model.preprocessing(stored).to(self._device.torch)

        logits = model.logits if isinstance(model, OnnxNetwork) else model.model
        spec = spec_of(self.config)
        return BorrowedModel(self.info, logits, self.config, spec, prepare, self.network)

    def probabilities(
        self, stored: NDArray[np.uint8], batch_size: int, *, use_onnx: bool
    ) -> tuple[Probabilities, NDArray[np.float64], Backend]:
        """Returns probabilities of stored images, uint8 (N, ...), shape (N, K); and estimates.

        Estimates are those of the regression head, shape (N, T); T is 0 without one.

        Raises:
            ArtifactError: As `load`, or if a prediction is not finite.
            WeightsError: As `load`.
        """
        model, rows = self.load(use_onnx=use_onnx), np.arange(len(stored))
        estimates, backend = np.empty((len(stored), 0)), Backend.TORCH
        if isinstance(model, OnnxNetwork):
            result, backend = model.probabilities(stored, rows, batch_size), Backend.ONNX
        else:
            with self.lock:
                if self.targets:
                    result, estimates = model.probabilities_and_estimates(stored, rows, batch_size)
                else:
                    result = model.probabilities(stored, rows, batch_size)
        if not np.isfinite(result).all() or not np.isfinite(estimates).all():
            raise ArtifactError(
                f"The predictions of {self.info.run_id} are not finite: its weights are damaged. "
                "Restore them, or train or import the run again."
            )
        return result, estimates, backend

    def _find_onnx(self) -> OnnxNetwork | None:
        if self.info.kind == "imported":
            return open_onnx(self._run, self.info, self._stored)
        if not self._device.is_cpu:
            return None
        copy = onnx_copy(self._run, self._stored)
        if copy is None and not torch_installed():
            raise WeightsError(
                f"{self.info.run_id} has no ONNX copy of its current weights, and its network "
                f"needs PyTorch, which the light installation leaves out. Install it with: "
                f"{INSTALL_FULL}."
            )
        return copy
