"""Inference cost of a run: `efficiency.json`."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.records import Record

BATCH_SIZES = (1, 8, 32)


class Latency(BaseModel):
    """Time of one forward pass, including preprocessing.

    Attributes:
        batch_size: Images per batch.
        milliseconds: Median over the repeats for the whole batch.
        repeats: Number of timed passes after warm-up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int
    milliseconds: float
    repeats: int

    @property
    def images_per_second(self) -> float:
        """Throughput at this batch size, in images per second."""
        return 1000 * self.batch_size / self.milliseconds


class Efficiency(Record):
    """Inference cost of a run on the device that measured it.

    Attributes:
        parameters: Number of parameters.
        flops: Floating-point operations of one image's forward pass; a multiply-add counts as
            two. None for an ONNX file whose operators hide products. The key in the file is
            `operations`.
        weight_bytes: Size of the weight files.
        latency: Latency by batch size, ascending.
        peak_memory_bytes: Peak memory above what was in use before the model was loaded; None
            where the device does not report it.
        device: `cpu` or the name of the GPU.
        runtime: Runtime of the model: `onnxruntime` or `torch`.
        threads: Number of CPU threads; None on a GPU.
        measured_at: Time of the measurement, UTC.
    """

    run_id: str
    parameters: int
    flops: int | None = Field(alias="operations")
    weight_bytes: int
    latency: tuple[Latency, ...]
    peak_memory_bytes: int | None
    device: str
    threads: int | None
    runtime: str = "torch"
    versions: Mapping[str, str] = {}
    measured_at: str = Field(default="", alias="measured")

    def milliseconds(self, batch_size: int = 1) -> float | None:
        """Returns the median time of a batch, or None if this batch size was not measured."""
        for entry in self.latency:
            if entry.batch_size == batch_size:
                return entry.milliseconds
        return None


def read_efficiency(run: RunDir) -> Efficiency | None:
    """Returns the measured cost of a run; None if it was not measured or cannot be read."""
    try:
        return Efficiency.read(run.efficiency_path)
    except ArtifactError:
        return None


def combined(run_id: str, members: Sequence[Efficiency], measured_at: str = "") -> Efficiency:
    """Returns the cost of an ensemble that runs its members one after another.

    All costs add up, because all members stay in memory and each one sees every image.

    Args:
        run_id: Id of the ensemble.
        members: At least one member; all measured on the same device.
        measured_at: Time of the measurement, UTC.
    """
    first = members[0]
    sizes = [
        entry.batch_size
        for entry in first.latency
        if all(member.milliseconds(entry.batch_size) is not None for member in members)
    ]
    counted = [member.flops for member in members]
    memory = [member.peak_memory_bytes for member in members]
    return Efficiency(
        run_id=run_id,
        parameters=sum(member.parameters for member in members),
        flops=None if any(flops is None for flops in counted) else sum(filter(None, counted)),
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
        runtime=first.runtime if len({item.runtime for item in members}) == 1 else "mixed",
        versions=first.versions,
        measured_at=measured_at,
    )
