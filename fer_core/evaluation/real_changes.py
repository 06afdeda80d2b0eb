"""Effect of changes of real pictures on a run's predictions, stored in `real_changes.parquet`.

Only statistics are stored, one row per change of `fer_core.data.image_changes`: columns
`schema_version`, `run_created`, `samples_hash`, `change`, `images`, `flips` and the mean shift of
each class's probability (`shift_<label>`). They show how far the same changes of drawn faces agree
with changes of real ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.labels import LabelSet
from fer_core.tables import read_table

SCHEMA_VERSION = 1
SHIFT = "shift_"
COLUMNS = ("schema_version", "run_created", "samples_hash", "change", "images", "flips")
_FEWEST = 4
"""Fewest runs from which a correlation is computed."""


def change_row(
    change: str, before: NDArray[np.float64], after: NDArray[np.float64], labels: LabelSet
) -> dict[str, object]:
    """Returns the row of one change.

    Args:
        change: Name of the change.
        before: Probabilities of the unchanged pictures, shape (N, K).
        after: Probabilities of the changed pictures, shape (N, K).
        labels: Classes of the columns.
    """
    flips = before.argmax(axis=1) != after.argmax(axis=1)
    shifts = (after - before).mean(axis=0)
    return {
        "change": change,
        "images": len(before),
        "flips": int(flips.sum()),
        **{f"{SHIFT}{name}": float(shifts[i]) for i, name in enumerate(labels.names)},
    }


def read_real_changes(path: Path) -> pd.DataFrame:
    """Reads `real_changes.parquet`.

    Raises:
        ArtifactError: If it is missing, corrupt or of a newer schema.
    """
    table = read_table(path, COLUMNS, newest=SCHEMA_VERSION)
    where = f"{path.name} of {path.parent.name!r}"
    if table["change"].duplicated().any() or (table["images"] <= 0).any():
        raise ArtifactError(
            f"{where} does not hold exactly one measurement. Probe the run again with "
            "`python -m training probe BENCHMARK RUN --again`."
        )
    return table


@dataclass(frozen=True)
class RealAgreement:
    """Whether changes move predictions on drawn faces as they do on real ones.

    Attributes:
        points: One row per run and change: columns run, change, drawn and real, the shares of
            predictions that change.
        by_change: Spearman's rank correlation over runs by change; NaN where the shares of all
            runs are equal, empty with fewer than four runs.
        overall: Spearman's rank correlation over all rows; None with fewer than four.
        images: Number of real pictures.
    """

    points: pd.DataFrame
    by_change: Mapping[str, float]
    overall: float | None
    images: int


def compare_with_real(
    drawn: Mapping[str, Mapping[str, float]], real: Mapping[str, pd.DataFrame]
) -> RealAgreement | None:
    """Compares the shares of changed predictions on drawn and on real pictures.

    Args:
        drawn: Share of changed predictions by run and change.
        real: `real_changes.parquet` by run.

    Returns:
        None if no run has both.
    """
    rows = [
        (run, change, drawn[run][change], share)
        for run, table in real.items()
        for change, share in real_shares(table).items()
        if change in drawn.get(run, {})
    ]
    if not rows:
        return None
    points = pd.DataFrame(rows, columns=["run", "change", "drawn", "real"])
    by_change = {
        str(change): _spearman(group)
        for change, group in points.groupby("change", sort=False)
        if len(group) >= _FEWEST
    }
    overall = _spearman(points) if len(points) >= _FEWEST else None
    images = max(int(table["images"].max()) for table in real.values())
    return RealAgreement(points, by_change, overall, images)


def real_shares(table: pd.DataFrame) -> dict[str, float]:
    """Returns the share of predictions that each change changes."""
    shares = table["flips"].to_numpy(dtype=np.float64) / table["images"].to_numpy()
    return dict(zip(map(str, table["change"]), shares.tolist(), strict=True))


def _spearman(points: pd.DataFrame) -> float:
    if points["drawn"].nunique() < 2 or points["real"].nunique() < 2:
        return float("nan")
    from scipy import stats  # slow to import, and only needed here

    return float(stats.spearmanr(points["drawn"], points["real"]).statistic)
