"""The queue of long work: its limit, its order, and what leaves it."""

import threading
import time

import pytest

from dashboard.work_queue import WorkQueue


def ignore(ahead):
    pass


def in_threads(work, count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)  # in order
    return threads


def test_no_more_than_the_workers_compute_at_once_and_in_order():
    queue, present, most, order = WorkQueue(2), [], [], []

    def work(number):
        with queue.turn(number, ignore):
            present.append(number)
            most.append(len(present))
            order.append(number)
            time.sleep(0.05)
            present.remove(number)

    for thread in in_threads(work, 6):
        thread.join(5)
    assert max(most) == 2
    assert order == list(range(6))


def test_a_waiting_visitor_sees_how_many_come_first():
    queue, release, seen = WorkQueue(1), threading.Event(), {1: [], 2: []}

    def work(number):
        with queue.turn(number, lambda ahead: seen[number].append(ahead)):
            release.wait(5)

    threads = in_threads(work, 3)
    time.sleep(0.8)
    assert set(seen[1]) == {1}
    assert set(seen[2]) == {2}
    release.set()
    for thread in threads:
        thread.join(5)


def test_an_error_or_a_visitor_who_leaves_frees_the_place():
    queue = WorkQueue(1)
    with pytest.raises(ValueError, match="broken"), queue.turn("a", ignore):
        raise ValueError("broken")
    left = []

    def leave(ahead):
        left.append(ahead)
        raise KeyboardInterrupt

    with queue.turn("b", ignore), pytest.raises(KeyboardInterrupt), queue.turn("c", leave):
        pytest.fail("it left")
    with queue.turn("e", ignore):
        pass
    assert left == [1]


def test_what_was_computed_needs_no_turn():
    queue = WorkQueue(1)
    with queue.turn("maps", ignore):
        pass
    with queue.turn("other", ignore), queue.turn("maps", lambda ahead: pytest.fail("it waited")):
        pass


def test_what_failed_is_not_taken_as_computed():
    queue, waits = WorkQueue(1), []
    with pytest.raises(ValueError), queue.turn("maps", ignore):  # noqa: PT011
        raise ValueError

    def leave(ahead):
        waits.append(ahead)
        raise KeyboardInterrupt

    with queue.turn("other", ignore), pytest.raises(KeyboardInterrupt), queue.turn("maps", leave):
        pytest.fail("it took a turn")
    assert waits == [1]
