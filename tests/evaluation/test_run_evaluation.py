"""Stored evaluation: equal to computed ones, and never those of other files."""

import shutil

import numpy as np
import pytest

from fer_core.evaluation import run_evaluation
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.scope import EVAL_SETS, SampleSet, Scope
from fer_core.result_cache import ResultCache
from tests.support.constructed import make_scores


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


def test_the_reliability_is_that_of_the_predictions():
    # two bins: of the two predictions of 0.9 one is right, the one of 0.6 is right
    scores = make_scores([0, 1, 0], [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    diagram = run_evaluation.evaluate(scores, None, None).reliability
    assert diagram.count.tolist() == [1, 2]
    assert diagram.confidence.tolist() == pytest.approx([0.6, 0.9])
    assert diagram.frequency.tolist() == [1.0, 0.5]


def test_slices_of_one_name_are_scored_apart(benchmark_copy, evaluations):
    ids = benchmark_copy.samples().query("split == 'test'")["id"].tolist()
    for count in (10, 20):
        scope = Scope(within=SampleSet("part", frozenset(ids[:count])))
        entries = read_results(benchmark_copy, scope).entries
        assert {entry.metrics.split.samples for entry in entries} == {count}
    before = len(evaluations)
    read_results(benchmark_copy, scope)
    assert len(evaluations) == before


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
