"""What a measurement gives."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        what: What was measured.
        value: The figure with its unit.
        against: The obvious alternative measured in the same run, if any.
        target: The required value, if any.
        reached: Whether the target was reached; None without one.
    """

    what: str
    value: str
    against: str = ""
    target: str = ""
    reached: bool | None = None


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Returns the median time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times)
