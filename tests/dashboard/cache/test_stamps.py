"""Stamps of files: once per rerun, and new at the next."""

import os
import threading

from dashboard.cache.stamps import new_rerun, once_per_rerun, stamp


def in_a_rerun(work):
    """Runs work in a thread of its own, as Streamlit does."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_a_change_shows_at_the_next_rerun(tmp_path):
    path = tmp_path / "file"
    path.write_text("a")

    def work():
        new_rerun()
        first = stamp(path)
        path.write_text("longer")
        within = stamp(path)
        new_rerun()
        return first, within, stamp(path)

    first, within, after = in_a_rerun(work)
    assert first == within
    assert after[1] == 6


def test_outside_a_rerun_files_are_always_looked_at(tmp_path):
    path = tmp_path / "file"

    def work():
        missing = stamp(path)
        path.write_text("a")
        os.utime(path, ns=(5, 7))
        return missing, stamp(path)

    assert in_a_rerun(work) == ((0, 0), (7, 1))


def test_a_result_is_kept_until_the_rerun_ends():
    calls = []
    counted = once_per_rerun(lambda: calls.append(1) or len(calls))

    def work():
        outside = counted(), counted()
        new_rerun()
        within = counted(), counted()
        new_rerun()
        return outside, within, counted()

    assert in_a_rerun(work) == ((1, 2), (3, 3), 4)
