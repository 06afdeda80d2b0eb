"""What became of one run of a benchmark."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One line of the table that a benchmark ends with.

    Attributes:
        run_id: The run.
        status: `finished`, `was finished`, `stopped by the clock`, or why it failed.
        accuracy: On the test split, 0 to 1; None without a finished run.
        minutes: Time spent now.
        failed: Whether it failed.
    """

    run_id: str
    status: str
    accuracy: float | None
    minutes: float
    failed: bool = False
