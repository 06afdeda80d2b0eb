"""CenterFace's network, run by ONNX Runtime."""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from fer_core.data.centerface.decode import Candidates, decode
from fer_core.errors import DetectorError

INPUT = "images"
OUTPUTS = ("heatmap", "log_size", "offset", "landmarks")
WEIGHTS = "weights/centerface.onnx"
_BATCH_PIXELS = 1_500_000
"""Maximum pixels per forward pass: more needs memory and saves no time on a CPU."""

_PREFERRED: Mapping[str, Mapping[str, str]] = {
    "CUDAExecutionProvider": {},
    "CoreMLExecutionProvider": {},
    # blocks of the sizes asked for, kept for the next pass: returning them to the system takes as
    # long as half a pass, and doubling them would take more memory
    "CPUExecutionProvider": {"arena_extend_strategy": "kSameAsRequested"},
}
"""Execution providers with their options, the preferred one first."""


class CenterFaceNetwork:
    """The network with the included weights; threads may share it.

    Raises:
        DetectorError: If ONNX Runtime or the weights cannot be loaded.
    """

    def __init__(self) -> None:
        # a pass uses all cores; two at a time would only take twice the memory
        self._running = threading.Lock()
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # hides warnings about unused initializers
            options.enable_mem_pattern = False  # inputs have many sizes
            available = onnxruntime.get_available_providers()
            providers = [(name, _PREFERRED[name]) for name in _PREFERRED if name in available]
            with as_file(files(__package__) / WEIGHTS) as path:
                self._session = onnxruntime.InferenceSession(str(path), options, providers)
        except Exception as error:
            raise DetectorError(
                f"The face detector cannot be loaded ({error}). Install FERscope again with: "
                "pip install --force-reinstall onnxruntime ferscope"
            ) from error

    def detect(self, views: Sequence[NDArray[np.uint8]], threshold: float) -> list[Candidates]:
        """Detects faces in views.

        Args:
            views: RGB, each of shape (H, W, 3) with sides that are multiples of 32. Views of equal
                shape share a forward pass.
            threshold: Minimum score, 0 to 1.

        Returns:
            The boxes of each view, in its pixels; a face may have several boxes.
        """
        results = [Candidates.none()] * len(views)
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, view in enumerate(views):
            groups[view.shape].append(index)
        for shape, indices in groups.items():
            most = max(1, _BATCH_PIXELS // (shape[0] * shape[1]))
            for start in range(0, len(indices), most):
                batch = indices[start : start + most]
                images = np.stack([views[index] for index in batch]).transpose(0, 3, 1, 2)
                inputs = {INPUT: np.ascontiguousarray(images, dtype=np.float32)}
                with self._running:
                    maps = self._session.run(OUTPUTS, inputs)
                for row, index in enumerate(batch):
                    heatmap, log_size, offset, landmarks = (output[row] for output in maps)
                    results[index] = decode(heatmap, log_size, offset, landmarks, threshold)
        return results


_lock = threading.Lock()
_shared: list[CenterFaceNetwork] = []


def shared_network() -> CenterFaceNetwork:
    """Returns the network that this process shares; loads it at the first call.

    Raises:
        DetectorError: If ONNX Runtime or the weights cannot be loaded.
    """
    with _lock:
        if not _shared:
            _shared.append(CenterFaceNetwork())
        return _shared[0]
