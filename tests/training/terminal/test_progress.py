"""Progress bars, and lines instead of them in a log file."""

from itertools import count

import pytest

from training.terminal import progress


@pytest.mark.parametrize("seconds", [1, 20])
def test_a_log_file_gets_a_line_from_time_to_time(seconds, monkeypatch, capsys):
    clock = count(step=seconds)
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    items = list(progress.show_progress("abc", 3, "3 [faces]"))
    assert items == ["a", "b", "c"]
    lines = [line for line in capsys.readouterr().out.splitlines() if " of " in line]
    expected = [f"3 [faces]: {done} of 3" for done in (1, 2, 3)]
    assert lines == (expected if seconds == 20 else [])
