"""Result of a measurement."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        what: Name of the measurement.
        value: Measured value with its unit.
        against: Alternative measured in the same run, if any.
        target: Target value, if any.
        reached: Whether the target was reached; None without a target.
    """

    what: str
    value: str
    against: str = ""
    target: str = ""
    reached: bool | None = None


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Returns the median time of a call in seconds, after one warm-up call."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times)
