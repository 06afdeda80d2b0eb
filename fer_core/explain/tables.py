"""The files of `explain`, and what is read from them: leagues, regions, means, agreement.

Needs no torch: pages that show results open without a model.

- `faithfulness.parquet`: one row a method, metric and face: `method`, `metric`, `id`, `share`
  (of random weights; NaN for other metrics), `value`.
- `regions.parquet`: one row a method and face: `method`, `id`, `label`, `predicted`, a share of
  positive saliency for each of `PARTS`, and `cells`, the map as `CELLS` * `CELLS` averages,
  scaled to a largest magnitude of 1.
- `projection.parquet`: `id`, `label`, `predicted`, `x`, `y`.

All carry their protocol in the file's attributes: which images, which seed, how many.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from fer_core.errors import ArtifactError
from fer_core.explain.regions import PARTS

SCHEMA = 1
CELLS = 12
"""Cells a side of the maps that are kept, and in whose order cells are removed."""

CONTROLS = ("random", "centre")
MEMBERS = "members"
"""An ensemble's method: the mean of its members' default maps."""

METRICS: Mapping[str, str] = {
    "deletion": "Deletion",
    "insertion": "Insertion",
    "road": "ROAD",
    "stability": "Stability",
    "randomisation": "Randomisation",
    "pointing": "Pointing game",
    "inside": "Mass on evidence",
}
"""Shown names by metric; the last two come from drawn faces."""

LOW_IS_GOOD = ("deletion",)
UNCOMPARED = ("stability", "randomisation")
"""Metrics in which controls are perfect or hopeless by nature: `centre` never moves, whatever noise
or weights do."""

FAITHFUL = ("deletion", "insertion")
"""The metrics in which a method must beat both controls to count as faithful."""

_RESAMPLES = 1000


@dataclass(frozen=True)
class MeasurementProtocol:
    """What the numbers stand on; a file of another protocol is measured anew.

    Attributes:
        run: The run and the time it was made: another training is another run.
        split_hash: The benchmark's split.
        images: Sampled test images.
        samples: Hash of their ids.
        seed: Of the sample, the noise and the random weights.
        drawn: Drawn faces with known evidence.
        parts: How the parts of faces were found, and drawn faces framed; empty in older files.
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

    def stamp(self, table: pd.DataFrame) -> pd.DataFrame:
        """Writes the protocol into a table's attributes."""
        table.attrs["protocol"] = asdict(self)
        return table

    def fits(self, table: pd.DataFrame) -> bool:
        """Whether a table was measured under this protocol."""
        given: Any = table.attrs.get("protocol")
        return bool(given == asdict(self))


def protocol_of(table: pd.DataFrame, name: str) -> MeasurementProtocol:
    """Returns the protocol that a file carries.

    Raises:
        ArtifactError: If it carries none, or one of another version.
    """
    try:
        protocol = MeasurementProtocol(**table.attrs["protocol"])
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


def league(faithfulness: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Returns each method's mean of each metric with its 95% bootstrap interval over faces.

    A method beats a control if the paired difference over the same faces has the better sign
    with its whole interval.

    Returns:
        One row a method and metric: `method`, `metric`, `value`, `low`, `high`, `faces`,
        `beats` (True if it beats both controls; None for a control, where one is missing, and in
        the metrics of `UNCOMPARED`).
    """
    rows = []
    for metric, of_metric in faithfulness.groupby("metric", sort=False):
        wide = of_metric.pivot_table("value", "id", "method", aggfunc="mean", observed=True)
        drawn = np.random.default_rng(seed).integers(0, len(wide), (_RESAMPLES, len(wide)))
        sign = -1 if metric in LOW_IS_GOOD else 1
        controls = [name for name in CONTROLS if name in wide and metric not in UNCOMPARED]
        for method in wide:
            values = wide[method].to_numpy(dtype=float)
            low, high = _interval(values, drawn)
            beats = None
            if method not in CONTROLS and len(controls) == len(CONTROLS):
                beats = all(
                    _interval(sign * (values - wide[name].to_numpy(dtype=float)), drawn)[0] > 0
                    for name in controls
                )
            rows.append(
                {
                    "method": method,
                    "metric": metric,
                    "value": float(np.nanmean(values)),
                    "low": low,
                    "high": high,
                    "faces": int(np.isfinite(values).sum()),
                    "beats": beats,
                }
            )
    columns = ["method", "metric", "value", "low", "high", "faces", "beats"]
    return pd.DataFrame(rows, columns=columns)


def faithful_methods(table: pd.DataFrame) -> list[str]:
    """Returns the methods of a `league` that beat both controls in deletion and insertion."""
    judged = table[table["metric"].isin(FAITHFUL)]
    won = judged[judged["beats"].map(lambda value: value is True)].groupby("method").size()
    return sorted(won.index[won == len(FAITHFUL)])


def region_shares(regions: pd.DataFrame, method: str, by: str = "predicted") -> pd.DataFrame:
    """Returns the mean share of positive saliency on each of `PARTS`, one row a class.

    Args:
        regions: `regions.parquet`.
        method: Key of the method.
        by: `predicted` or `label`: whose classes the rows are.
    """
    own = regions[regions["method"] == method]
    return own.groupby(by, sort=True)[list(PARTS)].mean()


@dataclass(frozen=True)
class Claim:
    """Whether models look at a part more for one class than for the others.

    Attributes:
        share: Mean share of saliency on the part where the class is predicted.
        others: The same over the other classes.
        low: Lower end of the 95% bootstrap interval of the difference.
        high: Its upper end.
        faces: Faces of the class.
    """

    share: float
    others: float
    low: float
    high: float
    faces: int

    @property
    def holds(self) -> bool | None:
        """True or False where the interval leaves no doubt, else None."""
        if self.low > 0:
            return True
        return False if self.high < 0 else None


def claim(regions: pd.DataFrame, method: str, label: str, part: str, seed: int = 0) -> Claim | None:
    """Tests a claim such as "smiles for happy" on a run's faces.

    Returns:
        None if the class was never predicted, or nothing else was.
    """
    rows = regions[(regions["method"] == method) & regions[part].notna()]
    own = rows.loc[rows["predicted"] == label, part].to_numpy(dtype=float)
    rest = rows.loc[rows["predicted"] != label, part].to_numpy(dtype=float)
    if not len(own) or not len(rest):
        return None
    random = np.random.default_rng(seed)
    draws = [
        values[random.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
        for values in (own, rest)
    ]
    low, high = np.percentile(draws[0] - draws[1], [2.5, 97.5])
    return Claim(float(own.mean()), float(rest.mean()), float(low), float(high), len(own))


def mean_maps(
    regions: pd.DataFrame, method: str, by: str = "predicted"
) -> dict[str, NDArray[np.float32]]:
    """Returns the mean of the maps of each class, float32, (CELLS, CELLS), signed."""
    own = regions[regions["method"] == method]
    return {
        str(name): _maps(group).mean(axis=0).reshape(CELLS, CELLS)
        for name, group in own.groupby(by, sort=True)
    }


def agreement(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns how alike models look at the same faces: mean Spearman correlation of their cells.

    Args:
        tables: Rows of one method's `regions.parquet` by run.

    Returns:
        Square table by run, 1 on the diagonal; NaN where two runs share no face.
    """
    ranked = {
        run: dict(zip(table["id"], rankdata(_maps(table), axis=1), strict=True))
        for run, table in tables.items()
        if len(table)
    }
    result = pd.DataFrame(np.nan, index=list(tables), columns=list(tables))
    for one, own in ranked.items():
        for other, theirs in ranked.items():
            values = [
                float(np.corrcoef(own[key], theirs[key])[0, 1])
                for key in own.keys() & theirs.keys()
                if own[key].std() > 0 and theirs[key].std() > 0
            ]
            if values:
                result.loc[one, other] = float(np.mean(values))
    return result


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
