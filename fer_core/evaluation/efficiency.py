"""What an answer costs: `efficiency.json`."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from fer_core.records import Record

BATCH_SIZES = (1, 8, 32)


class Latency(BaseModel):
    """Time of one forward pass with its preprocessing.

    Attributes:
        batch_size: Images at once.
        milliseconds: Median over the repeats, for the whole batch.
        repeats: How often it was timed, after warming up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int
    milliseconds: float
    repeats: int

    @property
    def images_per_second(self) -> float:
        """Throughput at this batch size."""
        return 1000 * self.batch_size / self.milliseconds


class Efficiency(Record):
    """What a run needs on the device that measured it.

    Attributes:
        parameters: Number of weights.
        operations: Floating-point operations of one image's forward pass, a multiplication and
            an addition counting as two.
        weight_bytes: Size of the weight files.
        latency: By batch size, ascending.
        peak_memory_bytes: Most memory used beyond what was in use before the model was loaded;
            None where the device does not tell.
        device: Such as `cpu` or the name of the GPU.
        threads: Threads that computed; None on a GPU.
        measured: When, UTC.
    """

    run_id: str
    parameters: int
    operations: int
    weight_bytes: int
    latency: tuple[Latency, ...]
    peak_memory_bytes: int | None
    device: str
    threads: int | None
    versions: Mapping[str, str] = {}
    measured: str = ""

    def milliseconds(self, batch_size: int = 1) -> float | None:
        """Returns the median time of a batch, or None if that size was not measured."""
        for entry in self.latency:
            if entry.batch_size == batch_size:
                return entry.milliseconds
        return None


def combined(run_id: str, members: Sequence[Efficiency], measured: str = "") -> Efficiency:
    """Returns the cost of an ensemble that runs its members one after the other.

    Everything adds up: the members are all kept in memory, and each sees every image.

    Args:
        run_id: The ensemble.
        members: At least one; measured on one device.
        measured: When, UTC.
    """
    first = members[0]
    sizes = [
        entry.batch_size
        for entry in first.latency
        if all(member.milliseconds(entry.batch_size) is not None for member in members)
    ]
    memory = [member.peak_memory_bytes for member in members]
    return Efficiency(
        run_id=run_id,
        parameters=sum(member.parameters for member in members),
        operations=sum(member.operations for member in members),
        weight_bytes=sum(member.weight_bytes for member in members),
        latency=tuple(
            Latency(
                batch_size=size,
                milliseconds=sum(member.milliseconds(size) or 0.0 for member in members),
                repeats=min(
                    entry.repeats
                    for member in members
                    for entry in member.latency
                    if entry.batch_size == size
                ),
            )
            for size in sizes
        ),
        peak_memory_bytes=None
        if any(value is None for value in memory)
        else sum(value or 0 for value in memory),
        device=first.device,
        threads=first.threads,
        versions=first.versions,
        measured=measured,
    )
