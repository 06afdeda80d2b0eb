"""Lineage of a run: all runs and initial weights that it descends from.

A network descends from its initial weights and from the teachers that it was distilled from, an
ensemble from its members. `run.json` names teachers and members with their creation times, so a
run that was retrained under the same id is recognised: the original ancestor no longer exists.
A lineage can be repeated from the files only if no ancestor is gone and no run descends from
another training of its own id.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from fer_core.records import RunInfo


class Link(StrEnum):
    """Things that a run can get from its ancestor."""

    INIT = "initial weights"
    TEACHER = "teacher"
    MEMBER = "member"


class Status(StrEnum):
    """Whether an ancestor is still available."""

    PRESENT = "present"
    """A run whose files are the ones that were used."""
    START = "start"
    """Random weights, or weights that are published elsewhere."""
    RETRAINED = "retrained since"
    """A run with this id exists, but it is a later training."""
    MISSING = "missing"
    """No readable run has this id."""
    FILE = "a file"
    """Weights from a file that belongs to no run."""


VANISHED = (Status.RETRAINED, Status.MISSING, Status.FILE)
"""Ancestors that cannot be read any more, or that cannot be checked."""


@dataclass(frozen=True)
class Ancestor:
    """A run or a source of weights.

    Attributes:
        key: Unique within a lineage.
        benchmark: Benchmark of a run; empty for weights that are no run.
        name: Run id, or the source of the weights.
        created: Creation time of a run; empty if unknown.
        status: Whether it is still available.
    """

    key: str
    benchmark: str
    name: str
    created: str
    status: Status

    @property
    def run(self) -> tuple[str, str] | None:
        """Benchmark and run id, whichever training; None for weights that are no run."""
        return (self.benchmark, self.name) if self.benchmark else None


@dataclass(frozen=True)
class Edge:
    """A descendant and one of its ancestors, by key."""

    child: str
    parent: str
    link: Link


@dataclass(frozen=True)
class Lineage:
    """A run with all its ancestors.

    Attributes:
        root: Key of the run itself.
        ancestors: All nodes by key, the run itself first.
        edges: Links from descendants to their ancestors.
    """

    root: str
    ancestors: Mapping[str, Ancestor]
    edges: tuple[Edge, ...]

    @property
    def vanished(self) -> tuple[Ancestor, ...]:
        """Ancestors that cannot be read any more, or that cannot be checked."""
        return tuple(
            ancestor for ancestor in self.ancestors.values() if ancestor.status in VANISHED
        )

    @property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """Sets of run ids that descend from one another, whichever training; sorted.

        A single id descends from an earlier training of itself.
        """
        ids = sorted({node.run for node in self.ancestors.values() if node.run is not None})
        index = {run: position for position, run in enumerate(ids)}
        pairs = {
            (index[child], index[parent])
            for edge in self.edges
            if (child := self.ancestors[edge.child].run) is not None
            and (parent := self.ancestors[edge.parent].run) is not None
        }
        return tuple(
            tuple(ids[position][1] for position in group) for group in _cyclic(len(ids), pairs)
        )

    @property
    def is_repeatable(self) -> bool:
        """Whether the run can be reproduced from available files."""
        return not self.vanished and not self.cycles

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each cycle and each vanished ancestor."""
        sentences = [_cycle_sentence(cycle) for cycle in self.cycles]
        for node in self.vanished:
            children = [edge for edge in self.edges if edge.parent == node.key]
            names = ", ".join(sorted({self.ancestors[edge.child].name for edge in children}))
            uses = " and ".join(sorted({edge.link.value for edge in children}))
            sentences.append(f"{_vanished_phrase(node)}; {uses} of {names}.")
        return tuple(sentences)


FindRun = Callable[[str, str], RunInfo | None]
"""Returns a run's metadata by benchmark and run id; None if no readable run has this id."""


def trace_lineage(info: RunInfo, benchmark: str, find: FindRun) -> Lineage:
    """Traces a run's initial weights, teachers and members to their origins.

    Args:
        info: Metadata of the run.
        benchmark: Benchmark that the run belongs to.
        find: Looks up other runs.
    """
    tracer = _Tracer(find)
    root = tracer.add_run(benchmark, info)
    return Lineage(root, dict(tracer.ancestors), tuple(tracer.edges))


@dataclass
class _Tracer:
    """Collects ancestors; visits each training once."""

    find: FindRun
    ancestors: dict[str, Ancestor] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def add_run(self, benchmark: str, info: RunInfo) -> str:
        """Adds a run that is present, and its ancestors; returns its key."""
        node = _run_node(benchmark, info.run_id, info.created, Status.PRESENT)
        if node.key in self.ancestors:
            return node.key
        self.ancestors[node.key] = node
        if (start := self._start(benchmark, info)) is not None:
            self._link(node.key, start, Link.INIT)
        for name, created in _parents(info):
            link = Link.MEMBER if info.kind == "ensemble" else Link.TEACHER
            self._link(node.key, self._find(benchmark, name, created), link)
        return node.key

    def _start(self, benchmark: str, info: RunInfo) -> str | None:
        """Adds a run's initial weights; returns their key, None for an ensemble."""
        if info.kind == "ensemble":
            return None
        name = _initial_run(info, benchmark)
        if name is None:
            node = _start_node(info)
            self.ancestors.setdefault(node.key, node)
            return node.key
        of_benchmark, run_id = name
        current = self.find(of_benchmark, run_id)
        if current is None or current.created < info.created:
            return self._find(of_benchmark, run_id, current.created if current else "")
        # the run of this id is younger than its descendant (or the descendant itself)
        node = _run_node(of_benchmark, run_id, "", Status.RETRAINED)
        self.ancestors.setdefault(node.key, node)
        return node.key

    def _find(self, benchmark: str, run_id: str, created: str) -> str:
        """Adds a training of a run; it is followed only if its files are still there."""
        current = self.find(benchmark, run_id)
        if current is not None and created in ("", current.created):
            return self.add_run(benchmark, current)
        status = Status.MISSING if current is None else Status.RETRAINED
        node = _run_node(benchmark, run_id, created, status)
        self.ancestors.setdefault(node.key, node)
        return node.key

    def _link(self, child: str, parent: str, link: Link) -> None:
        self.edges.append(Edge(child, parent, link))


def _parents(info: RunInfo) -> list[tuple[str, str]]:
    """Returns teachers, or an ensemble's members, with their creation times ("" if unknown)."""
    if info.kind == "ensemble":
        return [(name, info.teachers.get(name, "")) for name in info.members]
    return list(info.teachers.items())


def _initial_run(info: RunInfo, benchmark: str) -> tuple[str, str] | None:
    """Returns benchmark and id of the run that a network was initialised from, if any.

    Adapted runs of earlier versions name no benchmark: theirs is the run's own.
    """
    source = info.init_source.removeprefix("run ")
    if info.init != "checkpoint" or source == info.init_source:
        return None
    named, _, run_id = source.rpartition("/")
    return named or benchmark, run_id


def _start_node(info: RunInfo) -> Ancestor:
    """Returns initial weights that are no run."""
    if info.init == "scratch":
        return Ancestor("start random weights", "", "random weights", "", Status.START)
    from_file = info.init == "checkpoint" and not info.init_source.startswith("hub ")
    status = Status.FILE if from_file else Status.START
    # a file's name says nothing about its content, so two runs do not share it
    key = f"file {info.run_id}" if from_file else f"start {info.init} {info.init_source}"
    name = (
        info.init_source
        if info.init in ("checkpoint", "elsewhere")
        else (f"{info.init}: {info.init_source}" if info.init_source else info.init)
    )
    return Ancestor(key, "", name or "unknown", "", status)


def _run_node(benchmark: str, run_id: str, created: str, status: Status) -> Ancestor:
    key = f"run {benchmark}/{run_id} {created or status.value}"
    return Ancestor(key, benchmark, run_id, created, status)


def _cyclic(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Returns the strongly connected components that hold a cycle."""
    edges = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    if not len(edges):
        return []
    from scipy.sparse import coo_array  # slow to import, and only needed here
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=True, connection="strong")
    loops = set(edges[edges[:, 0] == edges[:, 1], 0].tolist())
    groups = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
    return sorted(group for group in groups if len(group) > 1 or group[0] in loops)


def _cycle_sentence(cycle: tuple[str, ...]) -> str:
    if len(cycle) == 1:
        return f"{cycle[0]} descends from an earlier training of itself."
    return f"{', '.join(cycle[:-1])} and {cycle[-1]} descend from one another."


def _vanished_phrase(node: Ancestor) -> str:
    when = f" of {node.created}" if node.created else ""
    match node.status:
        case Status.MISSING:
            return f"The run {node.name}{when} is missing"
        case Status.RETRAINED:
            return f"The run {node.name}{when} was overwritten by a later training"
        case _:
            return f"The file {node.name} belongs to no run"
