"""Reading the parts of a preparation on a Ray cluster; parts that are done are kept."""

import hashlib
import shutil
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fer_core.data.atomic_dir import locked_dir
from fer_core.data.imaging import SampleFormat
from fer_core.data.plan import PreparePlan, SourcePlan
from fer_core.data.progress import Progress
from fer_core.data.reading import RangeReader
from fer_core.data.reading_parts import PartRange, PartsWriter, ReadingParts, ReadPart
from fer_core.data.selection import SelectedSource, open_sources
from fer_core.data.sources.base import (
    SYNTHETIC,
    Sample,
    Skipped,
    Source,
    entries_of,
    items_of,
)
from fer_core.errors import DataError
from training.jobs.ray_engine import Job, map_in_order_on_ray, require_seen


@dataclass(frozen=True)
class ReadJob:
    """Opens the sources of a plan in a worker, and reads parts of them.

    Attributes:
        plan: The plan; each worker must see its files under these paths.
        sample_format: Format of the stored images.
        entries: Hash of each source's entries on the machine that starts the command.
        device: "cpu": faces are found on the CPU.
    """

    plan: PreparePlan
    sample_format: SampleFormat
    entries: tuple[str, ...]
    device: str | None = "cpu"

    @classmethod
    def of(
        cls, plan: PreparePlan, sources: Sequence[SelectedSource], sample_format: SampleFormat
    ) -> "ReadJob":
        """Returns the job of a plan whose sources are open."""
        named = [
            _absolute(source, selected.title)
            for source, selected in zip(plan.sources, sources, strict=True)
        ]
        return cls(
            plan.model_copy(update={"sources": tuple(named)}),
            sample_format,
            tuple(_entries_hash(selected.reader) for selected in sources),
        )

    def load(self) -> Callable[[PartRange], ReadPart]:
        """Opens the sources.

        Raises:
            DataError: If a source cannot be read, or is another one here.
        """
        for source in self.plan.sources:
            if Path(source.path).is_absolute():
                above = [path for path in Path(source.path).parents if path.is_file()]
                require_seen([Path(source.path), *above], Path(source.path))
        readers = []
        for selected, expected in zip(open_sources(self.plan), self.entries, strict=True):
            if _entries_hash(selected.reader) != expected:
                raise DataError(
                    f"The worker on {socket.gethostname()} sees other files of {selected.title}. "
                    "Put them on a file system that all machines mount under the same path."
                )
            reader = RangeReader(selected, self.sample_format, self.plan)
            readers.append((_Items(selected.reader), reader))

        def read(wanted: PartRange) -> ReadPart:
            items, reader = readers[wanted.source]
            return reader.read(items.of(wanted), wanted.start)

        return read


class _Items:
    """Items of a source by ranges; goes forward where it cannot start at a position."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._items: Iterator[Sample | Skipped] = iter(())
        self._next: int | None = None

    def of(self, wanted: PartRange) -> Iterator[Sample | Skipped]:
        """Yields the items of a range."""
        start = self._next
        self._next = None  # after an error the iterator cannot be used
        if start is None or start > wanted.start or callable(getattr(self._source, "items", None)):
            self._items, start = items_of(self._source, wanted.start), wanted.start
        deque(islice(self._items, wanted.start - start), maxlen=0)
        yield from islice(self._items, None if wanted.is_last else wanted.stop - wanted.start)
        self._next = wanted.stop


def read_parts_on_ray(
    parts: ReadingParts,
    folder: Path,
    job: Job[PartRange, ReadPart],
    progress: Progress,
    workers: int | None = None,
) -> None:
    """Reads the missing parts on a Ray cluster; `prepare_sources` then finds them done.

    Args:
        parts: The parts of the sources.
        folder: Folder of the prepared data set.
        job: Job that each worker loads.
        progress: Shows progress over parts.
        workers: Number of workers; None for one per CPU core of the cluster.

    Raises:
        MissingExtraError: If Ray is not installed.
        FerscopeError: If a part cannot be read, or its workers die repeatedly.
        ArtifactError: If there is not enough disk space.
    """
    with locked_dir(folder) as partial:
        with PartsWriter(parts) as writer:
            todo = parts.ranges[writer.count :]
            results = map_in_order_on_ray(todo, job, workers)
            for result in progress(results, len(todo), "reading parts on the cluster"):
                writer.append(result)
        shutil.rmtree(partial, ignore_errors=True)


def _absolute(source: SourcePlan, title: str) -> SourcePlan:
    """Names the files of a source so that workers with another working folder find them.

    The title can depend on the path, so it is set, too.
    """
    if source.path == SYNTHETIC:
        return source.model_copy(update={"name": title})
    reader = source.reader
    if (votes := getattr(reader, "votes", None)) is not None:
        reader = reader.model_copy(update={"votes": votes.absolute()})
    path = Path(source.path)
    is_local = path.exists() or any(parent.is_file() for parent in path.parents)
    full_path = str(path.absolute()) if is_local else source.path
    return source.model_copy(update={"path": full_path, "reader": reader, "name": title})


def _entries_hash(source: Source) -> str:
    """Returns a hash of what a source's items are called and how they are labelled."""
    hasher = hashlib.sha256()
    for entry in entries_of(source):
        hasher.update(repr(entry).encode("utf-8", "backslashreplace"))
    return hasher.hexdigest()[:16]
