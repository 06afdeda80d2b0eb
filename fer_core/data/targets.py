"""Regression targets: reads a table of scores by image or clip and aligns it with a data set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.prepared import PreparedDataset
from fer_core.errors import DataError


@dataclass(frozen=True)
class RegressionTargets:
    """Regression targets by row of a prepared data set.

    Attributes:
        values: Scores, shape (N,); NaN for images without a score.
        clips: Clip that an image is a frame of, shape (N,); the image's id if it has no clip.
    """

    values: NDArray[np.float32]
    clips: NDArray[np.object_]


def read_targets(path: Path, dataset: PreparedDataset) -> RegressionTargets:
    """Reads a table of scores.

    Args:
        path: A csv or parquet file with the columns `id` and `score`, and optionally `clip`. An
            `id` is a sample id, or a value of the data set's column `group` (a clip or subject),
            whose frames all get the score. `clip` identifies the recording or person that a frame
            belongs to.
        dataset: The prepared data set.

    Raises:
        DataError: If the table cannot be read, has unknown or duplicate ids or no score for a
            split, or if frames of one clip are in different splits.
    """
    table = _read(path)
    samples = dataset.samples
    ids = samples["id"].to_numpy(dtype=object)
    groups = (
        samples["group"].to_numpy(dtype=object) if "group" in samples else np.full(len(ids), None)
    )
    if table["id"].duplicated().any():
        duplicate = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{path.name} has {duplicate} twice.")
    by_id = table.set_index("id")
    known = pd.Index(by_id.index).isin(ids) | pd.Index(by_id.index).isin(groups)
    if not known.all():
        raise DataError(
            f"{path.name} has {by_id.index[int(np.argmin(known))]!r}, which is neither an image "
            "nor a group of the prepared set. samples.parquet lists both."
        )
    values = by_id["score"].reindex(ids).to_numpy(dtype=np.float32, copy=True)
    by_group = by_id["score"].reindex(groups).to_numpy(dtype=np.float32)
    values = np.where(np.isnan(values), by_group, values)
    clips = ids.copy()
    has_group = ~pd.isna(groups)
    clips[has_group] = groups[has_group]
    if "clip" in table:
        for names in (groups, ids):  # the clip of an image overrides that of its group
            named = by_id["clip"].reindex(names).to_numpy(dtype=object)
            clips = np.where(pd.isna(named), clips, named)
    _check_split(clips, samples["split"].to_numpy(dtype=object), values, path.name)
    for split in ("train", "validation", "test"):
        if np.isnan(values[dataset.rows(split)]).all():
            raise DataError(f"{path.name} has no score for any image of the {split} split.")
    return RegressionTargets(values, clips)


def _read(path: Path) -> pd.DataFrame:
    try:
        # ids are text: 001 is not 1
        texts = dict.fromkeys(("id", "clip"), "str")
        is_csv = path.suffix.lower() == ".csv"
        table = pd.read_csv(path, dtype=texts) if is_csv else pd.read_parquet(path)
    except Exception as error:  # parsers raise many exception types
        raise DataError(f"{path} cannot be read as a table of scores: {error}.") from error
    if missing := {"id", "score"} - set(table.columns):
        raise DataError(f"{path.name} lacks the column {', '.join(sorted(missing))}.")
    numbers = pd.to_numeric(table["score"], errors="coerce").replace([np.inf, -np.inf], np.nan)
    wrong = numbers.isna() & table["score"].notna()
    if wrong.any():
        first = table.loc[wrong].iloc[0]
        raise DataError(f"{path.name}: the score of {first['id']} is {first['score']!r}.")
    return table.assign(id=table["id"].astype(str), score=numbers)


def _check_split(
    clips: NDArray[np.object_],
    split: NDArray[np.object_],
    values: NDArray[np.float32],
    name: str,
) -> None:
    scored = np.isin(clips, clips[~np.isnan(values)])  # includes unscored frames of scored clips
    scored &= np.isin(split, ("train", "validation", "test"))
    sides = pd.Series(split[scored]).groupby(clips[scored]).nunique()
    if (sides > 1).any():
        raise DataError(
            f"Frames of {sides.idxmax()!r} are in more than one split, so scores of {name} "
            "would be tested on a clip or person from training. Prepare the set again "
            "with clips or subjects as groups."
        )
