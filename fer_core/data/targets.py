"""A score beside the classes: a table of numbers for images or clips, brought to a set's rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.prepared import PreparedDataset
from fer_core.errors import DataError


@dataclass(frozen=True)
class RegressionTargets:
    """Scores by row of a prepared set.

    Attributes:
        values: Shape (N,); NaN where an image has no score.
        clips: What an image is a frame of, shape (N,); its own id where it is of no clip.
    """

    values: NDArray[np.float32]
    clips: NDArray[np.object_]


def read_targets(path: Path, dataset: PreparedDataset) -> RegressionTargets:
    """Reads a table of scores.

    Args:
        path: A csv or parquet file with the columns `id` and `score`, and optionally `clip`. An
            `id` is a sample's id, or the group of a clip or subject that the prepared set knows
            (its column `group`): then all its frames get the score. `clip` names what frames
            belong to one recording or person.
        dataset: The prepared set.

    Raises:
        DataError: If the table cannot be read, names unknown images, repeats one, holds no usable
            number for training, or if frames of one clip stand in two splits.
    """
    table = _read(path)
    samples = dataset.samples
    ids = samples["id"].to_numpy(dtype=object)
    groups = (
        samples["group"].to_numpy(dtype=object) if "group" in samples else np.full(len(ids), None)
    )
    if table["id"].duplicated().any():
        twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{path.name} scores {twice} twice.")
    by_id = table.set_index("id")
    known = pd.Index(by_id.index).isin(ids) | pd.Index(by_id.index).isin(groups)
    if not known.all():
        raise DataError(
            f"{path.name} scores {by_id.index[int(np.argmin(known))]!r}, which is neither an image "
            "nor a group of the prepared set; samples.parquet lists both."
        )
    values = by_id["score"].reindex(ids).to_numpy(dtype=np.float32, copy=True)
    by_group = by_id["score"].reindex(groups).to_numpy(dtype=np.float32)
    values = np.where(np.isnan(values), by_group, values)
    clips = ids.copy()
    has_group = ~pd.isna(groups)
    clips[has_group] = groups[has_group]
    if "clip" in table:
        for names in (groups, ids):  # an image's own clip counts most
            given = by_id["clip"].reindex(names).to_numpy(dtype=object)
            clips = np.where(pd.isna(given), clips, given)
    _check_split(clips, samples["split"].to_numpy(dtype=object), values, path.name)
    for split in ("train", "validation", "test"):
        if np.isnan(values[dataset.rows(split)]).all():
            raise DataError(f"{path.name} scores no usable image of the {split} split.")
    return RegressionTargets(values, clips)


def _read(path: Path) -> pd.DataFrame:
    try:
        # ids stay text: 001 is not 1
        texts = dict.fromkeys(("id", "clip"), "str")
        is_csv = path.suffix.lower() == ".csv"
        table = pd.read_csv(path, dtype=texts) if is_csv else pd.read_parquet(path)
    except Exception as error:  # the parsers raise many kinds
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
    scored = np.isin(clips, clips[~np.isnan(values)])  # other frames of a scored clip count too
    scored &= np.isin(split, ("train", "validation", "test"))
    sides = pd.Series(split[scored]).groupby(clips[scored]).nunique()
    if (sides > 1).any():
        raise DataError(
            f"Frames of {sides.idxmax()!r} stand in more than one split, so a score of {name} "
            "would be tested on a person or clip that training has seen. Prepare the set again "
            "with clips or subjects as groups."
        )
