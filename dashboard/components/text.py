"""Numbers as text, and text that is safe in Markdown."""

import re

from fer_core.evaluation.report import Estimate

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~$:])")


def percent(estimate: Estimate) -> str:
    """Returns a share in percent, such as `87.1%`."""
    return f"{estimate.value:.1%}"


def interval(estimate: Estimate) -> str:
    """Returns a 95% interval in percent, such as `85.9 to 88.2`."""
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def plain(message: str) -> str:
    """Escapes what Markdown would read in a message that may hold a name from outside."""
    return _MARKDOWN.sub(r"\\\1", message)
