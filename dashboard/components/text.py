"""Numbers as text, and text that is safe in Markdown."""

import re

from fer_core.evaluation.report import Estimate

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~$:])")


def percent(estimate: Estimate) -> str:
    """Returns a share in percent, such as `87.1%`."""
    return f"{estimate.value:.1%}"


def column_title(name: str) -> str:
    """Returns a table column's name as the page shows it, such as `second label`."""
    return name.replace("_", " ")


def plain(message: str) -> str:
    """Escapes Markdown in a message, which may contain names from outside."""
    return _MARKDOWN.sub(r"\\\1", message)
