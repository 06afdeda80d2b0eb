"""Provenance of a result: commit, library versions, hardware and time."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("torch", "torchvision", "timm", "accelerate", "numpy", "pandas")


@cache
def git_commit(folder: Path) -> str | None:
    """Returns the commit of a checkout, with `+` for uncommitted changes; None without git.

    Cached, because a process runs the code that was there when it started.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        result = subprocess.run(  # noqa: S603 (fixed command, no shell)
            command, capture_output=True, text=True, check=True, timeout=10
        )
        return result.stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "fer_core", "training")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that affect results."""
    installed = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def hardware(device: str) -> dict[str, str]:
    """Returns device, CPU architecture and number of cores, but no host name."""
    return {"device": device, "machine": platform.machine(), "cores": str(os.cpu_count())}


def now() -> str:
    """Returns the current UTC time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
