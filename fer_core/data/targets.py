"""Regression targets: reads a table of numbers by image or clip and aligns it with a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.csv_text import exported_text
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import DataError


@dataclass(frozen=True)
class RegressionTargets:
    """Regression targets by row of a prepared data set.

    Attributes:
        names: The T targets.
        values: Shape (N, T); NaN where an image has no value.
        clips: Clip that an image is a frame of, shape (N,); the image's id if it has no clip.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    clips: NDArray[np.object_]


def read_targets(
    path: Path, dataset: PreparedDataset, targets: Sequence[str] = ("score",)
) -> RegressionTargets:
    """Reads a table of targets.

    Args:
        path: A csv or parquet file with the column `id`, a column per target, and optionally
            `clip`. An `id` is a sample id, or a value of the data set's column `group` (a clip or
            subject), whose frames all get the values. `clip` identifies the recording or person
            that a frame belongs to.
        dataset: The prepared data set.
        targets: Columns to read.

    Raises:
        DataError: If the table cannot be read, has unknown or duplicate ids or no value of a
            target for a split, or if frames of one clip are in different splits.
    """
    table = _read(path, targets)
    samples = dataset.samples
    ids = samples["id"].to_numpy(dtype=object)
    groups = (
        samples["group"].to_numpy(dtype=object) if "group" in samples else np.full(len(ids), None)
    )
    if table["id"].duplicated().any():
        duplicate = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{path.name} has the id {duplicate} twice. Keep one row per id.")
    by_id = table.set_index("id")
    known = pd.Index(by_id.index).isin(ids) | pd.Index(by_id.index).isin(groups)
    if not known.all():
        raise DataError(
            f"{path.name} has {by_id.index[int(np.argmin(known))]!r}, which is neither an image "
            "nor a group of the prepared set. Use the ids and groups of samples.parquet."
        )
    columns = by_id[list(targets)]
    values = columns.reindex(ids).to_numpy(dtype=np.float32, copy=True)
    by_group = columns.reindex(groups).to_numpy(dtype=np.float32)
    values = np.where(np.isnan(values), by_group, values)
    clips = ids.copy()
    has_group = ~pd.isna(groups)
    clips[has_group] = groups[has_group]
    if "clip" in table:
        for names in (groups, ids):  # the clip of an image overrides that of its group
            named = by_id["clip"].reindex(names).to_numpy(dtype=object)
            clips = np.where(pd.isna(named), clips, named)
    known_rows = ~np.isnan(values).all(axis=1)
    _check_split(clips, samples["split"].to_numpy(dtype=object), known_rows, path.name)
    for split in ("train", "validation", "test"):
        empty = np.isnan(values[dataset.rows(split)]).all(axis=0)
        for name in np.array(targets)[empty]:
            raise DataError(
                f"{path.name} has no value of {name} for any image of the {split} split. Add "
                f"values, or leave {name} out of regression.targets."
            )
    return RegressionTargets(tuple(targets), values, clips)


def _read(path: Path, targets: Sequence[str] = ("score",)) -> pd.DataFrame:
    try:
        # ids are text: 001 is not 1
        texts = dict.fromkeys(("id", "clip"), "str")
        is_csv = path.suffix.lower() == ".csv"
        table = pd.read_csv(path, dtype=texts) if is_csv else pd.read_parquet(path)
        if is_csv:
            named = [name for name in texts if name in table]
            table = table.assign(**{name: exported_text(table[name]) for name in named})
    except Exception as error:  # parsers raise many exception types
        raise DataError(f"{path} cannot be read as a table of targets: {error}.") from error
    if missing := {"id", *targets} - set(table.columns):
        raise DataError(
            f"{path.name} lacks the column {', '.join(sorted(missing))}. Name its columns with "
            "--set regression.targets=[...]."
        )
    return table.assign(
        id=table["id"].astype(str), **{name: _numbers(table, name, path.name) for name in targets}
    )


def _numbers(table: pd.DataFrame, target: str, name: str) -> pd.Series:
    """Returns a target as numbers.

    Raises:
        DataError: If a value is not a finite number.
    """
    numbers = pd.to_numeric(table[target], errors="coerce").replace([np.inf, -np.inf], np.nan)
    wrong = numbers.isna() & table[target].notna()
    if wrong.any():
        first = table.loc[wrong].iloc[0]
        raise DataError(
            f"{name}: the {target} of {first['id']} is {first[target]!r}, not a finite number. "
            "Correct the value, or leave the cell empty."
        )
    return numbers


def _check_split(
    clips: NDArray[np.object_],
    split: NDArray[np.object_],
    known: NDArray[np.bool_],
    name: str,
) -> None:
    scored = np.isin(clips, clips[known])  # includes frames without a value
    scored &= np.isin(split, ("train", "validation", "test"))
    sides = pd.Series(split[scored]).groupby(clips[scored]).nunique()
    if (sides > 1).any():
        raise DataError(
            f"Frames of {sides.idxmax()!r} are in more than one split, so scores of {name} "
            "would be tested on a clip or person from training. Prepare the set again "
            "with clips or subjects as groups."
        )
