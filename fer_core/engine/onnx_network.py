"""ONNX networks, from here or elsewhere: their input, classes and logits."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_core.config import Rgb
from fer_core.data.imaging import SampleFormat
from fer_core.data.preprocessing import Preprocessing
from fer_core.errors import WeightsError
from fer_core.extras import installed
from fer_core.labels import ABSENT, LabelSet, OutputClasses
from fer_core.luma import LUMA

if TYPE_CHECKING:
    import onnxruntime
    from torch import Tensor

HALF: Rgb = (0.5, 0.5, 0.5)
BYTES_MEAN: Rgb = (0.0, 0.0, 0.0)
BYTES_STD: Rgb = (1 / 255, 1 / 255, 1 / 255)

FACTS = "ferscope"
"""Key of the metadata that hold a file's input and classes."""

OutputKind = Literal["logits", "probabilities", "sigmoids"]

_ROUNDING = 0.03
"""Largest relative distance of the sum of rounded probabilities from 1."""

_DTYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


@dataclass(frozen=True)
class OnnxInput:
    """Input and classes of an ONNX file that does not declare them in its metadata.

    Attributes:
        image_size: Input side in pixels; None where the graph fixes it.
        mean: Input mean per channel, for values in 0 to 1. None for 0.5, or for 0 where the graph
            takes integers.
        std: Input standard deviation per channel. None for 0.5, or for 1 / 255 where the graph
            takes integers, which are the pixels' values 0 to 255.
        labels: Classes in the order of the outputs.
        gives_probabilities: Whether the outputs are probabilities rather than logits.
        bgr: Whether the graph takes blue, green, red. Mean and std stay in the order of RGB.
    """

    image_size: int | None
    mean: Rgb | None
    std: Rgb | None
    labels: tuple[str, ...]
    gives_probabilities: bool = False
    bgr: bool = False


@dataclass(frozen=True)
class OnnxLayout:
    """Layout of a graph's input.

    Attributes:
        channels: 3, or 1 for the luma of the three.
        channels_last: (N, S, S, C) rather than (N, C, S, S).
        dtype: Precision of the input.
        bgr: Blue, green, red rather than red, green, blue.
    """

    channels: int
    channels_last: bool
    dtype: Any
    bgr: bool = False

    def arrange(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        """Converts normalised RGB inputs (N, 3, S, S) to the graph's input."""
        batch = inputs[:, ::-1] if self.bgr else inputs
        if self.channels == 1:
            batch = np.tensordot(batch, np.array(LUMA, dtype=np.float32), axes=(1, 0))[:, None]
        if self.channels_last:
            batch = batch.transpose(0, 2, 3, 1)
        if np.issubdtype(self.dtype, np.integer):
            batch = np.rint(batch).clip(0, 255)
        return np.ascontiguousarray(batch, dtype=self.dtype)


@dataclass(frozen=True)
class OnnxNetwork:
    """An ONNX classifier, ready to predict.

    Attributes:
        session: ONNX Runtime's session.
        layout: Layout of the input.
        preprocessing: Converts stored images to its input.
        classes: Classes of its outputs.
        parameters: Number of weights in the file; None if unknown.
        weights_hash: Hash of the weight file that was exported; None if unknown.
        gives_probabilities: Whether the outputs are probabilities; their logarithms are logits.
        output: Name of the output that is read; None for the first.
    """

    session: "onnxruntime.InferenceSession"
    layout: OnnxLayout
    preprocessing: Preprocessing
    classes: OutputClasses
    parameters: int | None
    weights_hash: str | None = None
    gives_probabilities: bool = False
    output: str | None = None

    @property
    def labels(self) -> LabelSet:
        """The classes of the logits, in canonical order."""
        return self.classes.labels

    def logits(self, inputs: "Tensor", batch_size: int = 64) -> "Tensor":
        """Predicts normalised inputs.

        Args:
            inputs: Shape (N, 3, S, S).
            batch_size: Inputs per step, unless the graph fixes it.

        Returns:
            Shape (N, K) in the order of `labels`, on the CPU.

        Raises:
            WeightsError: If the graph fails, or its outputs are not finite or have another shape.
        """
        import torch

        return torch.from_numpy(self._logits(inputs.detach().cpu().numpy(), batch_size))

    def _logits(self, inputs: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        outputs = self.outputs(inputs, batch_size)
        if self.gives_probabilities:
            outputs = np.log(np.maximum(outputs, np.float32(1e-12)))
        padded = np.concatenate([outputs, np.full_like(outputs[:, :1], ABSENT)], axis=1)
        return padded[:, list(self.classes.columns)]  # -1, a missing class, is the last column

    def outputs(self, inputs: NDArray[np.float32], batch_size: int = 64) -> NDArray[np.float32]:
        """Returns the graph's own outputs for normalised inputs, shape (N, outputs).

        Args:
            inputs: Shape (N, 3, S, S).
            batch_size: Inputs per step, unless the graph fixes it.

        Raises:
            WeightsError: As `logits`.
        """
        graph_input = self.session.get_inputs()[0]
        fixed = graph_input.shape[0]
        step = fixed if isinstance(fixed, int) else batch_size
        parts = []
        for start in range(0, len(inputs), step):
            batch = self.layout.arrange(inputs[start : start + step])
            count = len(batch)
            if isinstance(fixed, int) and count < step:
                batch = np.concatenate([batch, np.repeat(batch[-1:], step - count, axis=0)])
            try:
                names = None if self.output is None else [self.output]
                outputs = np.asarray(self.session.run(names, {graph_input.name: batch})[0])
            except Exception as error:  # ONNX Runtime raises many kinds
                raise WeightsError(
                    f"The ONNX file cannot predict inputs of shape {batch.shape}: {error} "
                    "Check the image size."
                ) from error
            if outputs.size == len(batch) * len(self.classes.names):  # also (N, K, 1, 1) and (K,)
                outputs = outputs.reshape(len(batch), -1)
            parts.append(outputs[:count] if outputs.ndim else outputs[None])
        outputs = np.concatenate(parts)
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes.names):
            raise WeightsError(
                f"The ONNX file has outputs of shape {outputs.shape} for {len(inputs)} images and "
                f"{len(self.classes.names)} classes. Check its classes."
            )
        if not np.isfinite(outputs).all():
            raise WeightsError(
                "The outputs of the ONNX file are not finite. Check the weights and the input "
                "range (--mean, --std), and export it again."
            )
        return outputs.astype(np.float32, copy=False)

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
            parts.append(self._logits(self.preprocessing.array(np.asarray(batch)), batch_size))
        logits = np.concatenate(parts).astype(np.float64)
        return np.asarray(softmax(logits, axis=1))


def read_onnx(
    path: Path,
    stored: SampleFormat,
    declared: OnnxInput | None = None,
    labels: LabelSet | None = None,
    threads: int | None = None,
) -> OnnxNetwork:
    """Opens an ONNX classifier with one image input.

    Args:
        path: The file.
        stored: Format of the images to predict.
        declared: Input and classes of the file; None for a file whose metadata has them.
        labels: Classes of the logits; by default the file's own.
        threads: Threads of ONNX Runtime; its default if None.

    Raises:
        WeightsError: If the file is not such a network, or does not match what is declared.
    """
    session = _session(path, threads)
    facts = json.loads(session.get_modelmeta().custom_metadata_map.get(FACTS, "{}"))
    by_user, declared = declared, declared or (_from_facts(facts) if facts else None)
    if declared is None:
        raise WeightsError(
            f"{path.name} does not declare its input and classes. Pass --labels, --image-size "
            "unless the graph fixes it, and --mean and --std if needed."
        )
    size = _image_size(session, declared, path.name)
    layout = _with_order(_layout(session, size, path.name), declared, path.name)
    integers = np.issubdtype(layout.dtype, np.integer)
    if integers and by_user is not None:
        _require_pixels(by_user, path.name)
    mean, std = (BYTES_MEAN, BYTES_STD) if integers else (HALF, HALF)
    mean, std = declared.mean or mean, declared.std or std
    preprocessing = Preprocessing(stored.side, stored.colour, size, mean, std)
    return OnnxNetwork(
        session,
        layout,
        preprocessing,
        OutputClasses(declared.labels, labels or LabelSet.of(declared.labels)),
        count_parameters(path),
        facts.get("weights_hash"),
        declared.gives_probabilities,
        _output(session, declared, path.name),
    )


def assumptions(network: OnnxNetwork, declared: OnnxInput | None) -> list[str]:
    """Returns sentences on what was assumed about a file that does not declare its input.

    Args:
        network: Result of `read_onnx`.
        declared: Input and classes from the user; None for a file whose metadata has them.
    """
    if declared is None:
        return []
    notes = []
    assumed = [
        f"--{name} {','.join(f'{value:.4g}' for value in used)}"
        for name, given, used in (
            ("mean", declared.mean, network.preprocessing.mean),
            ("std", declared.std, network.preprocessing.std),
        )
        if given is None
    ]
    if assumed:
        notes.append(f"The file does not describe its input; assumed: {' '.join(assumed)}.")
    outputs = [output.name for output in network.session.get_outputs()]
    if len(outputs) > 1:
        others = ", ".join(name for name in outputs if name != network.output)
        notes.append(f"The output {network.output} was read; the file also has {others}.")
    return notes


def output_kind(network: OnnxNetwork, images: NDArray[np.uint8]) -> OutputKind:
    """Returns what a network's outputs are, judged by its predictions of some images.

    Probabilities are not negative, and the sums of all rows are near 1, or near 100 for
    percentages; rounding to 8 bits moves them by up to 3%. Values in 0 to 1 with other sums are
    those of one sigmoid for each class. All others are logits.

    Args:
        network: Result of `read_onnx`.
        images: Some stored images, shape (N, H, W) or (N, H, W, 3).
    """
    outputs = network.outputs(network.preprocessing.array(images))
    if (outputs < 0).any():
        return "logits"
    sums = outputs.sum(axis=1)
    if any(np.abs(sums / total - 1).max() <= _ROUNDING for total in (1, 100)):
        return "probabilities"
    return "sigmoids" if (outputs <= 1).all() else "logits"


def _session(path: Path, threads: int | None) -> "onnxruntime.InferenceSession":
    import onnxruntime

    # Several sessions and PyTorch share a process. Spinning threads take the cores from each other
    # (measured: four times slower for eight networks).
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its warnings are for the file's author
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many kinds for damaged files
        raise WeightsError(
            f"{path.name} cannot be read as an ONNX network: {error} Export it again."
        ) from error


def _from_facts(facts: Mapping[str, Any]) -> OnnxInput:
    return OnnxInput(
        image_size=int(facts["image_size"]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        labels=tuple(facts["labels"]),
        gives_probabilities=bool(facts.get("gives_probabilities", False)),
        bgr=bool(facts.get("bgr", False)),
    )


def _image_size(session: "onnxruntime.InferenceSession", declared: OnnxInput, name: str) -> int:
    """Returns the input side in pixels, which the graph fixes or the user declares."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    candidates = list(_layouts(shape)) if len(shape) == 4 else []
    if not candidates or inputs[0].type not in _DTYPES:
        raise WeightsError(
            f"{name} must have one input of numbers of shape (N, 3, S, S), (N, 1, S, S), "
            f"(N, S, S, 3) or (N, S, S, 1), not {[(item.type, item.shape) for item in inputs]}."
        )
    channels_last = candidates[0][1]
    sides = {side for side in _sides(shape, last=channels_last) if isinstance(side, int)}
    if len(sides) > 1:
        raise WeightsError(
            f"{name} takes images of {' x '.join(map(str, _sides(shape, last=channels_last)))} px; "
            "only square input is supported. Export the model with a square input."
        )
    for side in sides:
        if declared.image_size is not None and side != declared.image_size:
            raise WeightsError(
                f"{name} takes images of {side} px, but {declared.image_size} px were declared. "
                f"Pass --image-size {side}."
            )
    size = declared.image_size or next(iter(sides), None)
    if size is None:
        raise WeightsError(f"{name} does not fix the size of its input. Pass --image-size.")
    return size


def _require_pixels(declared: OnnxInput, name: str) -> None:
    """Refuses a mean and a standard deviation that do not leave the pixels' values as they are.

    Rounded to integers, normalised numbers are nearly all the same.
    """
    mean, std = declared.mean or BYTES_MEAN, declared.std or BYTES_STD
    if not (np.allclose(mean, BYTES_MEAN) and np.allclose(std, BYTES_STD, rtol=1e-3, atol=0)):
        raise WeightsError(
            f"{name} takes integers, the pixels' values 0 to 255, and normalises them itself. "
            "Leave out --mean and --std."
        )


def _sides(shape: list[Any], *, last: bool) -> list[Any]:
    return shape[1:3] if last else shape[2:4]


def _layouts(shape: list[Any]) -> Iterator[tuple[int, bool]]:
    """Yields the (channels, channels_last) that an input shape allows; symbolic axes fit all."""
    if shape[1] in (1, 3):
        yield shape[1], False
        return
    if shape[3] in (1, 3):
        yield shape[3], True
        return
    for last in (False, True):
        axis = shape[3 if last else 1]
        sides = {side for side in _sides(shape, last=last) if isinstance(side, int)}
        if not isinstance(axis, int) and len(sides) < 2:
            yield from ((3, last), (1, last))


def _layout(session: "onnxruntime.InferenceSession", size: int, name: str) -> OnnxLayout:
    """Returns how a graph takes images; symbolic axes are settled by trying a blank image."""
    import onnxruntime

    graph_input = session.get_inputs()[0]
    dtype = _DTYPES[graph_input.type]
    layouts = [OnnxLayout(*axes, dtype) for axes in _layouts(graph_input.shape)]
    if len(layouts) == 1:
        return layouts[0]
    batch = graph_input.shape[0] if isinstance(graph_input.shape[0], int) else 1
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4  # what does not fit is no error here
    for layout in layouts:
        blank = layout.arrange(np.zeros((batch, 3, size, size), np.float32))
        try:
            session.run(None, {graph_input.name: blank}, quiet)
        except Exception:  # noqa: S112 (ONNX Runtime raises many kinds; the next layout is tried)
            continue
        return layout
    raise WeightsError(
        f"{name} predicts no image of {size} px with 3 or 1 channels. Check --image-size."
    )


def _with_order(layout: OnnxLayout, declared: OnnxInput, name: str) -> OnnxLayout:
    """Returns a layout with the declared order of channels."""
    if declared.bgr and layout.channels == 1:
        raise WeightsError(f"{name} takes one channel, which has no order. Remove --bgr.")
    return replace(layout, bgr=declared.bgr)


def _output(session: "onnxruntime.InferenceSession", declared: OnnxInput, name: str) -> str:
    """Returns the first output that has, or may have, one value per class.

    Raises:
        WeightsError: If there is none; says how many values the outputs have.
    """
    values = {output.name: _values(output.shape) for output in session.get_outputs()}
    for wanted in (len(declared.labels), None):
        for output, count in values.items():
            if count == wanted:
                return str(output)
    counts = " or ".join(str(count) for count in values.values() if count)
    raise WeightsError(
        f"{name} has {counts or 'no'} outputs for {len(declared.labels)} labels "
        f"({', '.join(declared.labels)})."
    )


def _values(shape: list[Any]) -> int | None:
    """Returns the number of values of an output for an image; None if it is unknown, 0 for maps."""
    sizes = [size for size in (shape[1:] if len(shape) > 1 else shape) if size != 1]
    if len(sizes) > 1:
        return 0
    return sizes[0] if sizes and isinstance(sizes[0], int) else None


def count_parameters(path: Path) -> int | None:
    """Counts the stored weights of any precision; None without initializers, or without `onnx`."""
    if not installed("onnx"):  # the light installation
        return None
    import onnx

    kinds = onnx.TensorProto
    weighing = {
        kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE, kinds.INT8, kinds.UINT8,
    }  # fmt: skip
    weights = onnx.load(str(path), load_external_data=False).graph.initializer
    return sum(int(np.prod(w.dims)) for w in weights if w.data_type in weighing) or None
