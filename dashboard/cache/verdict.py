"""Cached verdicts. The caching rules are those of `dashboard.cache.benchmarks`."""

import pandas as pd
import streamlit as st

from dashboard.cache.benchmarks import Benchmark, samples
from dashboard.cache.results import BY_RESULTS, run_sources
from fer_core.evaluation import slices
from fer_core.evaluation.candidates import (
    Candidate,
    CandidateSet,
    persons_by_split,
    read_candidates,
)
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.operating_points import OperatingPoint, calibrated_splits
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.probe_text import probe_sentence
from fer_core.evaluation.recommendation import CostComparisons, recommend
from fer_core.evaluation.slices import Slice
from fer_core.evaluation.verdict import Verdict, build_verdict


@st.cache_resource(max_entries=4, show_spinner="Reading predictions ...", hash_funcs=BY_RESULTS)
def candidates(benchmark: Benchmark) -> CandidateSet:
    """Returns the runs that can be recommended.

    Raises:
        ArtifactError: If no run can be read.
    """
    return read_candidates(benchmark.info, run_sources(benchmark))


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=BY_RESULTS)
def comparisons(benchmark: Benchmark, costs: ErrorCosts) -> CostComparisons:
    """Returns the paired comparisons of a benchmark's runs; filled by the verdicts."""
    persons = persons_by_split(candidates(benchmark).comparable, samples(benchmark))
    return CostComparisons(costs, persons)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_RESULTS)
def facets_of_test(benchmark: Benchmark) -> pd.DataFrame:
    """Returns the groups that the test images fall into, in the order of the candidates."""
    test = candidates(benchmark).comparable[0].test
    votes = Votes.of(samples(benchmark), test.ids, test.labels)
    return slices.facets(samples(benchmark), test, votes)


@st.cache_resource(max_entries=64, show_spinner="Testing slices ...", hash_funcs=BY_RESULTS)
def worst_slices(benchmark: Benchmark, run_id: str) -> list[Slice]:
    """Returns the slices of test on which a run errs more than elsewhere, worst first."""
    test = candidate(benchmark, run_id).test
    return slices.worst_slices(~test.right, facets_of_test(benchmark))


@st.cache_resource(max_entries=128, show_spinner="Comparing models ...", hash_funcs=BY_RESULTS)
def verdict(benchmark: Benchmark, constraints: Constraints, costs: ErrorCosts) -> Verdict:
    """Returns the verdict within a user's constraints.

    Raises:
        ArtifactError: If no run can be read.
        DataError: If constraints or costs name an unknown class.
    """
    runs = candidates(benchmark)
    recommendation = recommend(runs.comparable, constraints, costs, comparisons(benchmark, costs))
    return build_verdict(
        benchmark.info,
        samples(benchmark),
        runs,
        recommendation,
        lambda item: worst_slices(benchmark, item.run_id),
        lambda item: probe_sentence(benchmark.run(item.run_id).directory),
    )


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_RESULTS)
def calibrated(
    benchmark: Benchmark, run_id: str
) -> tuple[float, SplitPredictions, SplitPredictions]:
    """Returns a run's temperature and its calibrated validation and test predictions."""
    run = candidate(benchmark, run_id)
    return calibrated_splits(run.validation, run.test)


def candidate(benchmark: Benchmark, run_id: str) -> Candidate:
    """Returns a run that can be recommended."""
    return next(item for item in candidates(benchmark).comparable if item.run_id == run_id)


@st.cache_resource(max_entries=16, show_spinner=False)
def pdf(_verdict: Verdict, _point: OperatingPoint | None, content: str) -> bytes:
    """Returns a verdict as a PDF.

    Args:
        _verdict: The verdict.
        _point: Operating point of the recommended model; None without one.
        content: Both as JSON, the key of the cache.
    """
    from fer_core.figures.verdict_pdf import render_pdf  # slow to import

    return render_pdf(_verdict, _point)
