"""Evidence for saliency maps: whether a run's method beats the baselines on that run.

Every map that is shown carries a `MapEvidence`, which pages and exports print beside it. Evidence
comes from `python -m training explain`: for methods that were measured on validation
(`faithfulness_validation.parquet`) from there, for others from test (`faithfulness.parquet`). The
default method is chosen on validation if a method beats both baselines there, else on test.

This module does not import torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.explain.tables import (
    BASELINES,
    FAITHFUL,
    MEMBERS,
    BaselineDifference,
    MeasurementProtocol,
    differences,
    protocol_of,
)
from fer_core.tables import read_table

PASSES = {
    "fast_gradients": 3,
    "smoothed_gradients": 9,
    "integrated_gradients": 25,
    "occlusion": 200,
    "ablation_cam": 200,
}
"""About how many images a method sends through the network for one map; others send one."""

LAST_RESORT = "occlusion"
"""The default method only where no other beats the baselines."""

_COLUMNS = ("method", "metric", "id", "value")
_BASELINE_NAMES = {"random": "random noise", "centre": "a centred blob"}


class MapStatus(StrEnum):
    """Comparison of a method with the baselines on one run."""

    BEATS = "beats"
    NO_BETTER = "no better"
    NOT_MEASURED = "not measured"
    BASELINE = "baseline"


@dataclass(frozen=True)
class MapEvidence:
    """Evidence for the maps of one method on one run.

    Attributes:
        status: Comparison with both baselines on deletion and insertion.
        images: Number of measured images; 0 if not measured.
        split: Split of these images.
        differences: Paired differences from each baseline, behind the status.
        test: The evidence on test, where this is that on validation and both were measured.
    """

    status: MapStatus
    images: int = 0
    split: str = ""
    differences: tuple[BaselineDifference, ...] = ()
    test: "MapEvidence | None" = None

    @property
    def label(self) -> str:
        """The status in words, as every map shows it."""
        if self.status is MapStatus.BEATS:
            if self.test is not None and self.test.status is not MapStatus.BEATS:
                return "beats both baselines on validation, not on test"
            return "beats both baselines on deletion and insertion"
        if self.status is MapStatus.BASELINE:
            return "baseline, ignores the model"
        if self.status is MapStatus.NOT_MEASURED:
            return "not measured"
        lost = [item for item in self.differences if not item.better]
        names = list(dict.fromkeys(_BASELINE_NAMES[item.baseline] for item in lost))
        metrics = dict.fromkeys(item.metric for item in lost)
        than = names[0] if len(names) == 1 else "the baselines"
        return f"no better than {than} on {' and '.join(metrics)}"

    @property
    def detail(self) -> str:
        """The sample and the intervals behind the status, in sentences."""
        if self.status is MapStatus.NOT_MEASURED:
            return (
                "The faithfulness of such maps was not measured on this model. "
                "`python -m training explain` measures it."
            )
        if self.status is MapStatus.BASELINE:
            return "The map does not depend on the model. Faithful methods must beat it."
        measured = (
            f"Measured on this model with {self.images} {self.split} images, for the predicted "
            "class. Area under the curve, positive if the method is better, with 95% interval: "
            f"{self._intervals}."
        )
        if self.test is None:
            return measured
        return f"{measured} With {self.test.images} test images: {self.test._intervals}."

    @property
    def _intervals(self) -> str:
        return "; ".join(
            f"{item.metric} vs. {_BASELINE_NAMES[item.baseline]}: {item.value:+.3f} "
            f"[{item.low:+.3f}, {item.high:+.3f}]"
            for item in self.differences
        )

    @property
    def score(self) -> float:
        """Mean lead over the baselines in the metrics of `FAITHFUL`; orders methods of one run.

        The baselines are the same for all methods of a run, so this orders methods by insertion
        minus deletion.
        """
        values = [item.value for item in self.differences]
        return sum(values) / len(values) if values else float("-inf")


NOT_MEASURED = MapEvidence(MapStatus.NOT_MEASURED)
IGNORES_MODEL = MapEvidence(MapStatus.BASELINE)


@dataclass(frozen=True)
class RunEvidence:
    """Evidence for the methods of one run.

    Attributes:
        validation: Evidence by method on validation images, without the baselines; empty if
            nothing was measured.
        test: Evidence by method on test images.
    """

    validation: Mapping[str, MapEvidence] = field(default_factory=dict)
    test: Mapping[str, MapEvidence] = field(default_factory=dict)

    def of(self, method: str) -> MapEvidence:
        """Returns the evidence for a method at its default layer, block and head."""
        if method in BASELINES:
            return IGNORES_MODEL
        on_test = self.test.get(method)
        if method in self.validation:
            return replace(self.validation[method], test=on_test)
        return on_test or NOT_MEASURED

    @property
    def default(self) -> str | None:
        """The default method: the fastest one that beats both baselines.

        Of equally fast ones (`PASSES`) it is the one with the highest score. `LAST_RESORT` counts
        only where no other method beats the baselines; None if nothing was measured.
        """
        return self._first(lambda method, score: (PASSES.get(method, 1), -score))

    @property
    def best(self) -> str | None:
        """The most faithful method: of those that beat both baselines, the highest score.

        `LAST_RESORT` and None as for `default`.
        """
        return self._first(lambda _, score: (-score,))

    def _first(self, order: Callable[[str, float], tuple[float, ...]]) -> str | None:
        """Returns the first of the methods that beat both baselines, by method and score."""
        only_on_test = {
            method: evidence
            for method, evidence in self.test.items()
            if method not in self.validation  # which decides where both were measured
        }
        for measured in (self.validation, only_on_test):
            faithful = [
                (order(method, evidence.score), method)
                for method, evidence in measured.items()
                if evidence.status is MapStatus.BEATS and method != LAST_RESORT
            ]
            if faithful:
                return min(faithful)[1]
        return LAST_RESORT if self.validation or self.test else None


def read_evidence(run: RunDir, made: str, members: str = "") -> RunEvidence:
    """Reads the evidence for a run's methods.

    Args:
        run: The run.
        made: `MeasurementProtocol.run` of the run as it is now; files of an earlier training of
            the same id are ignored.
        members: `MeasurementProtocol.members` of an ensemble as it is now.

    Returns:
        Empty if nothing was measured, a file is damaged or the baselines are missing.
    """
    paths = (run.faithfulness_validation_path, run.faithfulness_path)
    return RunEvidence(*(_read(path, made, members) for path in paths))


def _read(path: Path, made: str, members: str) -> Mapping[str, MapEvidence]:
    try:
        facts = path.stat()
        protocol, methods = _read_file(path, facts.st_mtime_ns, facts.st_size)
    except (OSError, ArtifactError):
        return {}
    if protocol.run != made:
        return {}
    stale = set() if protocol.members == members else {MEMBERS}
    return {key: value for key, value in methods.items() if key not in stale}


@lru_cache(maxsize=256)
def _read_file(
    path: Path, _time: int, _size: int
) -> tuple[MeasurementProtocol, Mapping[str, MapEvidence]]:
    """Reads a file; its time and size are part of the cache's key."""
    table = read_table(path, _COLUMNS)
    protocol = protocol_of(table, path.name)
    compared = differences(table[table["metric"].isin(FAITHFUL)])
    return protocol, {
        method: _evidence(items, protocol)
        for method, items in compared.items()
        if len(items) == len(FAITHFUL) * len(BASELINES)
    }


def _evidence(items: tuple[BaselineDifference, ...], protocol: MeasurementProtocol) -> MapEvidence:
    beats = all(item.better for item in items)
    status = MapStatus.BEATS if beats else MapStatus.NO_BETTER
    return MapEvidence(status, protocol.images, protocol.split, items)
