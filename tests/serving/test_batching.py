"""Requests share passes while the worker is busy, and nothing else."""

import threading
from concurrent.futures import CancelledError, wait

import pytest

from fer_core.serving.batching import Batcher


class Work:
    """Doubles numbers; the first pass waits until it is let go. -1 is an error."""

    def __init__(self):
        self.passes = []
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, items, key):
        self.passes.append((list(items), key))
        self.started.set()
        assert self.go.wait(10)
        if -1 in items:
            raise ValueError("-1 cannot be doubled")
        return [2 * item for item in items]


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def batcher(work):
    batcher = Batcher(work, most=4)
    yield batcher
    work.go.set()
    batcher.close()


def test_a_request_to_an_idle_worker_runs_at_once(batcher, work):
    work.go.set()
    assert batcher.submit([1, 2], "a").result(10) == [2, 4]
    assert work.passes == [([1, 2], "a")]


def test_requests_during_a_pass_share_the_next_batch(batcher, work):
    first = batcher.submit([1], "a")
    assert work.started.wait(10)
    rest = [batcher.submit([n], "a") for n in (2, 3)]
    other = batcher.submit([9], "b")
    rest += [batcher.submit([4, 5], "a"), batcher.submit([6], "a")]
    work.go.set()
    assert first.result(10) == [2]
    assert [future.result(10) for future in rest] == [[4], [6], [8, 10], [12]]
    assert other.result(10) == [18]
    # 4 items a pass, equal keys only, the oldest request first
    assert work.passes == [([1], "a"), ([2, 3, 4, 5], "a"), ([9], "b"), ([6], "a")]


def test_a_request_larger_than_a_batch_runs_alone(batcher, work):
    work.go.set()
    assert batcher.submit(list(range(9)), "a").result(10) == [2 * n for n in range(9)]


def test_an_error_fails_only_the_request_that_causes_it(batcher, work):
    batcher.submit([1], "a")
    assert work.started.wait(10)
    sound, wrong, also = (batcher.submit([n], "a") for n in (2, -1, 3))
    work.go.set()
    assert sound.result(10) == [4]
    assert also.result(10) == [6]
    with pytest.raises(ValueError, match="-1"):
        wrong.result(10)
    assert batcher.submit([7], "a").result(10) == [14]  # the worker lives on


def test_too_few_results_are_an_error_for_all_requests_of_the_batch():
    batcher = Batcher(lambda items, key: list(items)[1:], most=8)
    with pytest.raises(RuntimeError, match="2 items gave 1 results"):
        batcher.submit([1, 2], "a").result(10)
    batcher.close()


def test_cancelled_requests_are_not_computed(batcher, work):
    batcher.submit([1], "a")
    assert work.started.wait(10)
    cancelled, stays = batcher.submit([2], "a"), batcher.submit([3], "a")
    assert cancelled.cancel()
    work.go.set()
    assert stays.result(10) == [6]
    with pytest.raises(CancelledError):
        cancelled.result(10)
    assert ([3], "a") in work.passes


def test_closing_completes_waiting_requests(work):
    batcher = Batcher(work, most=4)
    futures = [batcher.submit([n], "a") for n in range(3)]
    work.go.set()
    batcher.close()
    assert not wait(futures, timeout=0).not_done
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit([1], "a")
