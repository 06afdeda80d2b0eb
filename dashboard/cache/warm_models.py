"""Loads models in the background, so that the first visitor of Compare does not wait for them.

It also imports what only the page Live needs, which is slow. It starts after the first page of a
server, and waits while pages run. `FERSCOPE_WARM_MODELS` is the process's memory in GiB above which
no further model is loaded; 0 turns it off.
"""

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.inference import can_predict, predictor
from fer_core.errors import FerscopeError
from fer_core.extras import torch_installed

if sys.platform != "win32":
    import resource

DEFAULT_GIB = 2.0
MOST_MODELS = 12
"""Number of models that a predictor keeps."""

SLOW_IMPORT = "streamlit_webrtc"
"""What the page Live needs; importing it takes about 0.3 s."""

_DELAY_S = 1.0  # the visitor's next click comes first
_PATIENCE_S = 30.0  # on a busy server models are loaded all the same

log = logging.getLogger(__name__)
_started = threading.Event()


class RunningPages:
    """Counts the pages that run at the moment, so that other work can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts a page for as long as the context lasts."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def wait_for_none(self, seconds: float) -> bool:
        """Waits until no page runs; returns False if one still runs after some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)

    def _add(self, change: int) -> None:
        with self._changed:
            self._count += change
            self._changed.notify_all()


pages = RunningPages()
"""The pages that run on this server."""


def start(benchmark: Benchmark) -> None:
    """Starts loading the models of a benchmark, once in the life of the server."""
    limit = _limit_gib()
    if limit <= 0 or _started.is_set():
        return
    _started.set()
    arguments = (benchmark, limit)
    threading.Thread(target=_load, args=arguments, name="warm-models", daemon=True).start()


def _limit_gib() -> float:
    try:
        return float(os.environ.get("FERSCOPE_WARM_MODELS", DEFAULT_GIB))
    except ValueError:
        return DEFAULT_GIB


def _load(benchmark: Benchmark, limit: float) -> None:
    time.sleep(_DELAY_S)
    pages.wait_for_none(_PATIENCE_S)
    # the most accurate is asked most often; an ensemble needs the same models as its members
    runs = [run for run in benchmark.runs if can_predict(run)]
    runs.sort(key=lambda run: bool(run.info.members))
    try:
        shared = predictor(benchmark)
        face = np.zeros(shared.format.shape, dtype=np.uint8)
        names = [run.run_id for run in runs]
        load_within(names, lambda run_id: shared.predict([face], [run_id]), limit)
        _import_for_live()
        if torch_installed():  # maps take longer, and are shown after the predictions
            load_within(names, lambda run_id: shared.predict_and_explain(face, run_id), limit)
    except Exception:  # pages load what they need themselves
        log.exception("models could not be loaded in advance")


def _import_for_live() -> None:
    pages.wait_for_none(_PATIENCE_S)
    with suppress(ImportError):  # the page says what to install
        importlib.import_module(SLOW_IMPORT)


def load_within(
    run_ids: Sequence[str], load: Callable[[str], object], limit: float, most: int = MOST_MODELS
) -> list[str]:
    """Loads models until the memory limit; a model that cannot be loaded is left to its pages.

    Args:
        run_ids: Runs in order of likely use.
        load: Loads one.
        limit: Resident memory of the process in GiB above which no further model is loaded.
        most: Largest number of models.

    Returns:
        The loaded ones.
    """
    loaded: list[str] = []
    for run_id in run_ids[:most]:
        if memory_gib() > limit:
            log.info("models are loaded on request from here on: the memory limit is reached")
            break
        pages.wait_for_none(_PATIENCE_S)
        try:
            load(run_id)
            loaded.append(run_id)
        except FerscopeError as error:
            log.info("%s was not loaded in advance: %s", run_id, error)
    return loaded


def memory_gib() -> float:
    """Returns the largest resident memory of the process so far in GiB; 0 where it is unknown."""
    if sys.platform == "win32":
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
