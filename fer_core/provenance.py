"""Where a result comes from: commit, library versions, hardware, time."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("torch", "torchvision", "timm", "accelerate", "numpy", "pandas")


def git_commit(folder: Path) -> str | None:
    """Returns the commit of a checkout, with `+` if files were changed since; None without git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(  # noqa: S603 (fixed command, no shell)
            command, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "fer_core", "training")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that decide a result."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, str]:
    """Returns device, architecture and number of cores; no name of the machine."""
    return {"device": device, "machine": platform.machine(), "cores": str(os.cpu_count())}


def now() -> str:
    """Returns the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
