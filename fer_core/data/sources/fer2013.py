"""FER2013's `fer2013.csv`, alone or with the FER+ votes of `fer2013new.csv`.

The two files are joined by row order, which is the only key they share: the
number inside FER+'s `Image name` is not a row number. The join is checked by the
`Usage` column, row by row, and by how often the two annotations agree.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.sources.base import (
    NO_MAJORITY,
    FileStat,
    Origin,
    Sample,
    SampleEntry,
    Skipped,
)
from fer_core.data.sources.class_names import NO_EMOTION, ClassNames
from fer_core.data.sources.pixels import (
    PixelFile,
    PixelTable,
    VotesFile,
    parse_pixels,
    read_pixel_tables,
)
from fer_core.data.sources.split_names import split_of
from fer_core.data.sources.tables import NO_LABEL, Columns
from fer_core.errors import DataError, ImageError
from fer_core.labels import FERPLUS_COLUMNS, SEVEN_EMOTIONS

FERPLUS_NAMES = tuple(FERPLUS_COLUMNS.values())
MIN_JOIN_AGREEMENT = 0.4
"""Correctly joined files agree on about 0.65 of the rows; shifted by one row, on 0.18."""

_EIGHTH_CODE = 7
"""FER2013 has the codes 0 to 6."""

Labels = Literal["ferplus", "fer2013"]


class Fer2013Source:
    """FER2013 with either annotation as the label, and other sets in its layout.

    A code 7 is contempt (copies of CK+ in this layout have it) and left out unless it is mapped; a
    note then tells how the numbers are read, because FER+ numbers eight classes differently. Rows
    without a label or with damaged pixels are skipped.

    Args:
        location: `fer2013.csv`, also as `.gz`; a table in an archive or folder; or the tables of
            several splits.
        votes: `fer2013new.csv`; by default searched for beside the csv.
        labels: `ferplus` (strict majority) or `fer2013`; by default `ferplus` if votes exist.
        names: Interpretation of class names. Numbers are FER2013's codes if the column is called
            `emotion` and images have 48 x 48 pixels, as in FER2013.
        columns: Columns named by the user.

    Attributes:
        left_out: Number of images that are left out unread, by reason.
        notes: Assumptions of the reader.

    Raises:
        DataError: On a missing or malformed file, an unknown code or usage, or votes that do not
            match these rows. Names the row.
    """

    colour = False

    def __init__(
        self,
        location: Path | PixelFile | Sequence[PixelFile],
        votes: Path | None = None,
        labels: Labels | None = None,
        names: ClassNames | None = None,
        columns: Columns | None = None,
    ) -> None:
        self._files = list(location) if isinstance(location, Sequence) else [PixelFile.of(location)]
        self._file = self._files[0]
        votes_file = VotesFile.of(votes) if votes else self._file.votes_beside()
        self._votes_file = votes_file
        if labels == "ferplus" and votes_file is None:
            raise DataError(
                f"FER+ labels were requested, but fer2013new.csv does not exist beside "
                f"{self._file.name}. Put it there, name it with --votes, or pass --labels fer2013."
            )
        self._table = read_pixel_tables(self._files, columns or Columns())
        self.notes = list(self._table.notes)
        # with votes, classes are mapped once these are read
        self.maps_names = votes_file is None
        names = names or ClassNames()
        if not self.maps_names:
            names = ClassNames(codes=names.codes)
        codes = names.codes or ("fer2013" if self._table.is_fer2013 else None)
        names = replace(names, codes=codes, left_out=NO_EMOTION)
        counts = Counter(label for label in self._table.labels if label is not None)
        reading = names.read(counts, self._file.name)
        self.left_out = Counter(reading.left_out(counts))
        self.notes += _with_coding(reading.notes, codes, counts)
        self._meanings = reading.labels
        self._votes = _read_votes(votes_file, self._table, reading.labels) if votes_file else None
        self._labels: Labels = labels or ("ferplus" if votes_file else "fer2013")
        if self._votes is not None:
            self.left_out.clear()  # every row has votes
            self.notes.append(f"Votes of FER+ are read; labels are those of {self._labels}.")

    @property
    def origin(self) -> Origin:
        """Name, licence and reference, including FER+ if its votes were read."""
        ferplus = self._votes is not None
        original = self._labels == "fer2013"
        return Origin(
            name="fer2013",
            title=f"FER2013 with {'its original labels' if original else 'FER+ votes'}",
            licence="Images: none stated, research use." + (" FER+ votes: MIT." if ferplus else ""),
            reference="arXiv:1307.0414" + (", arXiv:1608.01041" if ferplus else ""),
        )

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of the tables, or of their archive."""
        for file in (*self._files, self._votes_file):
            if file is not None:
                yield from file.tree.stats([file.path])

    def __len__(self) -> int:
        return sum(1 for _ in self._rows())

    def entries(self) -> Iterator[SampleEntry | Skipped]:
        """Yields the metadata of the images without parsing their pixels."""
        for row, problem in self._rows():
            if problem:
                yield Skipped(f"{row:05d}", problem)
            else:
                label, _, excluded = self._labelled(row)
                table = self._table
                yield SampleEntry(
                    f"{row:05d}", label, table.splits[row], excluded, table.groups[row]
                )

    def __iter__(self) -> Iterator[Sample | Skipped]:
        pixels = self._table.pixels()
        parsed = -1
        for row, problem in self._rows():
            while parsed < row:
                text = next(pixels)
                parsed += 1
            key = f"{row:05d}"
            if problem:
                yield Skipped(key, problem)
                continue
            try:
                image = parse_pixels(text, self._table.side)
            except ImageError as error:
                yield Skipped(key, str(error))
                continue
            label, second, excluded = self._labelled(row)
            yield Sample(
                key=key,
                image=image,
                label=label,
                split=self._table.splits[row],
                excluded=excluded,
                second_label=second,
                votes=self._votes_of(row),
                group=self._table.groups[row],
                extras=self._table.extras[row] if self._table.extras else {},
            )

    def _rows(self) -> Iterator[tuple[int, str]]:
        """Yields the rows that are not left out, with the reason if they are skipped."""
        for row, label in enumerate(self._table.labels):
            if label is None and self._votes is None:
                yield row, NO_LABEL
            elif self._votes is not None or self._meanings[str(label)]:
                yield row, ""

    def _votes_of(self, row: int) -> dict[str, int]:
        if self._votes is None:
            return {}
        return dict(zip(FERPLUS_NAMES, self._votes[row].tolist(), strict=True))

    def _labelled(self, row: int) -> tuple[str | None, str | None, str]:
        """Returns the label, the second label, and why there is no label."""
        raw = self._table.labels[row]
        original = (self._meanings[raw] or None) if raw is not None else None
        if self._votes is None:
            return original, None, ""
        label, excluded = strict_majority(self._votes[row])
        if self._labels == "ferplus":
            return label, original, excluded
        return original, label, ""


def _with_coding(notes: Iterable[str], codes: str | None, counts: Mapping[str, int]) -> list[str]:
    """Returns the notes on class names; FER2013's own numbers, 0 to 6, need none."""
    eight = str(_EIGHTH_CODE) in counts
    listed = []
    for note in notes:
        coding = note.startswith("Class numbers")
        if not coding or eight or codes != "fer2013":
            listed.append(note)
        if coding and eight and codes == "fer2013":
            listed.append(
                "FER+ numbers eight classes differently (0 neutral, 1 happy, 2 surprise ...): if "
                "these are its numbers, pass --codes ferplus (also affectnet, ckplus)."
            )
    return listed


def strict_majority(counts: NDArray[np.int64]) -> tuple[str | None, str]:
    """Labels one image from its FER+ votes.

    Single votes for a class are ignored; the label needs more than half of the other votes (a
    strict version of the "majority" mode of Barsoum et al. 2016).

    Args:
        counts: Votes in the order of `FERPLUS_COLUMNS`, shape (10,).

    Returns:
        The label and an empty reason, or None and the reason why there is no label.
    """
    kept = np.where(counts > 1, counts, 0)
    total = int(kept.sum())
    if total == 0 or 2 * int(kept.max()) <= total:
        return None, NO_MAJORITY
    winner = FERPLUS_NAMES[int(kept.argmax())]
    if winner in SEVEN_EMOTIONS.names:
        return winner, ""
    return None, f"annotators say {winner.replace('_', ' ')}"


def _read_votes(
    file: VotesFile, table: PixelTable, meanings: Mapping[str, str]
) -> NDArray[np.int64]:
    votes = file.read()
    if missing := {"Usage", *FERPLUS_COLUMNS} - set(votes.columns):
        raise DataError(
            f"{file.name} lacks the columns {', '.join(sorted(missing))}. Get the file again from "
            "github.com/microsoft/FERPlus."
        )
    if len(votes) != len(table.labels):
        raise DataError(
            f"{file.name} has {len(votes)} rows and {table.name} {len(table.labels)}. They are "
            "joined by row order, so both must be complete and in their original order. Pass "
            "--labels fer2013 without fer2013new.csv beside it to do without the votes."
        )
    usages = [split_of(str(usage)) for usage in votes["Usage"]]
    same = [usage == split for usage, split in zip(usages, table.splits, strict=True)]
    if not all(same):
        row = same.index(False)
        raise DataError(
            f"{file.name}, row {row}: Usage is {votes['Usage'].iloc[row]} here and "
            f"{table.usages[row]} in {table.name}. The files are not in the same order; "
            "use both as they were published."
        )
    numeric = votes[list(FERPLUS_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    valid = ((numeric >= 0) & (numeric == numeric.round())).all(axis=1).to_numpy()
    if not valid.all():
        row = int(np.argmin(valid))
        raise DataError(
            f"{file.name}, row {row}: votes must be whole numbers of 0 or more. Get the file again "
            "from github.com/microsoft/FERPlus."
        )
    counts: NDArray[np.int64] = numeric.to_numpy(dtype=np.int64)
    original = [meanings.get(str(label), "") for label in table.labels]
    agreement = _join_agreement(counts, original)
    if agreement < MIN_JOIN_AGREEMENT:
        raise DataError(
            f"{file.name} does not belong to these rows: its most frequent vote equals the FER2013 "
            f"label for {agreement:.0%} of the rows (about 65% if joined correctly). The rows are "
            "shifted or shuffled; use both files in their original row order."
        )
    return counts


def _join_agreement(counts: NDArray[np.int64], original: Sequence[str]) -> float:
    """Share of rows whose FER+ plurality equals the FER2013 label (ties and non-emotions out)."""
    emotions = counts[:, :8]
    order = np.sort(emotions, axis=1)
    clear = order[:, -1] > order[:, -2]
    if not clear.any():
        return 0.0
    plurality = np.array(FERPLUS_NAMES)[emotions.argmax(axis=1)]
    return float((plurality[clear] == np.array(original)[clear]).mean())
