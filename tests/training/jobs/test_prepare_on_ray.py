"""Reading the parts of a preparation on a Ray cluster: the bytes of one machine."""

import builtins
import itertools
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer_core.data import reading_parts
from fer_core.data.plan import PreparePlan, parse_plan
from fer_core.data.prepare import prepare_plan
from fer_core.data.reading_parts import PartRange, ReadPart, open_parts
from fer_core.data.selection import open_sources
from fer_core.errors import DataError, FerscopeError, MissingExtraError
from tests.support.helpers import fer2013_table, noise, votes_table, write_fer2013, write_images
from training.jobs import prepare_on_ray
from training.jobs.prepare_on_ray import ReadJob, read_parts_on_ray
from training.jobs.ray_engine import in_order


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_parts, "PART_ITEMS", 5)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparePlan:
    """Three sources: a csv with votes, a folder at a relative path, and drawn faces."""
    for number, split in enumerate(("train", "val", "test")):
        images = noise(12, seed=number, side=20)
        write_images(tmp_path / "set" / split, {"happy": images[:6], "sad": images[6:]})
    (tmp_path / "set/train/happy/bad.png").write_bytes(b"x")
    rows = fer2013_table(42)
    write_fer2013(tmp_path, rows, votes_table(rows))
    monkeypatch.chdir(tmp_path)
    sources = [
        {"path": "fer2013.csv", "name": "fer", "limit": 30, "mapping": {"disgust": ""}},
        {"path": "set", "classes": ["happy", "sad"]},
        {"path": "synthetic", "count": 36, "side": 48},
    ]
    split = {"by": "random", "transformed_copies": "off", "min_class": 3}
    return parse_plan({"sources": sources, "side": 16, "split": split}, "test")


@pytest.fixture
def job(plan: PreparePlan, tmp_path: Path) -> ReadJob:
    sources = open_sources(plan)
    return ReadJob.of(plan, sources, open_parts(sources, plan, tmp_path / "set1").sample_format)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def plain(items, length, title):
    return items


def prepared(plan: PreparePlan, folder: Path) -> dict[str, bytes]:
    return contents(prepare_plan(plan, folder, name="tiny").folder)


def read_with(
    results: Callable[..., object], plan: PreparePlan, job, folder: Path, patch: pytest.MonkeyPatch
) -> None:
    parts = open_parts(open_sources(plan), plan, folder)
    patch.setattr(prepare_on_ray, "map_in_order_on_ray", results)
    read_parts_on_ray(parts, folder, job, plain, workers=2)


def two_workers(todo, job, workers):
    """Computes parts in turn by two copies of the job, as they arrive in workers."""
    functions = itertools.cycle([pickle.loads(pickle.dumps(job)).load() for _ in range(workers)])
    for wanted in todo:
        yield pickle.loads(pickle.dumps(next(functions)(wanted)))


def test_parts_of_workers_give_the_bytes_of_one_machine(
    plan: PreparePlan, job: ReadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_with(two_workers, plan, job, tmp_path / "cluster", monkeypatch)
    assert [path.name for path in tmp_path.glob(".*")] == [".cluster.parts"]
    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.reading.RangeReader.read", lambda *_: 1 / 0)
        joined = prepared(plan, tmp_path / "cluster")
    assert joined == prepared(plan, tmp_path / "local")


def test_what_a_cluster_has_read_is_kept_when_a_worker_fails(
    plan: PreparePlan, job: ReadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(todo, job, workers):
        yield from itertools.islice(two_workers(todo, job, workers), 7)
        raise FerscopeError("A worker failed.")

    with pytest.raises(FerscopeError, match="A worker failed"):
        read_with(failing, plan, job, tmp_path / "cluster", monkeypatch)
    parts = open_parts(open_sources(plan), plan, tmp_path / "cluster")
    assert parts.start()[0] == 7
    read_with(two_workers, plan, job, tmp_path / "cluster", monkeypatch)
    assert prepared(plan, tmp_path / "cluster") == prepared(plan, tmp_path / "local")


def test_a_worker_reads_ranges_in_any_order(
    plan: PreparePlan, job: ReadJob, tmp_path: Path
) -> None:
    ranges = open_parts(open_sources(plan), plan, tmp_path / "x").ranges
    read, again = job.load(), job.load()
    expected = {wanted: read(wanted) for wanted in ranges}
    for wanted in (*ranges[::-1], *ranges[::3], *ranges[1::2]):
        result = again(wanted)
        assert result.table.equals(expected[wanted].table)
        assert result.counts == expected[wanted].counts
        assert result.images.tobytes() == expected[wanted].images.tobytes()


def test_a_worker_reads_from_another_folder(
    plan: PreparePlan, job: ReadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = open_parts(open_sources(plan), plan, tmp_path / "x").ranges
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(job.load()(ranges[0]).table)


def test_a_worker_that_cannot_see_the_files_or_sees_others_says_so(
    job: ReadJob, tmp_path: Path
) -> None:
    (tmp_path / "set/train/happy/000.png").rename(tmp_path / "set/train/happy/other.png")
    with pytest.raises(DataError, match="sees other files of"):
        job.load()
    (tmp_path / "set").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"cannot see .*set\. Put the files"):
        job.load()


def test_without_ray_the_extra_is_named_and_nothing_is_left(
    plan: PreparePlan, job: ReadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_import = builtins.__import__

    def without_ray(name, *arguments):
        if name.partition(".")[0] == "ray":
            raise ImportError(name)
        return plain_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    parts = open_parts(open_sources(plan), plan, tmp_path / "cluster")
    with pytest.raises(MissingExtraError, match=r"ferscope\[ray\]"):
        read_parts_on_ray(parts, tmp_path / "cluster", job, plain)
    assert list(tmp_path.glob(".*")) == []


class Pool:
    """Gives the results of two actors, the one submitted last first."""

    def __init__(self) -> None:
        self.running: list[tuple[int, str]] = []
        self.most = 0

    def submit(self, function, numbered) -> None:
        self.running.append(numbered)
        self.most = max(self.most, len(self.running))

    def get_next_unordered(self):
        number, task = self.running.pop()
        error = DataError("It failed.") if task == "error" else None
        return SimpleNamespace(number=number, result=task.upper(), error=error)


def test_results_come_in_order_and_few_wait() -> None:
    pool = Pool()
    tasks = [f"task {number}" for number in range(20)]
    assert list(in_order(pool, tasks, 4)) == [task.upper() for task in tasks]
    assert pool.most <= 4


def test_an_error_comes_after_the_results_before_it() -> None:
    results = in_order(Pool(), ["a", "b", "error", "d"], 4)
    assert [next(results), next(results)] == ["A", "B"]
    with pytest.raises(DataError, match="It failed"):
        next(results)


@dataclass(frozen=True)
class KilledOnce:
    """Ends its worker at a part, the first time."""

    job: ReadJob
    marker: Path
    device: str | None = "cpu"

    def load(self) -> Callable[[PartRange], ReadPart]:
        read = self.job.load()

        def read_or_die(wanted: PartRange) -> ReadPart:
            if wanted.source == 1 and wanted.start == 10 and not self.marker.exists():
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return read(wanted)

        return read_or_die


@pytest.mark.usefixtures("cluster")
def test_the_bytes_are_those_of_one_machine_although_a_worker_dies(
    plan: PreparePlan, job: ReadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = open_parts(open_sources(plan), plan, tmp_path / "cluster")
    killed = KilledOnce(job, tmp_path / "killed")
    read_parts_on_ray(parts, tmp_path / "cluster", killed, plain, workers=2)
    assert killed.marker.exists()
    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.reading.RangeReader.read", lambda *_: 1 / 0)
        joined = prepared(plan, tmp_path / "cluster")
    assert joined == prepared(plan, tmp_path / "local")
