"""Numbers as text, and text that is safe in Markdown."""

import re

from fer_core.evaluation.report import Estimate

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~$:])")


def percent(estimate: Estimate) -> str:
    """Returns a share in percent, such as `87.1%`."""
    return f"{estimate.value:.1%}"


def plain(message: str) -> str:
    """Escapes what Markdown would read in a message that may hold a name from outside."""
    return _MARKDOWN.sub(r"\\\1", message)
