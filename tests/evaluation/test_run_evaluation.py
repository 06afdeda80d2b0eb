"""Stored evaluation: equal to computed ones, and never those of other files."""

import shutil

import numpy as np
import pytest

from fer_core.evaluation import run_evaluation
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.scope import EVAL_SETS, Scope
from fer_core.result_cache import ResultCache


@pytest.fixture
def evaluations(monkeypatch, benchmark_copy):
    shutil.rmtree(ResultCache.of(benchmark_copy.root).folder, ignore_errors=True)
    calls = []
    evaluate = run_evaluation.evaluate

    def counted(*arguments):
        calls.append(arguments)
        return evaluate(*arguments)

    monkeypatch.setattr(run_evaluation, "evaluate", counted)
    return calls


@pytest.mark.parametrize("eval_set", EVAL_SETS)
def test_stored_scores_equal_computed_ones(benchmark_copy, evaluations, eval_set):
    scope = Scope(eval_set, ("angry", "happy", "sad"))
    computed = read_results(benchmark_copy, scope).entries
    before = len(evaluations)
    assert before > 0
    stored = read_results(benchmark_copy, scope).entries
    assert len(evaluations) == before
    for first, second in zip(computed, stored, strict=True):
        assert first.evaluation.metrics == second.evaluation.metrics
        assert first.evaluation.coverage_at_risk == second.evaluation.coverage_at_risk
        for name in ("count", "confidence", "frequency", "low", "high"):
            one, other = (getattr(e.evaluation.reliability, name) for e in (first, second))
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        for name in ("coverage", "risk", "threshold"):
            one, other = (getattr(e.evaluation.risk_coverage, name) for e in (first, second))
            np.testing.assert_array_equal(one, other)


def test_changed_samples_are_scored_again(benchmark_copy, evaluations):
    read_results(benchmark_copy)
    before = len(evaluations)
    samples = benchmark_copy.samples()
    samples["brightness"] = 1.0
    samples.to_parquet(benchmark_copy.samples_path)
    read_results(benchmark_copy)
    assert len(evaluations) > before


def test_deleted_and_damaged_entries_are_scored_again(benchmark_copy, evaluations):
    expected = [entry.values for entry in read_results(benchmark_copy).entries]
    before = len(evaluations)
    entries = sorted(ResultCache.of(benchmark_copy.root).folder.glob("*.json"))
    entries[0].unlink()
    entries[1].write_bytes(b"\xff" * 100)
    assert [entry.values for entry in read_results(benchmark_copy).entries] == expected
    after = len(evaluations)
    assert after >= before + 2
    read_results(benchmark_copy)
    assert len(evaluations) == after
