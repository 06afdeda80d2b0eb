"""Default folders, unless an option or environment variable sets others."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, or the folder of an installed package."""


def _home() -> Path:
    """Returns the checkout; where FERscope was installed from a wheel, the current folder."""
    return ROOT if (ROOT / "pyproject.toml").is_file() else Path.cwd()


def artifacts_root() -> Path:
    """Returns the folder of benchmarks: `FERSCOPE_ARTIFACTS`, or `artifacts/`."""
    return Path(os.environ.get("FERSCOPE_ARTIFACTS") or _home() / "artifacts")


def data_root() -> Path:
    """Returns the folder of prepared datasets: `FERSCOPE_DATA`, or `data/`."""
    return Path(os.environ.get("FERSCOPE_DATA") or _home() / "data")


def state_root() -> Path | None:
    """Returns the folder of what visitors write, `FERSCOPE_STATE`; None if it is not set."""
    state = os.environ.get("FERSCOPE_STATE")
    return Path(state) if state else None
