"""Where the project's folders are, unless the user says otherwise."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def artifacts_root() -> Path:
    """Returns the folder of benchmarks: `FERSCOPE_ARTIFACTS`, or `artifacts/` of the project."""
    return Path(os.environ.get("FERSCOPE_ARTIFACTS") or ROOT / "artifacts")


def data_root() -> Path:
    """Returns the folder of prepared datasets: `FERSCOPE_DATA`, or `data/` of the project."""
    return Path(os.environ.get("FERSCOPE_DATA") or ROOT / "data")
