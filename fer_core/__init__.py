"""FERscope's library: data, models, training engine, evaluation and explanation.

The names in `__all__` are the Python API (`docs/api.md`). They are imported when they are first
used, so `import fer_core` is instant and needs neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_core import explain
    from fer_core.api import leaderboard, open_benchmark
    from fer_core.evaluation.predictions import Predictions
    from fer_core.predictor import Predictor

__version__ = "0.1.0"

__all__ = ["Predictions", "Predictor", "explain", "leaderboard", "open_benchmark"]

_HOMES = {
    "Predictions": "fer_core.evaluation.predictions",
    "Predictor": "fer_core.predictor",
    "leaderboard": "fer_core.api",
    "open_benchmark": "fer_core.api",
}


def __getattr__(name: str) -> object:
    """Imports a name of the API when it is first used (PEP 562)."""
    if name == "explain":  # a package that can be called
        return import_module("fer_core.explain")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
