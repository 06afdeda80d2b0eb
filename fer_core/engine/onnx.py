"""ONNX: exporting networks, and running ONNX files from here or elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine.networks import Network
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError, WeightsError
from fer_core.files import atomic_path, content_hash
from fer_core.labels import LabelSet

if TYPE_CHECKING:
    import onnxruntime

TOLERANCE = 1e-4
"""Largest difference of a probability between a network and its ONNX copy."""

_FACTS = "ferscope"


@dataclass(frozen=True)
class OnnxInput:
    """Input and classes of an ONNX file that does not declare them in its metadata.

    Attributes:
        image_size: Input side in pixels.
        mean: Input mean per channel, for values in 0 to 1.
        std: Input standard deviation per channel.
        labels: Classes in the order of the outputs.
        gives_probabilities: Whether the outputs are probabilities rather than logits.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    labels: tuple[str, ...]
    gives_probabilities: bool = False


@dataclass(frozen=True)
class OnnxNetwork:
    """An ONNX classifier, ready to predict.

    Attributes:
        session: ONNX Runtime's session.
        preprocessing: Converts stored images to its input.
        labels: The classes in canonical order.
        order: The output column of each class of `labels`, shape (K,).
        parameters: Number of weights in the file; None if unknown.
        weights_hash: Hash of the weight file that was exported; None if unknown.
        gives_probabilities: Whether the outputs are probabilities; their logarithms are logits.
    """

    session: "onnxruntime.InferenceSession"
    preprocessing: Preprocessing
    labels: LabelSet
    order: NDArray[np.int64]
    parameters: int | None
    weights_hash: str | None = None
    gives_probabilities: bool = False

    def logits(self, inputs: torch.Tensor, batch_size: int = 64) -> torch.Tensor:
        """Predicts normalised inputs.

        Args:
            inputs: Shape (N, 3, S, S).
            batch_size: Inputs per step, unless the graph fixes it.

        Returns:
            Shape (N, K) in the order of `labels`, on the CPU.

        Raises:
            WeightsError: If the graph fails, or its outputs are not finite or have another shape.
        """
        graph_input = self.session.get_inputs()[0]
        fixed, channels = graph_input.shape[:2]
        step = fixed if isinstance(fixed, int) else batch_size
        parts = []
        for start in range(0, len(inputs), step):
            batch = inputs[start : start + step].detach().cpu().numpy()
            if channels == 1:
                batch = batch.mean(axis=1, keepdims=True)
            count = len(batch)
            if isinstance(fixed, int) and count < step:
                batch = np.concatenate([batch, np.repeat(batch[-1:], step - count, axis=0)])
            try:
                answers = np.asarray(self.session.run(None, {graph_input.name: batch})[0])
            except Exception as error:  # ONNX Runtime raises many kinds
                raise WeightsError(
                    f"The ONNX file cannot predict inputs of shape {batch.shape}: {error} "
                    "Check the image size."
                ) from error
            parts.append(answers[:count] if answers.ndim else answers[None])
        answers = np.concatenate(parts)
        if answers.ndim != 2 or answers.shape[1] != len(self.order):
            raise WeightsError(
                f"The ONNX file has outputs of shape {answers.shape} for {len(inputs)} images and "
                f"{len(self.order)} classes. Check its classes."
            )
        if not np.isfinite(answers).all():
            raise WeightsError("The outputs of the ONNX file are not finite.")
        outputs = torch.from_numpy(answers[:, self.order])
        return outputs.clamp_min(1e-12).log() if self.gives_probabilities else outputs

    def probabilities(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int = 64
    ) -> NDArray[np.float64]:
        """Predicts stored images.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).
            rows: Rows to predict, in order.
            batch_size: Images per step, unless the graph fixes it.

        Returns:
            Shape (len(rows), K) in the order of `labels`, rows sum to 1.
        """
        parts = []
        for start in range(0, len(rows), batch_size):
            batch = images[rows[start : start + batch_size]]
            inputs = self.preprocessing(np.asarray(batch))
            parts.append(self.logits(inputs, batch_size).numpy())
        logits = np.concatenate(parts).astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return result


def export_onnx(
    network: Network, path: Path, images: NDArray[np.uint8], weights_hash: str | None = None
) -> float:
    """Exports a network as ONNX, with its preprocessing and classes in the metadata.

    The file maps `images` (N, 3, S, S), normalised, to `logits` (N, K), for any N.

    Args:
        network: The network.
        path: The file to write, if the copy passes the comparison.
        images: Stored images for the comparison, shape (n, H, W) or (n, H, W, 3).
        weights_hash: Content hash of the weight file, to recognise outdated copies later.

    Returns:
        The largest difference of a probability between the network and the copy.

    Raises:
        ArtifactError: If a probability differs by more than `TOLERANCE`.
        WeightsError: If the network cannot be exported.
    """
    rows = np.arange(len(images))
    with atomic_path(path) as temporary:
        _write(network, temporary, weights_hash)
        copy = read_onnx(temporary, network.preprocessing.format)
        logits = predict_logits(network.model, images, network.preprocessing, rows=rows)
        expected = torch.softmax(logits.double(), dim=1).cpu().numpy()
        # also one at a time: an export can be tied to its example's batch size
        few = rows[:4]
        difference = max(
            float(np.abs(expected - copy.probabilities(images, rows)).max()),
            float(np.abs(expected[few] - copy.probabilities(images, few, batch_size=1)).max()),
        )
        if not difference <= TOLERANCE:
            raise ArtifactError(
                f"The ONNX copy of {network.info.run_id} differs by {difference:.1e} in a "
                f"probability, more than {TOLERANCE:.0e}. Nothing was written."
            )
    return difference


def read_onnx(path: Path, stored: SampleFormat, declared: OnnxInput | None = None) -> OnnxNetwork:
    """Opens an ONNX classifier with one image input.

    Args:
        path: The file.
        stored: Format of the images to predict.
        declared: Its input and classes; None for a file of `export_onnx`, whose metadata has them.

    Raises:
        WeightsError: If the file is not such a network, or does not match what is declared.
    """
    import onnxruntime

    # Several sessions and PyTorch share a process. Spinning threads take the cores from each other
    # (measured: four times slower for eight networks).
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises many kinds for damaged files
        raise WeightsError(f"{path.name} cannot be read as an ONNX network: {error}") from error
    facts = json.loads(session.get_modelmeta().custom_metadata_map.get(_FACTS, "{}"))
    declared = declared or (_from_facts(facts) if facts else None)
    if declared is None:
        raise WeightsError(
            f"{path.name} does not declare its input and classes. Pass --image-size and --labels, "
            "and --mean and --std if needed."
        )
    _check_shape(session, declared, path.name)
    labels = LabelSet.of(declared.labels)
    order = np.array([declared.labels.index(name) for name in labels.names], dtype=np.int64)
    preprocessing = Preprocessing(
        stored.side, stored.colour, declared.image_size, declared.mean, declared.std
    )
    return OnnxNetwork(
        session,
        preprocessing,
        labels,
        order,
        _parameters(path),
        facts.get("weights_hash"),
        declared.gives_probabilities,
    )


def ends_in_softmax(network: OnnxNetwork, images: NDArray[np.uint8]) -> bool:
    """Whether a network's outputs are probabilities: not negative, with rows that sum to 1.

    Args:
        network: As read, with outputs taken as logits.
        images: Some stored images, shape (N, H, W) or (N, H, W, 3).
    """
    outputs = network.logits(network.preprocessing(images))
    return bool((outputs >= 0).all() and (outputs.sum(dim=1) - 1).abs().max() < 1e-3)


def exported_copy(run: RunDir, stored: SampleFormat) -> OnnxNetwork | None:
    """Returns a run's ONNX copy if it is up to date.

    On a CPU, ONNX Runtime predicts several times faster than PyTorch.

    Args:
        run: The run, with `model.onnx` beside its weights.
        stored: Format of the images to predict.

    Returns:
        None if there is no copy, it is damaged, the run's weights have changed since the export, or
        the preprocessing differs from the run's.
    """
    if not (run.onnx_path.is_file() and run.weights_path.is_file()):
        return None
    try:
        copy = read_onnx(run.onnx_path, stored)
    except WeightsError:
        return None
    info = run.info()
    same = copy.weights_hash == content_hash(run.weights_path)
    prepared = copy.preprocessing.hash == info.preprocessing_hash
    return copy if same and prepared and copy.labels.names == info.labels else None


def keep_onnx(source: Path, path: Path, declared: OnnxInput | None) -> None:
    """Copies an ONNX file into a run and writes its input and classes to the metadata.

    Args:
        source: The file; external weight files are included.
        path: Where the copy is written.
        declared: Its input and classes; None for a file of `export_onnx`.
    """
    import onnx

    model = onnx.load(str(source))
    if declared is not None:
        onnx.helper.set_model_props(model, {_FACTS: json.dumps(asdict(declared))})
    with atomic_path(path) as temporary:
        onnx.save(model, str(temporary))


def _write(network: Network, path: Path, weights_hash: str | None) -> None:
    size = network.preprocessing.image_size
    device = next(network.model.parameters()).device
    example = torch.zeros(2, 3, size, size, device=device)
    try:
        program = torch.onnx.export(
            network.model.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    except Exception as error:  # the exporter raises many kinds
        raise WeightsError(
            f"{network.info.run_id} cannot be exported as ONNX: {type(error).__name__}: {error}"
        ) from error
    assert program is not None  # noqa: S101 (None only with dynamo=False)
    program.model.metadata_props[_FACTS] = json.dumps(
        {
            "run_id": network.info.run_id,
            "labels": network.info.labels,
            "image_size": size,
            "mean": network.preprocessing.mean,
            "std": network.preprocessing.std,
            "preprocessing_hash": network.preprocessing.hash,
            "weights_hash": weights_hash,
        }
    )
    program.save(path)


def _from_facts(facts: Mapping[str, Any]) -> OnnxInput:
    return OnnxInput(
        image_size=int(facts["image_size"]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        labels=tuple(facts["labels"]),
        gives_probabilities=bool(facts.get("gives_probabilities", False)),
    )


def _check_shape(session: "onnxruntime.InferenceSession", declared: OnnxInput, name: str) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or inputs[0].type != "tensor(float)" or shape[1] not in (1, 3):
        raise WeightsError(
            f"{name} must have one float input of shape (N, 3, S, S) or (N, 1, S, S), "
            f"not {[item.shape for item in inputs]}."
        )
    for side in shape[2:]:
        if isinstance(side, int) and side != declared.image_size:
            raise WeightsError(
                f"{name} takes images of {side} px, but {declared.image_size} px were declared. "
                f"Pass --image-size {side}."
            )
    classes = outputs[0].shape[-1] if outputs[0].shape else None
    if isinstance(classes, int) and classes != len(declared.labels):
        raise WeightsError(
            f"{name} has {classes} outputs for {len(declared.labels)} labels "
            f"({', '.join(declared.labels)})."
        )


def _parameters(path: Path) -> int | None:
    """Counts the stored weights of any precision; None if the graph has no initializers."""
    import onnx

    kinds = onnx.TensorProto
    weighing = {
        kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE, kinds.INT8, kinds.UINT8,
    }  # fmt: skip
    weights = onnx.load(str(path)).graph.initializer
    return sum(int(np.prod(w.dims)) for w in weights if w.data_type in weighing) or None
