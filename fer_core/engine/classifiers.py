"""Whatever a run predicts new images with: its network, or its imported ONNX file."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_core.abilities import abilities_of
from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.preprocessing import Preprocessing
from fer_core.engine.onnx_graph import onnx_copy
from fer_core.engine.onnx_network import OnnxNetwork, read_onnx
from fer_core.errors import ArtifactError, WeightsError
from fer_core.records import RunInfo

if TYPE_CHECKING:
    import torch


class Classifier(Protocol):
    """A model that predicts stored images: `Network` or `OnnxNetwork`."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Converts stored images to its input."""

    def logits(self, inputs: "torch.Tensor", batch_size: int = 64) -> "torch.Tensor":
        """Predicts normalised inputs (N, 3, S, S); shape (N, K)."""

    def probabilities(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int = 64
    ) -> NDArray[np.float64]:
        """Predicts rows of stored images; shape (len(rows), K)."""


def open_onnx(
    run: RunDir, info: RunInfo, stored: SampleFormat, threads: int | None = None
) -> OnnxNetwork:
    """Opens the file of an imported ONNX run.

    Raises:
        ArtifactError: If the run holds predictions only.
        WeightsError: If the file is missing or damaged.
    """
    if info.backend != "onnx":
        raise ArtifactError(abilities_of(run, info).reason)
    if not run.onnx_path.is_file():
        raise WeightsError(
            f"{run.run_id} has no {run.onnx_path.name}. Restore the file, or import it again."
        )
    return read_onnx(run.onnx_path, stored, labels=info.classes.labels, threads=threads)


def load_classifier(
    run: RunDir, stored: SampleFormat, device: "torch.device", threads: int | None = None
) -> Classifier:
    """Loads what a run predicts with.

    Args:
        run: A network's run, or an imported ONNX file's, which always runs on the CPU.
        stored: Format of the images to predict.
        device: Device of a network.
        threads: CPU threads of an ONNX file; its default if None.

    Raises:
        ArtifactError: If the run is an ensemble, holds predictions only, or is damaged.
        WeightsError: If its weights are missing or damaged.
    """
    info = run.info()
    if info.kind == "imported":
        return open_onnx(run, info, stored, threads)
    from fer_core.engine.networks import load_network

    network = load_network(run, stored)
    network.model.to(device).requires_grad_(False)
    return network


def load_fastest(
    run: RunDir, stored: SampleFormat, device: "torch.device", threads: int | None = None
) -> Classifier:
    """Loads what predicts fastest: on a CPU the ONNX copy of a network's weights, if there is one.

    Probabilities differ from the network's by at most 1e-4, as checked when the copy was written.
    Arguments and errors are those of `load_classifier`.
    """
    copy = onnx_copy(run, stored, threads) if device.type == "cpu" else None
    return copy or load_classifier(run, stored, device, threads)
