"""Numbers as text, and text that is safe in Markdown."""

import re
from functools import lru_cache
from pathlib import Path

from fer_core.evaluation.report import Estimate
from fer_core.project import artifacts_root, data_root

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~$:])")


def percent(estimate: Estimate) -> str:
    """Returns a share in percent, such as `87.1%`."""
    return f"{estimate.value:.1%}"


def column_title(name: str) -> str:
    """Returns a table column's name as the page shows it, such as `second label`."""
    return name.replace("_", " ")


def plain(message: str) -> str:
    """Escapes Markdown in a message, which may contain names from outside.

    The server's folders are shortened to `artifacts` and `data`: visitors need not know where
    they are.
    """
    return _MARKDOWN.sub(r"\\\1", _without_folders(message))


def _without_folders(message: str) -> str:
    for path, name in _absolute_folders(artifacts_root(), data_root()):
        message = message.replace(path, name)
    return message


@lru_cache(maxsize=8)
def _absolute_folders(artifacts: Path, data: Path) -> tuple[tuple[str, str], ...]:
    """Returns the absolute paths of the folders, also with links resolved, and their names."""
    return tuple(
        (str(path), name)
        for folder, name in ((artifacts, "artifacts"), (data, "data"))
        for path in {folder, folder.resolve()}
        if path.is_absolute()
    )
