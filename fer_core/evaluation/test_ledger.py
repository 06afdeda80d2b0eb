"""Number of times that test was read in a run's lineage, and the effect on its interval.

A 95% interval holds for a model that was fixed before test was read. Where test was read several
times and a version was kept because of it, the kept version looks better than it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.special import ndtri

from fer_core.evaluation.intervals import CONFIDENCE_LEVEL
from fer_core.evaluation.lineage import VANISHED, FindRun, trace_lineage
from fer_core.evaluation.report import Estimate
from fer_core.records import RunInfo


@dataclass(frozen=True)
class LineageReadings:
    """Number of times that test was read in a lineage.

    Attributes:
        by_itself: Readings by the run itself, with earlier trainings of its id.
        by_run: Readings by run id: the run, what it was made from, and the ensembles that it is a
            member of, as far as they belong to the same benchmark.
        unknown: Ids of ancestors of the same benchmark that are gone, so that their readings or
            those of their own ancestors are not counted; sorted.
    """

    by_itself: int
    by_run: Mapping[str, int]
    unknown: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Readings in the lineage; at least so many if some are unknown."""
        return sum(self.by_run.values())


def lineage_readings(
    info: RunInfo, benchmark: str, runs: Iterable[RunInfo], find: FindRun
) -> LineageReadings:
    """Counts the readings of a benchmark's test in the lineage of a run.

    Args:
        info: The run.
        benchmark: Name of its benchmark.
        runs: The runs of the benchmark.
        find: Looks up ancestors.
    """
    lineage = trace_lineage(info, benchmark, find)
    nodes = [node for node in lineage.ancestors.values() if node.benchmark == benchmark]
    # a retrained run keeps its own readings, but what it was made from before is not known
    unknown = {node.name for node in nodes if node.status in VANISHED}
    by_run = {info.run_id: info.own_test_readings}
    for run_id in sorted({node.name for node in nodes} - {info.run_id}):
        ancestor = find(benchmark, run_id)
        if ancestor is not None:
            by_run[run_id] = ancestor.own_test_readings
    by_run |= {run.run_id: run.own_test_readings for run in runs if info.run_id in run.members}
    return LineageReadings(info.own_test_readings, by_run, tuple(sorted(unknown)))


def bonferroni_factor(readings: int) -> float:
    """Returns how much wider intervals must be to hold jointly for several readings.

    Bonferroni's correction of a normal interval: the quantile at `1 - 0.05 / (2 n)` divided by the
    one at 0.975. It holds for versions that were fixed before the first reading. Versions that were
    changed after a reading can need more (Dwork et al. 2015, The reusable holdout, Science 349).

    Args:
        readings: Number of readings, at least 1.
    """
    tail = (1 - CONFIDENCE_LEVEL) / 2
    return float(ndtri(tail / readings) / ndtri(tail))


def widened(estimate: Estimate, readings: int) -> Estimate:
    """Returns an estimate with its interval widened for several readings; shares, 0 to 1."""
    factor = bonferroni_factor(readings)
    return Estimate(
        value=estimate.value,
        low=max(0.0, estimate.value - factor * (estimate.value - estimate.low)),
        high=min(1.0, estimate.value + factor * (estimate.high - estimate.value)),
    )
