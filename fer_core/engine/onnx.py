"""ONNX: exporting networks, their copies, and files that a run keeps."""

import ast
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.engine.onnx_network import FACTS, OnnxInput, OnnxNetwork, read_onnx
from fer_core.errors import ArtifactError, WeightsError
from fer_core.evaluation.licences import weight_licences
from fer_core.files import atomic_path, content_hash
from fer_core.labels import names_in_order

if TYPE_CHECKING:
    from fer_core.engine.networks import Network

_LARGE_MEAN, _LARGE_DIVISOR = 2.0, 20.0
"""Means such as 127.5 and divisors such as 255 above these are for pixels in 0 to 255."""

TOLERANCE = 1e-4
"""Largest difference of a probability between a network and its ONNX copy."""


def export_onnx(
    network: "Network",
    path: Path,
    images: NDArray[np.uint8],
    weights_hash: str | None = None,
    temperature: float | None = None,
) -> float:
    """Exports a network as ONNX, with its preprocessing and classes in the metadata.

    The file maps `images` (N, 3, S, S), normalised, to `logits` (N, K), for any N.

    Args:
        network: The network.
        path: The file to write, if the copy passes the comparison.
        images: Stored images for the comparison, shape (n, H, W) or (n, H, W, 3).
        weights_hash: Content hash of the weight file, to recognise outdated copies later.
        temperature: Temperature that calibrates the logits, for the metadata.

    Returns:
        The largest difference of a probability between the network and the copy.

    Raises:
        ArtifactError: If a probability differs by more than `TOLERANCE`.
        WeightsError: If the network cannot be exported.
    """
    with atomic_path(path) as temporary:
        _write(network, temporary, copy_facts(network, weights_hash, temperature))
        copy = read_onnx(temporary, network.preprocessing.format)
        return checked_difference(network, copy, images, TOLERANCE)


def checked_difference(
    network: "Network", copy: OnnxNetwork, images: NDArray[np.uint8], tolerance: float
) -> float:
    """Returns the largest difference of a probability between a network and its copy.

    Args:
        network: The network.
        copy: ONNX copy of the network.
        images: Stored images, shape (n, H, W) or (n, H, W, 3).
        tolerance: Largest allowed difference.

    Raises:
        ArtifactError: If a probability differs by more.
    """
    rows = np.arange(len(images))
    expected = network.probabilities(images, rows)
    # also one at a time: an export can be tied to its example's batch size
    few = rows[:4]
    difference = max(
        float(np.abs(expected - copy.probabilities(images, rows)).max()),
        float(np.abs(expected[few] - copy.probabilities(images, few, batch_size=1)).max()),
    )
    if not difference <= tolerance:
        raise ArtifactError(
            f"The ONNX copy of {network.info.run_id} differs by {difference:.1e} in a "
            f"probability, more than {tolerance:.0e}. Nothing was written."
        )
    return difference


def exported_copy(
    run: RunDir, stored: SampleFormat, threads: int | None = None
) -> OnnxNetwork | None:
    """Returns a run's ONNX copy if it is up to date.

    On a CPU, ONNX Runtime predicts several times faster than PyTorch.

    Args:
        run: The run, with `model.onnx` beside its weights.
        stored: Format of the images to predict.
        threads: Threads of ONNX Runtime; its default if None.

    Returns:
        None if there is no copy, it is damaged, the run's weights have changed since the export, or
        the preprocessing differs from the run's.
    """
    if not (run.onnx_path.is_file() and run.weights_path.is_file()):
        return None
    return current_copy(run, run.onnx_path, stored, threads)


def current_copy(
    run: RunDir, path: Path, stored: SampleFormat, threads: int | None = None
) -> OnnxNetwork | None:
    """Returns an ONNX file if it is a copy of a run's network as it is now.

    Args:
        run: The run.
        path: The file.
        stored: Format of the images to predict.
        threads: Threads of ONNX Runtime; its default if None.
    """
    try:
        copy = read_onnx(path, stored, threads=threads)
    except WeightsError:
        return None
    info = run.info()
    same = copy.weights_hash == content_hash(run.weights_path)
    prepared = copy.preprocessing.hash == info.preprocessing_hash
    return copy if same and prepared and copy.labels.names == info.labels else None


def keep_onnx(source: Path, path: Path, network: OnnxNetwork) -> None:
    """Copies an ONNX file into a run and writes its input and classes to the metadata.

    Args:
        source: The file; external weight files are included.
        path: Path of the copy.
        network: The file as it was read, with its classes.
    """
    import onnx

    model = onnx.load(str(source))
    declared = OnnxInput(
        network.preprocessing.image_size,
        network.preprocessing.mean,
        network.preprocessing.std,
        network.classes.names,
        network.gives_probabilities,
        network.layout.bgr,
    )
    onnx.helper.set_model_props(model, {FACTS: json.dumps(asdict(declared))})
    with atomic_path(path) as temporary:
        onnx.save(model, str(temporary))


@dataclass(frozen=True)
class OnnxMetadata:
    """What other tools write into an ONNX file.

    Attributes:
        classes: Class names in output order; empty if the file has none.
        largest_pixel: 1 or 255 if the file tells the range of its input; else None.
        reason: How it tells, for a message.
    """

    classes: tuple[str, ...] = ()
    largest_pixel: int | None = None
    reason: str = ""


def read_metadata(path: Path) -> OnnxMetadata:
    """Returns the metadata that other tools write into an ONNX file.

    Ultralytics writes `author`, and the classes under `names` as Python's text of a dict:
    `{0: 'angry', 1: 'happy'}`; its classifiers take pixels in 0 to 1.

    Returns:
        Empty if the file has none, or declares its input and classes as this project's do.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf does not export its DecodeError; `read_onnx` names the damage
        return OnnxMetadata()
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if FACTS in texts:
        return OnnxMetadata()
    classes = _listed(texts.get("names", ""))
    if texts.get("author") == "Ultralytics" and "names" in texts:
        return OnnxMetadata(classes, 1, "Ultralytics exported the file")
    return OnnxMetadata(classes, _largest_pixel(model.graph), "The graph scales its input itself")


def _largest_pixel(graph: Any) -> int | None:  # noqa: ANN401 (protobuf has no types)
    """Returns the largest value of the pixels that a graph of floats scales first; 1 or 255.

    None if it begins with something else, such as a convolution, or with a step that other ranges
    need, too, such as `x / 2` or `x + 1`.
    """
    import onnx

    values = {tensor.name: tensor for tensor in graph.initializer}
    values |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    inputs = [entry for entry in graph.input if entry.name not in values]
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type not in kinds:
        return None
    name = inputs[0].name
    for node in graph.node:
        found = [values[other] for other in node.input if other in values]
        if name in node.input and node.op_type in ("Transpose", "Cast", "Identity"):
            name = node.output[0]
        elif name in node.input and node.op_type in ("Sub", "Add", "Mul", "Div") and found:
            return _range_of(node.op_type, onnx.numpy_helper.to_array(found[0]))
        elif name in node.input:
            return None
    return None


def _range_of(operator: str, constant: NDArray[Any]) -> int | None:
    """Returns 1 or 255 for pixels that are shifted or scaled by a constant; None if unclear."""
    if operator in ("Sub", "Add"):
        value, large = (constant if operator == "Sub" else -constant).max(initial=0), _LARGE_MEAN
    else:
        value, large = np.abs(constant).max(initial=0), _LARGE_DIVISOR
        value = 1 / value if operator == "Mul" and value else value
    if value > large:
        return 255
    return 1 if 0 < value <= 1 else None


def _listed(text: str) -> tuple[str, ...]:
    """Returns the names in Python's text of a list, or of a dict by number; or an empty tuple."""
    try:
        names = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ()
    return names_in_order(names)


def _write(network: "Network", path: Path, facts: str) -> None:
    import torch

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
    program.model.metadata_props[FACTS] = facts
    program.save(path)


def copy_facts(
    network: "Network", weights_hash: str | None, temperature: float | None = None
) -> str:
    """Returns the metadata of a network's ONNX copy: its input, its classes and its weights.

    The keys are described in docs/sharing.md.
    """
    return json.dumps(
        {
            "run_id": network.info.run_id,
            "labels": network.info.labels,
            "licence": weight_licences(network.info, lambda _: None)[0],
            "temperature": temperature,
            "stored_side": network.preprocessing.side,
            "stored_colour": network.preprocessing.colour,
            "image_size": network.preprocessing.image_size,
            "mean": network.preprocessing.mean,
            "std": network.preprocessing.std,
            "preprocessing_hash": network.preprocessing.hash,
            "weights_hash": weights_hash,
        }
    )
