"""Facts of runs that no test trains."""

from typing import Any

from fer_core.records import RunInfo


def run_info(name: str, created: str, **values: Any) -> RunInfo:
    """Returns the facts of a network that was trained from scratch, with some values changed."""
    base: dict[str, Any] = {
        "kind": "network",
        "title": name.upper(),
        "family": "cnn",
        "recipe": {},
        "labels": ("happy", "sad"),
        "init": "scratch",
        "init_source": "",
        "seed": 0,
        "image_size": 48,
        "preprocessing_hash": "p",
        "split_hash": "s",
        "parameters": 1,
    }
    return RunInfo(run_id=name, created=created, **{**base, **values})
