"""The drawing of live predictions, one for each visit."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from streamlit.runtime.state import SessionStateProxy

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark
from fer_core.errors import ArtifactError
from fer_core.evaluation.efficiency import Efficiency

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    from fer_core.predictor.live import LiveFaces

_STATE = "live-faces"


def live_faces(benchmark: Benchmark, state: SessionStateProxy) -> "LiveFaces":
    """Returns this visit's drawing of predictions; a new one for another benchmark or new runs."""
    from fer_core.predictor.live import SIDE, LiveFaces

    predictor = inference.predictor(benchmark)  # another one once a run was trained again
    drawing: LiveFaces | None = state.get(_STATE)
    if drawing is None or drawing.predictor is not predictor:
        drawing = LiveFaces(predictor, inference.face_detector(SIDE), [])
        state[_STATE] = drawing
    return drawing


def fastest_run(benchmark: Benchmark, run_ids: Sequence[str]) -> list[str]:
    """Returns the run with the lowest measured latency for one image, as a list of one.

    Args:
        benchmark: The benchmark.
        run_ids: Runs that can predict, best first; the first is returned if none is measured.
    """
    latency: dict[str, float] = {}
    for run_id in run_ids:
        with suppress(ArtifactError):
            path = benchmark.run(run_id).directory.efficiency_path
            milliseconds = Efficiency.read(path).milliseconds(1)
            if milliseconds is not None:
                latency[run_id] = milliseconds
    return [min(latency, key=latency.__getitem__)] if latency else list(run_ids[:1])
