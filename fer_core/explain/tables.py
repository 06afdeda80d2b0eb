"""Files of the `explain` command and their summaries: ranking of methods, regions, mean maps.

This module does not import torch, so pages with results open without a model.

- `faithfulness.parquet`: one row per method, metric and face: `method`, `metric`, `id`, `share`
  (of random weights; NaN for other metrics), `value`. `faithfulness_validation.parquet`: the same
  on validation images, only the metrics of `FAITHFUL`.
- `regions.parquet`: one row per method and face: `method`, `id`, `label`, `predicted`, a share of
  positive saliency for each of `PARTS`, and `cells`, the map as `CELLS` * `CELLS` averages,
  scaled to a largest magnitude of 1 and rounded to 1/1024.
- `projection.parquet`: `id`, `label`, `predicted`, `x`, `y`.

All files carry their protocol in the attributes of the table: images, seed and count.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from fer_core.errors import ArtifactError

SCHEMA = 1
CELLS = 12
"""Cells per side of the stored maps; deletion and insertion remove whole cells."""

BASELINES = ("random", "centre")
"""Keys of the model-agnostic methods; `Method.baseline` reads them here, without torch."""

MEMBERS = "members"
"""Key of an ensemble's method: the mean of its members' default maps."""

METRICS: Mapping[str, str] = {
    "deletion": "Deletion",
    "insertion": "Insertion",
    "road": "ROAD",
    "stability": "Stability",
    "randomisation": "Randomisation",
    "pointing": "Pointing game",
    "inside": "Mass on evidence",
}
"""Display names of the metrics; the last two are measured on drawn faces."""

RANDOMISATION = "randomisation"
LOW_IS_GOOD = ("deletion",)
UNCOMPARED = ("stability", RANDOMISATION)
"""Metrics in which baselines are trivially perfect or bad: `centre` is the same for any noise and
any weights."""

FAITHFUL = ("deletion", "insertion")
"""Metrics in which a faithful method must beat both baselines."""

LEAST_FACES = 5
"""Fewest faces of a class for a claim about it."""

_RESAMPLES = 1000


@dataclass(frozen=True)
class MeasurementProtocol:
    """Protocol of the measurements; a file with another protocol is measured again.

    Attributes:
        run: Id of the run and its creation time, because a new training makes another run.
        split_hash: Hash of the benchmark's split.
        images: Number of sampled images.
        samples: Hash of their ids.
        seed: Seed of the sample, the noise and the random weights.
        drawn: Number of drawn faces with known evidence.
        parts: Methods that located face regions and framed drawn faces; empty in older files.
        cells: Cells per side of the stored maps.
        schema: Version of the files.
        split: Split of the images; older files, which do not name it, hold test images.
        members: Default methods of an ensemble's members, on which its `MEMBERS` maps depend;
            empty for other runs.
    """

    run: str
    split_hash: str
    images: int
    samples: str
    seed: int
    drawn: int
    parts: str = ""
    cells: int = CELLS
    schema: int = SCHEMA
    split: str = "test"
    members: str = ""

    @property
    def current(self) -> "MeasurementProtocol":
        """This protocol as it is written now.

        `FaceLayout` had another name in older files. On validation neither regions nor drawn faces
        are measured, so `parts` is empty.
        """
        parts = self.parts.replace("Framing(", "FaceLayout(")
        return replace(self, parts="" if self.split == "validation" else parts)

    def stamp(self, table: pd.DataFrame) -> pd.DataFrame:
        """Writes the protocol into a table's attributes."""
        table.attrs["protocol"] = asdict(self)
        return table

    def select(self, table: pd.DataFrame) -> pd.DataFrame | None:
        """Returns the rows of a table that hold under this protocol; None if none do.

        `MEMBERS` rows are left out if the members have other default methods now.
        """
        try:
            stored = protocol_of(table, "table")
        except ArtifactError:
            return None
        if replace(stored, members=self.members) != self:
            return None
        return table if stored.members == self.members else table[table["method"] != MEMBERS]


def protocol_of(table: pd.DataFrame, name: str) -> MeasurementProtocol:
    """Returns the protocol that a file carries.

    Raises:
        ArtifactError: If it carries none, or one of another version.
    """
    try:
        protocol = MeasurementProtocol(**table.attrs["protocol"]).current
    except (KeyError, TypeError):
        protocol = None
    if protocol is None or protocol.schema != SCHEMA:
        raise ArtifactError(
            f"{name} was written by another version of FERscope. Run "
            "`python -m training explain` again."
        )
    return protocol


def hash_of(ids: Sequence[str]) -> str:
    """Returns a short hash of a sample."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class BaselineDifference:
    """Paired difference between a method and a baseline on the same faces.

    Attributes:
        metric: Key of the metric.
        baseline: Key of the baseline.
        value: Mean difference; positive if the method is better.
        low: Lower end of its 95% bootstrap interval.
        high: Upper end of this interval.
    """

    metric: str
    baseline: str
    value: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether the whole interval is on the method's side of 0."""
        return self.low > 0


def differences(
    faithfulness: pd.DataFrame, seed: int = 0
) -> dict[str, tuple[BaselineDifference, ...]]:
    """Compares each method with both baselines, in the metrics that allow it.

    Returns:
        By method; a metric in which a baseline is missing has no entry, and neither have the
        baselines and the metrics of `UNCOMPARED`.
    """
    by_method: dict[str, list[BaselineDifference]] = {}
    for metric, of_metric in faithfulness.groupby("metric", sort=False, observed=True):
        name, wide = str(metric), _by_method(of_metric)
        if name in UNCOMPARED or not set(BASELINES) <= set(wide):
            continue
        drawn = _drawn(len(wide), seed)
        for method in [column for column in wide if column not in BASELINES]:
            by_method.setdefault(str(method), []).extend(
                _difference(wide, str(method), name, baseline, drawn) for baseline in BASELINES
            )
    return {method: tuple(items) for method, items in by_method.items()}


def rank_methods(faithfulness: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Returns each method's mean of each metric with its 95% bootstrap interval over faces.

    A method beats a baseline if the whole interval of the paired difference over the same faces
    is on the better side of 0. Randomisation is the similarity once all weights are random; the
    mean over its stages could be near 0 because similarities of opposite sign cancel out.

    Returns:
        One row per method and metric: `method`, `metric`, `value`, `low`, `high`, `faces`, `beats`
        (True if it beats both baselines; None for a baseline, if a baseline is missing, and in the
        metrics of `UNCOMPARED`).
    """
    compared = differences(faithfulness, seed)
    rows = []
    for metric, of_metric in faithfulness.groupby("metric", sort=False, observed=True):
        wide = _by_method(_all_random(of_metric) if metric == RANDOMISATION else of_metric)
        drawn = _drawn(len(wide), seed)
        for method in wide:
            values = wide[method].to_numpy(dtype=float)
            low, high = _interval(values, drawn)
            against = [item for item in compared.get(str(method), ()) if item.metric == metric]
            rows.append(
                {
                    "method": method,
                    "metric": metric,
                    "value": float(np.nanmean(values)),
                    "low": low,
                    "high": high,
                    "faces": int(np.isfinite(values).sum()),
                    "beats": all(item.better for item in against) if against else None,
                }
            )
    columns = ["method", "metric", "value", "low", "high", "faces", "beats"]
    return pd.DataFrame(rows, columns=columns)


def faithful_methods(table: pd.DataFrame) -> list[str]:
    """Returns the methods of a ranking that beat both baselines in deletion and insertion."""
    judged = table[table["metric"].isin(FAITHFUL)]
    won = judged[judged["beats"].map(lambda value: value is True)].groupby("method").size()
    return sorted(won.index[won == len(FAITHFUL)])


@dataclass(frozen=True)
class Claim:
    """Test whether saliency on a region is higher for one class than for the others.

    With fewer than `LEAST_FACES` faces on either side the interval is infinite.

    Attributes:
        share: Mean share of saliency on the region where the class is predicted.
        others: Mean share where another class is predicted.
        low: Lower end of the 95% interval of the difference (Welch's t).
        high: Upper end of this interval.
        faces: Number of faces that are predicted as the class.
    """

    share: float
    others: float
    low: float
    high: float
    faces: int

    @property
    def holds(self) -> bool | None:
        """True or False if the interval excludes 0, else None."""
        if self.low > 0:
            return True
        return False if self.high < 0 else None


def claim(regions: pd.DataFrame, method: str, label: str, region: str) -> Claim | None:
    """Tests a claim such as "smiles for happy" on a run's faces.

    Returns:
        None if no face, or every face, is predicted as the class.
    """
    rows = regions[(regions["method"] == method) & regions[region].notna()]
    predicted = rows.loc[rows["predicted"] == label, region].to_numpy(dtype=float)
    others = rows.loc[rows["predicted"] != label, region].to_numpy(dtype=float)
    if not len(predicted) or not len(others):
        return None
    share, rest = float(predicted.mean()), float(others.mean())
    half = _welch(predicted, others)
    return Claim(share, rest, share - rest - half, share - rest + half, len(predicted))


def _welch(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns half the width of the 95% interval of a difference of means (Welch 1947)."""
    if min(len(first), len(second)) < LEAST_FACES:
        return float("inf")
    parts = np.array([values.var(ddof=1) / len(values) for values in (first, second)])
    if not parts.any():
        return 0.0
    degrees = parts.sum() ** 2 / (parts**2 / [len(first) - 1, len(second) - 1]).sum()
    return float(stdtrit(degrees, 0.975) * np.sqrt(parts.sum()))


def mean_maps(
    regions: pd.DataFrame, method: str, by: str = "predicted"
) -> dict[str, NDArray[np.float32]]:
    """Returns the mean of the maps of each class, float32, (CELLS, CELLS), signed."""
    rows = regions[regions["method"] == method]
    return {
        str(name): _maps(group).mean(axis=0).reshape(CELLS, CELLS)
        for name, group in rows.groupby(by, sort=True)
    }


def agreement(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns the mean Spearman correlation between the maps of models on the same faces.

    Args:
        tables: Rows of one method's `regions.parquet` by run.

    Returns:
        Square table by run with 1 on the diagonal; NaN if two runs have no face in common.
    """
    from scipy.stats import rankdata  # slow to import, and only needed here

    ranked = {
        run: dict(zip(table["id"], rankdata(_maps(table), axis=1), strict=True))
        for run, table in tables.items()
        if len(table)
    }
    result = pd.DataFrame(np.nan, index=list(tables), columns=list(tables))
    for first, first_maps in ranked.items():
        for second, second_maps in ranked.items():
            values = [
                float(np.corrcoef(first_maps[key], second_maps[key])[0, 1])
                for key in first_maps.keys() & second_maps.keys()
                if first_maps[key].std() > 0 and second_maps[key].std() > 0
            ]
            if values:
                result.loc[first, second] = float(np.mean(values))
    return result


def _all_random(of_metric: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of randomisation with the largest share of random weights."""
    largest = of_metric.groupby("method", observed=True)["share"].transform("max")
    return of_metric[of_metric["share"].isna() | (of_metric["share"] == largest)]


def _by_method(of_metric: pd.DataFrame) -> pd.DataFrame:
    """Returns a metric's values, one row per face and one column per method."""
    return of_metric.pivot_table("value", "id", "method", aggfunc="mean", observed=True)


def _drawn(count: int, seed: int) -> NDArray[np.int64]:
    """Returns the rows of the bootstrap samples, shape (resamples, count)."""
    return np.random.default_rng(seed).integers(0, count, (_RESAMPLES, count))


def _difference(
    wide: pd.DataFrame, method: str, metric: str, baseline: str, drawn: NDArray[np.int64]
) -> BaselineDifference:
    sign = -1 if metric in LOW_IS_GOOD else 1
    values = sign * (wide[method] - wide[baseline]).to_numpy(dtype=float)
    return BaselineDifference(
        metric, baseline, float(np.nanmean(values)), *_interval(values, drawn)
    )


def _maps(table: pd.DataFrame) -> NDArray[np.float32]:
    return np.stack([np.asarray(cells, dtype=np.float32) for cells in table["cells"]])


def _interval(values: NDArray[np.float64], drawn: NDArray[np.int64]) -> tuple[float, float]:
    """Returns the 95% percentile interval of the mean, NaN left out."""
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0)
    counts = finite[drawn].sum(axis=1)
    if not counts.any():
        return float("nan"), float("nan")
    means = filled[drawn].sum(axis=1)[counts > 0] / counts[counts > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
