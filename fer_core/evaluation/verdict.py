"""The verdict on a benchmark: the recommended run, where it fails, and what the data cannot tell.

Start page, HTML report, PDF and command line show the same `Verdict`, worded by `verdict_text`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fer_core.artifacts import BenchmarkDir
from fer_core.evaluation.candidates import (
    Candidate,
    CandidateSet,
    candidates_in,
    persons_by_split,
)
from fer_core.evaluation.constraints import Constraints
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.probe_text import probe_sentence
from fer_core.evaluation.recommendation import (
    Assessment,
    CostComparisons,
    Recommendation,
    recommend,
)
from fer_core.evaluation.report import SplitMetrics
from fer_core.evaluation.slices import Slice
from fer_core.evaluation.weaknesses import SHOWN, Weaknesses, costly_confusions, slices_of
from fer_core.records import BenchmarkInfo

FindSlices = Callable[[Candidate], Sequence[Slice]]
"""Returns the slices on which a run fails on test, worst first."""

DescribeProbe = Callable[[Candidate], str]
"""Returns what drawn faces show about a run, in one sentence; empty if it was not probed."""

PERSONAL = ("age", "ethnicity", "gender", "race", "sex", "skin", "skin_tone")
"""Columns of `samples.parquet` that describe the person."""


@dataclass(frozen=True)
class Verdict:
    """The recommended run of a benchmark within a user's constraints.

    Attributes:
        benchmark: Metadata of the benchmark.
        recommendation: The recommended run and every comparable run's assessment.
        weaknesses: Weaknesses of the recommended run on test; None if no run is recommended.
        test_metrics: Test metrics of the recommended run; None if no run is recommended.
        trained_once: Whether the recommended run's recipe was trained with one seed only.
        describes_persons: Whether the samples have a column on the person, such as age.
        newest: Date of the newest run that was compared, such as `2026-11-30`; empty if none is
            known.
        device: Device of the latencies, such as `cpu, 2 threads`; empty if none was measured.
        other_protocol: Display names of runs that were measured under another protocol.
        lacking: Classes that such a run cannot predict, by display name.
        warnings: One sentence for each run that could not be read.
    """

    benchmark: BenchmarkInfo
    recommendation: Recommendation
    weaknesses: Weaknesses | None
    test_metrics: SplitMetrics | None
    trained_once: bool
    describes_persons: bool
    newest: str
    device: str
    other_protocol: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    @property
    def recommended(self) -> Assessment | None:
        """The recommended run; None if no run is within the constraints."""
        return self.recommendation.recommended


def build_verdict(
    info: BenchmarkInfo,
    samples: pd.DataFrame,
    candidates: CandidateSet,
    recommendation: Recommendation,
    find_slices: FindSlices | None = None,
    describe_probe: DescribeProbe | None = None,
) -> Verdict:
    """Completes a recommendation with what a user must know about it.

    Args:
        info: Metadata of the benchmark.
        samples: The benchmark's samples, indexed by id.
        candidates: The runs that were compared.
        recommendation: The recommended run among them.
        find_slices: Finds the slices; by default they are computed from the samples.
        describe_probe: Returns a sentence on a run's results for drawn faces; by default empty.
    """
    pick = next(
        (item for item in candidates.comparable if item.run_id == recommendation.recommended_id),
        None,
    )
    weak = None
    if pick is not None:
        worst = find_slices(pick) if find_slices else slices_of(pick.test, samples)
        confusions = costly_confusions(pick.test, recommendation.costs)
        drawn = describe_probe(pick) if describe_probe else ""
        weak = Weaknesses(tuple(worst[:SHOWN]), confusions, drawn)
    devices = {item.device for item in candidates.comparable if item.device}
    return Verdict(
        benchmark=info,
        recommendation=recommendation,
        weaknesses=weak,
        test_metrics=None if pick is None else pick.test_metrics,
        trained_once=pick is not None and pick.trained_once,
        describes_persons=bool(set(PERSONAL) & set(samples.columns)),
        newest=max(item.created for item in candidates.comparable)[:10],
        device=" or ".join(sorted(devices)),
        other_protocol=candidates.others,
        lacking=candidates.lacking,
        warnings=candidates.warnings,
    )


def read_verdict(
    benchmark: BenchmarkDir,
    constraints: Constraints | None = None,
    costs: ErrorCosts | None = None,
) -> Verdict:
    """Reads a benchmark's finished runs and returns the verdict.

    A run that cannot be read becomes a warning.

    Args:
        benchmark: Directory of the benchmark.
        constraints: Constraints of the user; none by default.
        costs: Costs of errors; equal by default.

    Raises:
        ArtifactError: If the benchmark cannot be read, or none of its runs.
        DataError: If constraints or costs name an unknown class.
    """
    info = benchmark.info()
    samples = benchmark.samples().set_index("id", drop=False)
    candidates = candidates_in(benchmark)
    costs = costs or ErrorCosts()
    recommendation = recommend(
        candidates.comparable,
        constraints or Constraints(),
        costs,
        CostComparisons(costs, persons_by_split(candidates.comparable, samples)),
    )
    return build_verdict(
        info,
        samples,
        candidates,
        recommendation,
        describe_probe=lambda item: probe_sentence(benchmark.run(item.run_id)),
    )
