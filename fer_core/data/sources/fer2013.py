"""FER2013's `fer2013.csv`, alone or with the FER+ votes of `fer2013new.csv`.

The two files are joined by row order, which is the only key they share: the
number inside FER+'s `Image name` is not a row number. The join is checked by the
`Usage` column, row by row, and by how often the two annotations agree.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.sources.base import NO_MAJORITY, Origin, Sample
from fer_core.errors import DataError
from fer_core.labels import FER2013_CODES, FERPLUS_COLUMNS, SEVEN_EMOTIONS

SIDE = 48
_USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_FERPLUS_NAMES = tuple(FERPLUS_COLUMNS.values())
MIN_JOIN_AGREEMENT = 0.4
"""Correctly joined files agree on about 0.65 of the rows; shifted by one row, on 0.18."""

Labels = Literal["ferplus", "fer2013"]


class Fer2013Source:
    """FER2013 with either annotation as the label.

    Args:
        path: `fer2013.csv`, also as `.gz` or `.zip`.
        votes: `fer2013new.csv`; looked for beside `path` if not given.
        labels: `ferplus` (strict majority) or `fer2013`; by default `ferplus` where votes exist.

    Raises:
        DataError: On a file that is missing or malformed, a wrong number of pixels, an unknown
            code or usage, or votes that do not belong to these rows. Names the row.
    """

    colour = False

    def __init__(self, path: Path, votes: Path | None = None, labels: Labels | None = None) -> None:
        beside = path.parent / "fer2013new.csv"
        votes_path = votes or (beside if beside.is_file() else None)
        if labels == "ferplus" and votes_path is None:
            raise DataError(
                f"FER+ labels were asked for, but {beside} does not exist. Put fer2013new.csv "
                "beside the csv, or ask for the labels fer2013."
            )
        self._table = _read_fer2013(path)
        self._votes = _read_votes(votes_path, self._table) if votes_path else None
        self._labels: Labels = labels or ("ferplus" if votes_path else "fer2013")

    @property
    def origin(self) -> Origin:
        """Name, licence and reference; they name FER+ where its votes were read."""
        ferplus = self._votes is not None
        own = self._labels == "fer2013"
        return Origin(
            name="fer2013",
            title=f"FER2013 with {'its original labels' if own else 'FER+ votes'}",
            licence="Images: none stated, research use." + (" FER+ votes: MIT." if ferplus else ""),
            reference="arXiv:1307.0414" + (", arXiv:1608.01041" if ferplus else ""),
        )

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Sample]:
        codes = self._table["emotion"].to_numpy()
        usages = self._table["Usage"].to_numpy()
        for row, pixels in enumerate(self._table["pixels"]):
            original = FER2013_CODES[int(codes[row])]
            label: str | None = original
            second: str | None = None
            excluded, votes = "", {}
            if self._votes is not None:
                counts = self._votes[row]
                votes = dict(zip(_FERPLUS_NAMES, counts.tolist(), strict=True))
                if self._labels == "ferplus":
                    label, excluded = strict_majority(counts)
                    second = original
                else:
                    second = strict_majority(counts)[0]
            yield Sample(
                key=f"{row:05d}",
                image=_parse_pixels(pixels, row),
                label=label,
                split=_USAGE[usages[row]],
                excluded=excluded,
                second_label=second,
                votes=votes,
            )


def strict_majority(counts: NDArray[np.int64]) -> tuple[str | None, str]:
    """Labels one image from its FER+ votes.

    A class with a single vote counts as none; the winner needs more than half of the rest
    (the "majority" mode of Barsoum et al. 2016, made strict).

    Args:
        counts: Votes in the order of `FERPLUS_COLUMNS`, shape (10,).

    Returns:
        The label and an empty reason, or None and the reason why there is no label.
    """
    kept = np.where(counts > 1, counts, 0)
    total = int(kept.sum())
    if total == 0 or 2 * int(kept.max()) <= total:
        return None, NO_MAJORITY
    winner = _FERPLUS_NAMES[int(kept.argmax())]
    if winner in SEVEN_EMOTIONS.names:
        return winner, ""
    return None, f"annotators say {winner.replace('_', ' ')}"


def _read_fer2013(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path} does not exist. Give the path of fer2013.csv (also .gz or .zip).")
    try:
        table = pd.read_csv(path)
    except Exception as error:  # pandas, gzip and zip each raise their own
        raise DataError(f"{path.name} cannot be read as csv: {error}.") from error
    if missing := {"emotion", "pixels", "Usage"} - set(table.columns):
        raise DataError(
            f"{path.name} lacks the columns {', '.join(sorted(missing))}; "
            "FER2013's layout is emotion,pixels,Usage."
        )
    codes = pd.to_numeric(table["emotion"], errors="coerce")
    if not (known := codes.isin(list(FER2013_CODES))).all():
        row = int(np.argmin(known.to_numpy()))
        raise DataError(
            f"{path.name}, row {row}: emotion code {table['emotion'].iloc[row]!r} is unknown. "
            "FER2013's codes are 0 to 6; correct or remove the row."
        )
    table["emotion"] = codes.astype(int)
    if not (known := table["Usage"].isin(list(_USAGE))).all():
        row = int(np.argmin(known.to_numpy()))
        raise DataError(
            f"{path.name}, row {row}: usage {table['Usage'].iloc[row]!r} is unknown. "
            f"Known: {', '.join(_USAGE)}."
        )
    for usage, split in _USAGE.items():
        if not (table["Usage"] == usage).any():
            raise DataError(
                f"{path.name} has no row with Usage {usage}, so the {split} split is missing. "
                "Get the complete file, or prepare your images as a folder by class."
            )
    for code, emotion in FER2013_CODES.items():
        if not (table["emotion"] == code).any():
            raise DataError(
                f"{path.name} has no row of the class {emotion} (code {code}). "
                "Get the complete file, or prepare your images as a folder by class."
            )
    return table


def _read_votes(path: Path, table: pd.DataFrame) -> NDArray[np.int64]:
    try:
        votes = pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Give the path of fer2013new.csv.") from None
    except Exception as error:  # pandas raises several kinds
        raise DataError(f"{path.name} cannot be read as csv: {error}.") from error
    if missing := {"Usage", *FERPLUS_COLUMNS} - set(votes.columns):
        raise DataError(f"{path.name} lacks the columns {', '.join(sorted(missing))}.")
    if len(votes) != len(table):
        raise DataError(
            f"{path.name} has {len(votes)} rows and fer2013.csv {len(table)}. They are joined by "
            "row order, so both must be complete and in their original order."
        )
    same = (votes["Usage"] == table["Usage"]).to_numpy()
    if not same.all():
        row = int(np.argmin(same))
        raise DataError(
            f"{path.name}, row {row}: Usage is {votes['Usage'].iloc[row]} here and "
            f"{table['Usage'].iloc[row]} in fer2013.csv. The files are not in the same order; "
            "use both as they were published."
        )
    numeric = votes[list(FERPLUS_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    valid = ((numeric >= 0) & (numeric == numeric.round())).all(axis=1).to_numpy()
    if not valid.all():
        row = int(np.argmin(valid))
        raise DataError(f"{path.name}, row {row}: votes must be whole numbers of 0 or more.")
    counts: NDArray[np.int64] = numeric.to_numpy(dtype=np.int64)
    agreement = _join_agreement(counts, table["emotion"].to_numpy())
    if agreement < MIN_JOIN_AGREEMENT:
        raise DataError(
            f"{path.name} does not belong to these rows: its most frequent vote equals the FER2013 "
            f"label for {agreement:.0%} of the rows (about 65% when joined rightly). The rows are "
            "shifted or shuffled; use both files in their original row order."
        )
    return counts


def _join_agreement(counts: NDArray[np.int64], codes: NDArray[np.int64]) -> float:
    """Share of rows whose FER+ plurality equals the FER2013 label (ties and non-emotions out)."""
    emotions = counts[:, :8]
    order = np.sort(emotions, axis=1)
    clear = order[:, -1] > order[:, -2]
    if not clear.any():
        return 0.0
    plurality = np.array(_FERPLUS_NAMES)[emotions.argmax(axis=1)]
    original = np.array([FER2013_CODES[int(code)] for code in codes])
    return float((plurality[clear] == original[clear]).mean())


def _parse_pixels(text: object, row: int) -> NDArray[np.uint8]:
    line = str(text)
    if line.count(" ") == SIDE * SIDE - 1 and line[-1].isdigit():
        # Four times as fast as the way below, which says what is wrong with a line.
        with suppress(ValueError):
            numbers = np.fromstring(line, dtype=np.int64, sep=" ")
            if len(numbers) == SIDE * SIDE and numbers.min() >= 0 and numbers.max() <= 255:
                return numbers.astype(np.uint8).reshape(SIDE, SIDE)
    parts = line.split()
    if len(parts) != SIDE * SIDE:
        raise DataError(
            f"fer2013.csv, row {row}: {len(parts)} pixels instead of {SIDE * SIDE}. "
            "The file is damaged there; get it again, or remove the row from both csv files."
        )
    try:
        values = np.array(parts, dtype=np.int64)
    except (ValueError, OverflowError):
        raise DataError(
            f"fer2013.csv, row {row}: a pixel is not a whole number. Get the file again."
        ) from None
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"fer2013.csv, row {row}: a pixel is outside 0 to 255. Get it again.")
    return values.astype(np.uint8).reshape(SIDE, SIDE)
