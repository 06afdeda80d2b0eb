"""Import of external predictions: validation and alignment with a benchmark."""

import gzip
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.csv_text import exported_text
from fer_core.errors import DataError
from fer_core.evaluation.external_ids import ID_NAMES
from fer_core.evaluation.prediction_file import SUM_TOLERANCE
from fer_core.evaluation.predictions import EVALUATED, Predictions, SplitPredictions
from fer_core.labels import OutputClasses

THREE_DECIMALS = 5e-3
"""Tolerance for the sum of probabilities that are rounded to three decimals."""

TINY = 1e-6
"""Largest negative probability that counts as 0; subtractions in float32 leave such numbers."""

_TWO_DECIMALS = 0.02, 0.04

_DECIMAL_COMMA = re.compile(r";\s*\d+,\d")


def rounding_tolerance(count: int) -> float:
    """Returns the accepted difference of a sum from 1: what two decimals cause, 2% to 4%.

    Rounding changes each of `count` probabilities by at most 0.005. Tables of seven classes reach a
    difference of 0.03.
    """
    least, most = _TWO_DECIMALS
    return min(max(0.005 * count, least), most) + 1e-9  # 1.02 - 1 is slightly more than 0.02


def read_external_table(path: Path) -> pd.DataFrame:
    """Reads a csv, tsv or parquet file; csv and tsv may be compressed by gzip.

    The separator of a csv file may be a comma, a semicolon (with commas or points in numbers) or a
    tab. A named index of a parquet file is a column.

    Raises:
        DataError: If it cannot be read or has another extension.
    """
    name = path.name.lower()
    try:
        if name.removesuffix(".gz").endswith((".csv", ".tsv")):
            table = _read_text(path)
        elif name.endswith((".parquet", ".pq")):
            table = pd.read_parquet(path)
            if table.index.name is not None and table.index.name not in table.columns:
                table = table.reset_index()
        else:
            raise DataError(f"{path.name} is not a table. Pass a .csv, .tsv or .parquet file.")
    except DataError:
        raise
    except Exception as error:  # parsers raise many exception types
        raise DataError(
            f"{path.name} cannot be read: {error}. Save it again as a table."
        ) from error
    return table.set_axis([str(column).strip() for column in table.columns], axis=1)


def _read_text(path: Path) -> pd.DataFrame:
    """Reads a csv or tsv file; columns that may hold ids are texts."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig") as file:
        header, first = file.readline(), file.readline()
    separator = max(",;\t", key=header.count)
    decimal = "," if separator == ";" and _DECIMAL_COMMA.search(first) else "."
    names = pd.read_csv(path, sep=separator, nrows=0).columns
    ids = [name for name in names if str(name).strip().lower() in ID_NAMES]
    table = pd.read_csv(path, sep=separator, decimal=decimal, dtype=dict.fromkeys(ids, str))
    return table.assign(**{name: exported_text(table[name]) for name in ids})


def external_predictions(
    table: pd.DataFrame,
    columns: Sequence[str],
    classes: OutputClasses,
    samples: pd.DataFrame,
    name: str,
    notify: Callable[[str], None] = lambda _: None,
) -> Predictions:
    """Validates a table of probabilities and aligns it with the benchmark's samples and classes.

    Classes that the benchmark does not have are left out and the others renormalised; classes that
    the table does not have get probability 0. Other columns and samples of other splits are
    ignored. Rows and columns may be in any order. Rows that sum to nearly 1 are divided by their
    sum.

    Args:
        table: Column `id` and one column of probabilities per class.
        columns: The columns of probabilities.
        classes: Classes of the columns, in the same order.
        samples: The benchmark's samples, with `id`, `split` and `label`.
        name: File name for error messages.
        notify: Called with a sentence if rows were divided by their sum.

    Raises:
        DataError: If a sample is missing, an id is duplicated, or the probabilities of a row are
            invalid.
    """
    if table["id"].duplicated().any():
        duplicate = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{name} has the sample {duplicate} twice. Keep one row per sample.")
    labels = classes.labels
    by_id = table.set_index("id")[list(columns)]
    splits, differences = {}, []
    for split in EVALUATED:
        rows = samples[samples["split"] == split]
        selected = by_id.reindex(rows["id"])
        missing = ~rows["id"].isin(by_id.index).to_numpy()
        if missing.any():
            raise DataError(
                f"{name} lacks {int(missing.sum())} of the {len(rows)} samples of {split}, "
                f"such as {rows['id'].iloc[int(np.argmax(missing))]}. Predict every sample of "
                "validation and test; samples.parquet of the benchmark lists them."
            )
        values = _checked(selected, classes, name)
        differences.append(np.abs(values.sum(axis=1) - 1))
        probabilities = _selected(values, classes)
        truth = pd.Index(list(labels.names)).get_indexer(pd.Index(rows["label"]))
        ids = rows["id"].to_numpy(dtype=object)
        splits[split] = SplitPredictions(labels, ids, truth.astype(np.int64), probabilities)
    for note in _rounding_notes(np.concatenate(differences)):
        notify(note)
    return Predictions(splits)


def _rounding_notes(differences: NDArray[np.float64]) -> list[str]:
    count = int((differences > SUM_TOLERANCE + TINY).sum())
    if not count:
        return []
    return [
        f"{count:,} of {len(differences):,} rows do not sum to 1 (the largest difference is "
        f"{differences.max():.3f}), as after rounding: they are divided by their sum."
    ]


def _selected(values: NDArray[np.float64], classes: OutputClasses) -> NDArray[np.float64]:
    """Returns the benchmark's classes, renormalised; uniform where all of them are 0."""
    padded = np.concatenate([values, np.zeros((len(values), 1))], axis=1)
    columns: NDArray[np.float64] = padded[:, list(classes.columns)]  # -1 is the column of zeros
    sums = columns.sum(axis=1, keepdims=True)
    present = np.array([column >= 0 for column in classes.columns], dtype=np.float64)
    uniform = np.broadcast_to(present / present.sum(), columns.shape)
    return np.where(sums > 0, columns / np.where(sums > 0, sums, 1.0), uniform)


def _checked(table: pd.DataFrame, classes: OutputClasses, name: str) -> NDArray[np.float64]:
    try:
        values: NDArray[np.float64] = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} has values that are not numbers: {error}. Write a probability in each row."
        ) from error
    sums = values.sum(axis=1)
    bad = ~(
        (np.abs(sums - 1) <= rounding_tolerance(len(classes.names))) & (values >= -TINY).all(axis=1)
    )
    if bad.any():
        row = int(np.argmax(bad))
        lacks = f", and there is no column for {', '.join(classes.missing)}"
        raise DataError(
            f"{name}: the probabilities of {table.index[row]} are invalid (they sum to "
            f"{sums[row]:.3f}{lacks if classes.missing else ''}). Pass probabilities or "
            "percentages, not logits."
        )
    return values.clip(min=0.0)
