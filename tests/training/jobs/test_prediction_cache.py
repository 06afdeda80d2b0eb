"""Cached predictions: each batch is written once, and a stop or damage costs only its batch."""

import numpy as np
import pytest

from fer_core.artifacts import BenchmarkDir
from training.jobs import prediction_cache
from training.jobs.prediction_cache import PredictionCache

ROWS = 4


def batch(number: int) -> tuple[list[str], np.ndarray]:
    digests = [f"{ROWS * number + row:040x}" for row in range(ROWS)]
    return digests, np.arange(ROWS * 7, dtype=float).reshape(ROWS, 7) + number


@pytest.fixture
def benchmark(tmp_path) -> BenchmarkDir:
    return BenchmarkDir(tmp_path / "set")


def filled(benchmark, batches: int) -> PredictionCache:
    cache = PredictionCache(benchmark, "net", "key")
    for number in range(batches):
        cache.add(*batch(number))
    return cache


def test_what_is_written_grows_with_the_number_of_batches(benchmark, monkeypatch):
    written = []
    write = prediction_cache.write_arrays
    monkeypatch.setattr(
        prediction_cache,
        "write_arrays",
        lambda path, arrays: (written.append(len(arrays["sha1"])), write(path, arrays)),
    )
    filled(benchmark, 50).merge()
    assert written == [ROWS] * 50 + [50 * ROWS]


@pytest.mark.parametrize("merged", [False, True])
def test_answers_are_read_from_parts_and_from_the_merged_file(benchmark, merged):
    cache = filled(benchmark, 3)
    if merged:
        cache.merge()
        assert [path.name for path in (benchmark.cache_dir / "answers").iterdir()] == [
            "net-key.npz"
        ]
        cache.merge()  # nothing to do
    again = PredictionCache(benchmark, "net", "key")
    for number in range(3):
        digests, probabilities = batch(number)
        assert again.missing([*digests, f"{99:040x}"]) == [ROWS]
        np.testing.assert_array_equal(again.probabilities(digests), probabilities)


def test_a_damaged_part_costs_its_batch_only(benchmark):
    filled(benchmark, 3)
    parts = sorted((benchmark.cache_dir / "answers" / "net-key.parts").iterdir())
    parts[1].write_bytes(parts[1].read_bytes()[:90])
    again = PredictionCache(benchmark, "net", "key")
    digests = [digest for number in range(3) for digest in batch(number)[0]]
    assert again.missing(digests) == [4, 5, 6, 7]
    again.add(*batch(1))  # beside the other parts, whose numbers are taken
    assert PredictionCache(benchmark, "net", "key").missing(digests) == []


def test_a_stop_between_merging_and_deleting_leaves_all_predictions(benchmark, monkeypatch):
    cache = filled(benchmark, 2)
    monkeypatch.setattr(prediction_cache.shutil, "rmtree", lambda *_, **__: None)
    cache.merge()
    digests = [*batch(0)[0], *batch(1)[0]]
    assert PredictionCache(benchmark, "net", "key").missing(digests) == []


def test_files_of_earlier_versions_are_read(benchmark):
    digests, probabilities = batch(0)
    path = benchmark.cache_dir / "answers" / "net-key.npz"
    prediction_cache.write_arrays(path, {"sha1": np.array(digests), "probabilities": probabilities})
    assert PredictionCache(benchmark, "net", "key").missing(digests) == []
