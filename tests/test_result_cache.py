"""Stored results: found again, and ignored when they are damaged."""

import json

import pytest

from fer_core import result_cache
from fer_core.result_cache import JsonForm, ResultCache

FORM = JsonForm[float](write=lambda value: {"value": value}, read=lambda content: content["value"])


class Counter:
    """A computation that counts its calls."""

    def __init__(self, result: float = 0.1) -> None:
        self.calls = 0
        self.result = result

    def __call__(self) -> float:
        self.calls += 1
        return self.result


def ask(cache: ResultCache, compute: Counter, key=None, name="sum-1") -> float:
    return cache.get_or_compute(name, key or {"file": "a"}, compute, FORM)


def test_a_result_is_computed_once_for_a_key_and_version(tmp_path):
    cache, compute = ResultCache(tmp_path / "new"), Counter(1 / 3)
    assert [ask(cache, compute) for _ in range(3)] == [1 / 3] * 3
    assert compute.calls == 1
    ask(cache, compute, {"file": "b"})
    ask(cache, compute, name="sum-2")
    assert compute.calls == 3


def test_another_process_finds_it(tmp_path):
    ask(ResultCache(tmp_path), Counter(2.5))
    again = Counter(0.0)
    assert ask(ResultCache(tmp_path), again) == 2.5
    assert again.calls == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-3],
        lambda text: text.replace("2.5", "2.6"),  # one digit
        lambda text: "",
        lambda text: "\x00\xff" * 10,
        lambda text: text.replace("value", "other"),
    ],
)
def test_damaged_entries_are_computed_again(tmp_path, damage):
    ask(ResultCache(tmp_path), Counter(2.5))
    (entry,) = tmp_path.glob("*.json")
    entry.write_text(damage(entry.read_text()), encoding="latin-1")
    again = Counter(2.5)
    assert ask(ResultCache(tmp_path), again) == 2.5
    assert again.calls == 1
    assert ask(ResultCache(tmp_path), again) == 2.5  # repaired
    assert again.calls == 1


def test_an_entry_of_another_form_is_computed_again(tmp_path):
    ask(ResultCache(tmp_path), Counter())
    other = JsonForm[float](write=lambda value: {"x": value}, read=lambda content: content["x"])
    assert ResultCache(tmp_path).get_or_compute("sum-1", {"file": "a"}, Counter(7.0), other) == 7.0


def test_a_folder_that_cannot_be_written_costs_only_the_cache(tmp_path):
    (tmp_path / "file").write_text("")
    assert ask(ResultCache(tmp_path / "file" / "cache"), Counter(4.0)) == 4.0


def test_the_oldest_entry_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(result_cache, "MOST_ENTRIES", 3)
    for number in range(6):
        ask(ResultCache(tmp_path), Counter(), {"file": number})
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_the_state_folder_is_used_where_it_is_set(tmp_path, monkeypatch):
    benchmark = tmp_path / "artifacts" / "toy"
    monkeypatch.delenv("FERSCOPE_STATE", raising=False)
    assert ResultCache.of(benchmark).folder == benchmark / "cache" / "results"
    monkeypatch.setenv("FERSCOPE_STATE", str(tmp_path / "state"))
    assert ResultCache.of(benchmark).folder == tmp_path / "state" / "toy" / "cache" / "results"


def test_entries_are_plain_json_after_their_checksum(tmp_path):
    ask(ResultCache(tmp_path), Counter(float("inf")))
    (entry,) = tmp_path.glob("*.json")
    assert json.loads(entry.read_text().partition("\n")[2]) == {"value": float("inf")}
