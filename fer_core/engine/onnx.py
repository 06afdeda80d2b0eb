"""ONNX: copies of our networks for other runtimes, and networks of others from their files."""

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
    """What an ONNX network expects, where its file does not say it.

    Attributes:
        image_size: Input side in pixels.
        mean: Per channel, subtracted from values in 0 to 1.
        std: Per channel, divides afterwards.
        labels: Its classes in the order of its logits.
        gives_probabilities: Whether its outputs are probabilities and not logits.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    labels: tuple[str, ...]
    gives_probabilities: bool = False


@dataclass(frozen=True)
class OnnxNetwork:
    """An ONNX file that can be asked.

    Attributes:
        session: ONNX Runtime's handle of the graph.
        preprocessing: Makes its input from stored images.
        labels: The classes in canonical order.
        order: Its output's column for each class of `labels`, shape (K,).
        parameters: Number of weights in the file; None where it does not tell.
        weights_hash: Of the weights file that it was exported from; None if it does not say.
        gives_probabilities: Whether its outputs are probabilities; their logarithms are logits.
    """

    session: "onnxruntime.InferenceSession"
    preprocessing: Preprocessing
    labels: LabelSet
    order: NDArray[np.int64]
    parameters: int | None
    weights_hash: str | None = None
    gives_probabilities: bool = False

    def logits(self, inputs: torch.Tensor, batch_size: int = 64) -> torch.Tensor:
        """Answers normalised inputs; what explanations of an ONNX file ask.

        Args:
            inputs: Shape (N, 3, S, S).
            batch_size: Inputs a step, unless the graph fixes it.

        Returns:
            Shape (N, K) in the order of `labels`, on the CPU.

        Raises:
            WeightsError: If it answers with another number of classes, or with no numbers.
        """
        wanted = self.session.get_inputs()[0]
        fixed, channels = wanted.shape[0], wanted.shape[1]
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
                answers = np.asarray(self.session.run(None, {wanted.name: batch})[0])
            except Exception as error:  # ONNX Runtime raises many kinds
                raise WeightsError(
                    f"The ONNX file cannot answer images of shape {batch.shape}: {error} "
                    "Does it take this image size?"
                ) from error
            parts.append(answers[:count] if answers.ndim else answers[None])
        answers = np.concatenate(parts)
        if answers.ndim != 2 or answers.shape[1] != len(self.order):
            raise WeightsError(
                f"The ONNX file answers with shape {answers.shape} for {len(inputs)} images and "
                f"{len(self.order)} classes."
            )
        if not np.isfinite(answers).all():
            raise WeightsError("The ONNX file gives answers that are no numbers.")
        outputs = torch.from_numpy(answers[:, self.order])
        return outputs.clamp_min(1e-12).log() if self.gives_probabilities else outputs

    def probabilities(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int = 64
    ) -> NDArray[np.float64]:
        """Predicts stored images.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).
            rows: Which of them, in order.
            batch_size: Images a step, unless the graph fixes it.

        Returns:
            Shape (len(rows), K) in the order of `labels`, rows sum to 1.
        """
        parts = []
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            inputs = self.preprocessing(np.asarray(images[chosen]))
            parts.append(self.logits(inputs, batch_size).numpy())
        logits = np.concatenate(parts).astype(np.float64)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
        return result


def export_onnx(
    network: Network, path: Path, images: NDArray[np.uint8], weights_hash: str | None = None
) -> float:
    """Writes a network as ONNX, with its input pipeline and classes in the file's metadata.

    The file maps `images` (N, 3, S, S), normalised, to `logits` (N, K), for any N.

    Args:
        network: The network.
        path: Where the file is written; only after the check.
        images: Stored images to check the copy on, shape (n, H, W) or (n, H, W, 3).
        weights_hash: Content hash of the file that the network's weights were read from; tells
            later whether the copy is of the run's present weights.

    Returns:
        The largest difference of a probability between the network and the copy.

    Raises:
        ArtifactError: If the copy answers differently by more than `TOLERANCE`.
        WeightsError: If the network cannot be written as ONNX.
    """
    rows = np.arange(len(images))
    with atomic_path(path) as temporary:
        _write(network, temporary, weights_hash)
        copy = read_onnx(temporary, network.preprocessing.format)
        logits = predict_logits(network.model, images, network.preprocessing, rows=rows)
        ours = torch.softmax(logits.double(), dim=1).cpu().numpy()
        # one at a time as well: a graph can be tied to the batch that it was made with
        few = rows[:4]
        difference = max(
            float(np.abs(ours - copy.probabilities(images, rows)).max()),
            float(np.abs(ours[few] - copy.probabilities(images, few, batch_size=1)).max()),
        )
        if not difference <= TOLERANCE:
            raise ArtifactError(
                f"The ONNX copy of {network.info.run_id} differs by {difference:.1e} in a "
                f"probability, more than {TOLERANCE:.0e}. Nothing was written."
            )
    return difference


def read_onnx(path: Path, stored: SampleFormat, given: OnnxInput | None = None) -> OnnxNetwork:
    """Opens an ONNX classifier of one image input and one output of logits.

    Args:
        path: The file.
        stored: Format of the images that it will be asked about.
        given: What it expects; not needed for a file of `export_onnx`, which says so itself.

    Raises:
        WeightsError: If the file is no such network, or does not fit what is given.
    """
    import onnxruntime

    # Several sessions live in one process, and PyTorch beside them: threads that spin while they
    # wait take the processors from each other (measured: four times slower for eight networks).
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises many kinds for damaged files
        raise WeightsError(f"{path.name} cannot be read as an ONNX network: {error}") from error
    facts = json.loads(session.get_modelmeta().custom_metadata_map.get(_FACTS, "{}"))
    expected = given or (_from_facts(facts) if facts else None)
    if expected is None:
        raise WeightsError(
            f"{path.name} does not say what input and classes it has. "
            "Give its image size, mean, std and the order of its labels."
        )
    _check_shape(session, expected, path.name)
    labels = LabelSet.of(expected.labels)
    order = np.array([expected.labels.index(name) for name in labels.names], dtype=np.int64)
    preprocessing = Preprocessing(
        stored.side, stored.colour, expected.image_size, expected.mean, expected.std
    )
    return OnnxNetwork(
        session,
        preprocessing,
        labels,
        order,
        _parameters(path),
        facts.get("weights_hash"),
        expected.gives_probabilities,
    )


def ends_in_softmax(network: OnnxNetwork, images: NDArray[np.uint8]) -> bool:
    """Whether a network's outputs look like probabilities: none negative, rows that sum to 1.

    Args:
        network: As read; told that it gives logits.
        images: Some stored images, shape (N, H, W) or (N, H, W, 3).
    """
    outputs = network.logits(network.preprocessing(images))
    return bool((outputs >= 0).all() and (outputs.sum(dim=1) - 1).abs().max() < 1e-3)


def exported_copy(run: RunDir, stored: SampleFormat) -> OnnxNetwork | None:
    """Returns a run's ONNX copy if it has one that can be trusted.

    It is only there for speed: on a CPU, ONNX Runtime answers several times faster than PyTorch.

    Args:
        run: The run, with `model.onnx` beside its weights.
        stored: Format of the images that it will be asked about.

    Returns:
        None if there is no copy, it is damaged, the run's weights have changed since, or the
        images are prepared otherwise than those that the run learned from.
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


def keep_onnx(source: Path, path: Path, given: OnnxInput | None) -> None:
    """Copies a foreign ONNX file into a run; the copy says what it expects.

    Args:
        source: The file; weights that it keeps in files beside it are taken in.
        path: Where the copy is written.
        given: What the file expects; not needed for a file of `export_onnx`.
    """
    import onnx

    model = onnx.load(str(source))
    if given is not None:
        onnx.helper.set_model_props(model, {_FACTS: json.dumps(asdict(given))})
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
            f"{network.info.run_id} cannot be written as ONNX: {type(error).__name__}: {error}"
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


def _check_shape(session: "onnxruntime.InferenceSession", given: OnnxInput, name: str) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or inputs[0].type != "tensor(float)" or shape[1] not in (1, 3):
        raise WeightsError(
            f"{name} must have one float input of shape (N, 3, S, S) or (N, 1, S, S), "
            f"not {[item.shape for item in inputs]}."
        )
    for side in shape[2:]:
        if isinstance(side, int) and side != given.image_size:
            raise WeightsError(
                f"{name} takes images of {side} px, and {given.image_size} px were given."
            )
    classes = outputs[0].shape[-1] if outputs[0].shape else None
    if isinstance(classes, int) and classes != len(given.labels):
        raise WeightsError(
            f"{name} has {classes} outputs for {len(given.labels)} labels "
            f"({', '.join(given.labels)})."
        )


def _parameters(path: Path) -> int | None:
    """Counts the stored weights of any precision; None where the graph stores them otherwise."""
    import onnx

    kinds = onnx.TensorProto
    weighing = {
        kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE, kinds.INT8, kinds.UINT8,
    }  # fmt: skip
    weights = onnx.load(str(path)).graph.initializer
    return sum(int(np.prod(w.dims)) for w in weights if w.data_type in weighing) or None
