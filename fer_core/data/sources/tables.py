"""Annotation tables: columns of images, labels, splits and persons.

A table is a csv, tsv, jsonl or parquet file with a header, or a list (`path label`, one per line)
without one.
"""

import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from fer_core.data.sources.box_columns import box_columns
from fer_core.data.sources.class_names import code_of, emotion_of
from fer_core.data.sources.clips import with_frames
from fer_core.data.sources.files import is_image
from fer_core.data.sources.json_tables import (
    expanded,
    holds_objects,
    json_line_rows,
    json_rows,
)
from fer_core.data.sources.parquet_files import read_picture_list
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.split_names import split_of
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

TABLE_SUFFIXES = (
    ".csv", ".tsv", ".txt", ".lst", ".list", ".json", ".jsonl", ".ndjson", ".parquet"
)  # fmt: skip
IMAGE_COLUMNS = (
    "filename", "file", "filepath", "path", "pth", "imagepath", "imgpath", "imagename", "imgname",
    "image", "img", "picture", "face", "subdirectoryfilepath", "name", "imageid", "id",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "emotion", "emotions", "expression", "class", "classname", "category",
    "target", "choice", "choices", "expressionlabel", "emotionlabel", "labelname", "emotionname",
    "expressionname",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "usage", "subset", "partition", "set", "phase")
PERSON_COLUMNS = (
    "person", "subject", "subjectid", "personid", "identity", "actor", "actorid", "participant",
    "participantid",
)  # fmt: skip
RECORDING_COLUMNS = (
    "video", "videoid", "clip", "clipid", "sequence", "sequenceid", "session", "sessionid",
)  # fmt: skip
"""Usual column names, in lower case without blanks and punctuation."""

_PERSON_WORDS = frozenset(
    {"person", "subject", "subj", "identity", "actor", "actress", "participant", "speaker"}
    | {"performer", "individual", "volunteer", "patient", "poser"}
)
_ID_WORDS = frozenset({"id", "no", "nr", "num", "number", "name", "code", "index", "key"})
"""Words in names of columns: of persons, and beside them."""

_ANNOTATOR = re.compile(
    r"(?<![a-z])(annotator|rater|coder|judge|labell?er|worker|expert|evaluator|reviewer)s?(?![a-z])"
)
_NUMBERED_ANNOTATOR = re.compile(rf"{_ANNOTATOR.pattern}[ _.-]?(\d+|[a-z]|one|two|three|four|five)")
_ONE_ANNOTATOR = re.compile(
    rf"{_ANNOTATOR.pattern}[ _.-]?(id|no|nr|name)?|user([ _.-]?(id|name))?"
    r"|(annotated|labell?ed|rated|completed)[ _.-]?by"
)
"""Columns of a table with a column, or a row, for each annotator."""

_FEWEST = 10  # recordings; in a table of less than 30 rows a third of them
_MOST_BYTES = 2**30

MOST_SPLIT_NAMES = 8
"""Maximum number of different values of a column of splits that has an unusual name."""

MOST_VALUES = 50
"""Maximum number of different values of a text column that is kept as a slice."""

FEW_VALUES = 10
"""Up to this many different integers are categories."""

UNLABELLED = ("", "-1", "nan", "none", "null", "na", "n/a", "?")
"""Values that mean no label, in lower case."""

NO_LABEL = "It has no label."

VOTES = "votes_"
"""Beginning of the names of columns that hold the annotators' votes for a class."""

MAJORITY_NOTE = "The label is the class with more than half of the votes."

_UNSURE = frozenset({"unknown", "uncertain", "none", "not_a_face"})
_OTHER_CLASSES = {"nf": "not_a_face"} | {
    word.replace("_", ""): word for word in (*_UNSURE, "other", "calm")
}
"""Columns of votes for no emotion, by plain name; a majority for `_UNSURE` gives no label."""

_ZERO, _ONE = ("0", "0.0", "false"), ("1", "1.0", "true")
"""Cells of a column per class."""

_RESERVED = frozenset(
    {"id", "source", "source_split", "label", "second_label", "excluded", "group", "sha1", "split"}
    | {"original_split", "leak", "phash", "exact_group", "duplicate_group", "given_label"}
    | {"x", "y", "outlier", "width", "height", "brightness", "contrast", "sharpness"}
)
"""Columns of the samples table."""


@dataclass(frozen=True)
class Columns:
    """Columns named by the user; None to search for usual names."""

    image: str | None = None
    label: str | None = None
    split_column: str | None = None
    group: str | None = None


def plain(name: object) -> str:
    """Returns a column's name in lower case without blanks and punctuation: ` pth` is `pth`."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def usual_columns(columns: Iterable[str], usual: Sequence[str]) -> list[str]:
    """Returns the columns that have a usual name, in the order of the usual names."""
    by_plain: dict[str, list[str]] = {}
    for column in columns:
        by_plain.setdefault(plain(column), []).append(column)
    return [column for name in usual for column in by_plain.get(name, [])]


def named_column(columns: Sequence[str], name: str, option: str, where: str) -> str:
    """Returns the column that an option names, in any case.

    Raises:
        DataError: If there is none (lists the columns).
    """
    for column in columns:
        if column == name or plain(column) == plain(name) != "":
            return column
    raise DataError(
        f"{where} has no column {name!r}; its columns are {', '.join(map(str, columns))}. "
        f"Correct --{option}."
    )


def label_column(table: pd.DataFrame, name: str | None, where: str) -> str | None:
    """Returns the column of labels; None if no column has a usual name.

    Raises:
        DataError: If several columns match and differ (lists their counts).
    """
    columns = list(table.columns)
    if name is not None:
        return named_column(columns, name, "label", where)
    candidates = usual_columns(columns, LABEL_COLUMNS)
    if not candidates:
        return None
    # of columns that agree, names are preferred to numbers
    candidates.sort(
        key=lambda column: all(code_of(str(value)) is not None for value in table[column])
    )
    first, *others = candidates
    differing = [other for other in others if not _agree(table[first], table[other])]
    if differing:
        readings = "\n".join(
            f"  --label {column}: {_counts(table[column])}" for column in (first, *differing)
        )
        raise DataError(
            f"{where} has several columns of labels, and they differ:\n{readings}\n"
            "Choose one with --label."
        )
    return first


def _agree(first: "pd.Series[str]", second: "pd.Series[str]") -> bool:
    """Whether two columns agree: their values correspond one to one.

    Emotions must be equal emotions, and numbers equal numbers.
    """
    pairs = pd.DataFrame({"a": first.astype(str), "b": second.astype(str)}).drop_duplicates()
    for read in (emotion_of, code_of):
        a, b = pairs["a"].map(read), pairs["b"].map(read)
        if a.notna().all() and b.notna().all():
            return bool((a == b).all())
    return not pairs["a"].duplicated().any() and not pairs["b"].duplicated().any()


def _counts(values: "pd.Series[str]") -> str:
    counts = values.astype(str).value_counts().sort_index()
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.head(12).items())
    return shown + (f" and {len(counts) - 12:,} more" if len(counts) > 12 else "")


def split_column(table: pd.DataFrame, name: str | None, where: str) -> str | None:
    """Returns the column of splits, if there is one.

    `split` and `usage` are always splits; `set` and similar names only if every value is a split.
    Any other column holds splits if every value is one, and train is among them.
    """
    columns = list(table.columns)
    if name is not None:
        return named_column(columns, name, "split-column", where)
    for column in usual_columns(columns, SPLIT_COLUMNS):
        certain = plain(column) in ("split", "usage")
        if certain or all(split_of(str(value)) for value in table[column].dropna().unique()[:20]):
            return column
    return next((column for column in columns if _are_splits(table[column])), None)


def with_split_of_flags(table: pd.DataFrame) -> pd.DataFrame:
    """Adds a column of splits to a table with a column of 0 and 1 for splits: `is_train`.

    A single column of train tells train and test apart. Rows with no flag, or with several, have no
    split.
    """
    flags = {column: split for column in table.columns if (split := _flag_of(str(column)))}
    flags = {column: split for column, split in flags.items() if _are_flags(table[column])}
    splits = list(flags.values())
    if not flags or len(set(splits)) < len(splits) or "split" in map(plain, table.columns):
        return table
    chosen = pd.DataFrame({split: _is_one(table[column]) for column, split in flags.items()})
    if splits == ["train"]:
        chosen["test"] = ~chosen["train"]
    if len(chosen.columns) < 2:
        return table
    one = chosen.idxmax(axis=1).where(chosen.sum(axis=1) == 1, "")
    return table.drop(columns=list(flags)).assign(split=one)


def _flag_of(column: str) -> str | None:
    """Returns the split that a column of flags names: `is_train`, `isTest`, `in_train`, `val`."""
    return split_of(re.sub(r"^(is|in)[_ ]?", "", column.strip(), flags=re.IGNORECASE))


def _are_flags(values: "pd.Series[Any]") -> bool:
    texts = set(values.astype(str).str.strip().str.lower())
    return texts <= {*_ZERO, *_ONE} and len(texts) > 1


def _is_one(values: "pd.Series[Any]") -> "pd.Series[bool]":
    return values.astype(str).str.strip().str.lower().isin(_ONE)


def _are_splits(values: "pd.Series[str]") -> bool:
    names = [name for name in values.unique() if not is_unlabelled(name)]
    if not 2 <= len(names) <= MOST_SPLIT_NAMES:
        return False
    splits = {split_of(str(name)) for name in names}
    return None not in splits and "train" in splits and len(splits) > 1


def group_column(
    table: pd.DataFrame, name: str | None, where: str, used: Iterable[str | None] = ()
) -> str | None:
    """Returns the column of persons or else of recordings, if there is one.

    A column with another recording in each row groups nothing, and few recordings cannot be divided
    into splits.

    Args:
        table: The cells.
        name: The column that the user named.
        where: The table, for errors.
        used: Columns with another meaning.
    """
    columns = list(table.columns)
    if name is not None:
        return named_column(columns, name, "group", where)
    if persons := [*usual_columns(columns, PERSON_COLUMNS), *filter(_names_person, columns)]:
        return persons[0]
    free = [column for column in columns if column not in set(used)]
    for column in usual_columns(free, RECORDING_COLUMNS):
        values = table[column][~table[column].map(is_unlabelled)].astype(str)
        if values.duplicated().any() and values.nunique() >= min(_FEWEST, len(values) // 3):
            return column
    return None


def _names_person(column: object) -> bool:
    """Whether a column's name is a word for a person, such as `speaker` or `Subject No.`."""
    words = set(re.findall(r"[a-z]+", _apart(column))) - _ID_WORDS
    return len(words) == 1 and words <= _PERSON_WORDS


def _apart(column: object) -> str:
    """Returns a column's name in lower case, with its words apart: `raterTwo` is `rater_two`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(column)).lower()


def group_notes(group: str | None, name: str | None) -> list[str]:
    """Returns a note on a column of recordings that the user did not name."""
    if group is None or name is not None or plain(group) not in RECORDING_COLUMNS:
        return []
    return [
        f"Images with the same value of the column {group} stay in one split; --group names "
        "another column."
    ]


def is_unlabelled(value: object) -> bool:
    """Whether a cell means no label: empty, null or -1."""
    return value is None or value != value or str(value).strip().lower() in UNLABELLED


def text_of(value: object) -> str:
    """Returns a label cell as text; integral numbers as integers."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


@dataclass(frozen=True)
class ExtraColumn:
    """A further column that becomes a slice.

    Attributes:
        name: Name of the column in the samples table.
        is_number: Whether all its values are numbers.
    """

    name: str
    is_number: bool

    def value(self, cell: object) -> float | str | None:
        """Returns a cell's value; None if it is empty."""
        if cell is None or cell != cell or str(cell).strip() == "":
            return None
        return float(str(cell)) if self.is_number else text_of(cell)


Extras = Mapping[str, ExtraColumn]


def extra_columns(table: pd.DataFrame, used: Iterable[str | None]) -> Extras:
    """Returns the further columns that become slices: numbers, and texts with few values."""
    extras: dict[str, ExtraColumn] = {}
    used_names = set(used)
    for column in table.columns:
        name = re.sub(r"\W+", "_", str(column).strip().lower()).strip("_")
        if column in used_names or not name or name.startswith(("unnamed", "votes", "column_")):
            continue
        values = table[column].dropna()
        values = values[values.astype(str).str.strip() != ""]
        if values.dtype.kind in "mM":  # pandas takes times for numbers
            values = values.astype(str)
        numbers = pd.to_numeric(values, errors="coerce")
        is_number = bool(numbers.notna().all())
        if not len(values) or (not is_number and values.astype(str).nunique() > MOST_VALUES):
            continue
        if is_number and _counts_up(values):
            continue  # an index
        if is_number and numbers.nunique() <= FEW_VALUES and (numbers % 1 == 0).all():
            is_number = False  # a code, such as 0 and 1 for a gender
        if name in _RESERVED or name in {extra.name for extra in extras.values()}:
            name = f"{name}_column"
        extras[str(column)] = ExtraColumn(name, is_number)
    return extras


def _counts_up(values: "pd.Series[str]") -> bool:
    numbers = pd.to_numeric(values)
    return len(numbers) > 1 and bool((numbers.diff().dropna() == 1).all())


def extras_of(row: Mapping[Any, Any], columns: Extras) -> dict[str, float | str]:
    """Returns the further values of a row."""
    values = {extra.name: extra.value(row[column]) for column, extra in columns.items()}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class AnnotationTable:
    """A table or list of a dataset, all cells as text.

    Attributes:
        name: Path of the table in the tree.
        rows: The cells; columns of a list without a header are called `1`, `2` ...
        image: The column of images.
        header: Whether it has a header.
        bad_lines: Number of lines that are left out because they have too many fields.
        clips: Whether its rows named clips, whose frames have the rows now.
        problems: Why an image is not read, by cell of the column of images.
        notes: Assumptions, as sentences for the user.
    """

    name: str
    rows: pd.DataFrame
    image: str
    header: bool
    bad_lines: int = 0
    clips: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The table's folder."""
        return self.name.rpartition("/")[0]


def is_table_name(name: str) -> bool:
    """Whether a file may be a table or list, by its suffix."""
    plain_name = name.lower().removesuffix(".gz")
    return plain_name.endswith(TABLE_SUFFIXES)


def read_annotations(
    tree: FileTree, name: str, image: str | None, index: PictureIndex
) -> AnnotationTable | None:
    """Reads a table or list of images; None if the file is neither.

    Args:
        tree: The dataset's files.
        name: The file.
        image: The column of images, if the user named it.
        index: The dataset's images.

    Raises:
        DataError: If the named column is missing, or the file cannot be read.
    """
    rows, header, bad_lines = _read_cells(tree, name)
    if rows is None or rows.empty:
        return None
    rows = with_split_of_flags(with_label_of_columns(rows)) if header else rows
    if (frames := with_frames(rows, tree, header=header)) is not None:
        rows, header = frames, True
    column = (
        named_column(list(rows.columns), image, "image", name)
        if image is not None
        else _image_column(rows, index, name)
    )
    if column is None:
        return None
    return AnnotationTable(name, rows, column, header, bad_lines, clips=frames is not None)


def _read_cells(tree: FileTree, name: str) -> tuple[pd.DataFrame | None, bool, int]:
    """Returns a file's cells, whether it has a header, and the number of lines left out."""
    if name.lower().endswith(".parquet"):
        return read_picture_list(tree, name), True, 0
    head = tree.text(name, 2**16)
    lines = [line for line in head.splitlines() if line.strip()][:50]
    if not lines or "\0" in head:
        return None, False, 0
    if name.lower().endswith((".json", ".jsonl", ".ndjson")):
        read = json_rows if name.lower().endswith(".json") else json_line_rows
        return _of_records(read(tree.text(name, _MOST_BYTES))), True, 0
    separator = _separator(lines)
    if separator is None:
        return None, False, 0
    header = _has_header(lines, separator)
    rows, bad_lines = _read(tree.text(name, _MOST_BYTES), separator, header=header)
    if header and rows is not None:
        rows = _with_objects_expanded(rows)
    return rows, header, bad_lines


def with_label_of_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds a column of labels to a table with a column for each class or for each annotator.

    Columns of classes hold 0 and 1, as Roboflow and pandas' `get_dummies` write them, or votes;
    those of annotators hold class names or numbers. A row with no class, or with several, has no
    label; of votes the class has more than half. Votes are kept in columns `votes_<class>`.
    """
    columns = [column for column in rows.columns if emotion_of(str(column))]
    if usual_columns(list(map(str, rows.columns)), LABEL_COLUMNS):
        return rows
    if len(annotators := _annotators(rows)) > 1:
        return _with_counted_votes(rows, annotators)
    if len(columns) < 2:
        return rows
    cells = rows[columns].apply(lambda column: column.astype(str).str.strip().str.lower())
    if cells.isin((*_ZERO, *_ONE)).all(axis=None):
        chosen = cells.isin(_ONE)
        label = chosen.idxmax(axis=1).where(chosen.sum(axis=1) == 1, "")
        return rows.drop(columns=columns).assign(label=label)
    others = {column: _OTHER_CLASSES.get(plain(column), "") for column in rows.columns}
    others = {column: word for column, word in others.items() if word and _are_votes(rows[column])}
    if not all(_are_votes(rows[column]) for column in columns):
        return rows
    named = {column: f"{VOTES}{emotion_of(str(column)) or others[column]}"
             for column in rows.columns if column in {*columns, *others}}  # fmt: skip
    label = _majority(rows[list(named)].apply(pd.to_numeric))
    unsure = [column for column, word in others.items() if word in _UNSURE]
    return rows.rename(columns=named).assign(label=label.mask(label.isin(unsure), ""))


def _are_votes(cells: "pd.Series[Any]") -> bool:
    votes = pd.to_numeric(cells, errors="coerce")
    return bool(((votes >= 0) & (votes % 1 == 0)).all())


def _majority(votes: pd.DataFrame) -> "pd.Series[str]":
    if votes.empty:
        return pd.Series("", index=votes.index)
    return votes.idxmax(axis=1).where(2 * votes.max(axis=1) > votes.sum(axis=1), "")


def _annotators(rows: pd.DataFrame) -> list[str]:
    """Returns the columns of annotators, such as `rater2`, that hold class names or numbers."""
    columns = [name for name in rows.columns if names_annotator(name)]
    votes = {name: set(rows[name].map(vote_of)) - {""} for name in columns}
    return [
        name
        for name, cells in votes.items()
        if len(cells) <= MOST_VALUES
        and (
            any(map(emotion_of, cells))
            or (_NUMBERED_ANNOTATOR.fullmatch(_apart(name)) and _are_codes(cells))
        )
    ]


def names_annotator(name: object, *, whole: bool = False) -> bool:
    """Whether a name contains a word for an annotator, such as `rater2`, or is that word alone."""
    read = _ANNOTATOR.fullmatch if whole else _ANNOTATOR.search
    return read(_apart(name)) is not None


def _are_codes(cells: set[str]) -> bool:
    return bool(cells) and all(code_of(cell) is not None for cell in cells)


def vote_of(cell: object) -> str:
    """Returns the class that an annotator's cell names, as text; empty for none."""
    if is_unlabelled(cell):
        return ""
    code = code_of(str(cell))
    return str(code) if code is not None else emotion_of(str(cell)) or text_of(cell).lower()


def with_votes_of_rows(table: "AnnotationTable", label: str | None) -> "AnnotationTable":
    """Returns a table with one row per face, if it has a row for each annotator of a face.

    Its votes are kept in columns `votes_<class>`, and the label is the class with more than half
    of them. Columns whose values differ between the annotators of a face are left out.
    """
    rows, image = table.rows, table.image
    if label is None or not table.header:
        return table
    for annotator in rows.columns.difference([image, label], sort=False):
        if not _ONE_ANNOTATOR.fullmatch(_apart(annotator)):
            continue
        boxes = box_columns(rows, {plain(column): column for column in rows.columns})
        corners = [*boxes.names] if boxes else []
        face = [image]
        if rows.drop_duplicates([image, annotator, *corners]).duplicated([image, annotator]).any():
            face += corners  # pictures with several faces
        if rows.groupby(face)[annotator].nunique().max() > 1:
            voted = _votes_by_face(rows, face, annotator, label, corners)
            count = rows[annotator].nunique()
            note = f"{table.name} has a row for each of {count} annotators ({annotator})."
            return replace(table, rows=voted, notes=(*table.notes, note))
    return table


def _votes_by_face(
    rows: pd.DataFrame, face: list[str], annotator: str, label: str, corners: list[str]
) -> pd.DataFrame:
    """Returns one row per face; where annotators drew different boxes, the first box counts."""
    votes = rows.assign(vote=rows[label].map(vote_of)).drop_duplicates([*face, annotator, "vote"])
    counted = pd.crosstab([votes[column] for column in face], votes["vote"])
    counted = counted.drop(columns="", errors="ignore")
    values = dict(rows.groupby(face).nunique().max())
    same = [name for name, most in values.items() if most == 1 or name in corners]
    kept = [name for name in rows if name in {*face, *same} - {label}]
    one = rows[kept].groupby(face, sort=False).first()  # some columns are in one of two tables
    one = one.join(counted.astype(str).add_prefix(VOTES)).assign(**{label: _majority(counted)})
    return one.reset_index()


def _with_counted_votes(rows: pd.DataFrame, annotators: Sequence[str]) -> pd.DataFrame:
    named = rows[annotators].map(vote_of)
    classes = sorted({name for column in annotators for name in named[column]} - {""})
    votes = pd.DataFrame({name: (named == name).sum(axis=1) for name in classes})
    counted = votes.astype(str).add_prefix(VOTES)
    return rows.drop(columns=annotators).join(counted).assign(label=_majority(votes))


def votes_of(row: Mapping[Any, object]) -> dict[str, int]:
    """Returns the votes of a row by class; empty if it has no columns of votes."""
    cells = {str(name): cell for name, cell in row.items() if str(name).startswith(VOTES)}
    votes = {name.removeprefix(VOTES): code_of(str(cell)) for name, cell in cells.items()}
    return {name: count for name, count in votes.items() if count is not None}


def class_columns(table: pd.DataFrame) -> list[str]:
    """Returns the columns that are named after emotions, if there are several."""
    columns = [str(column) for column in table.columns if emotion_of(str(column))]
    return columns if len(columns) > 1 else []


def _of_records(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame | None:
    return pd.DataFrame(rows, dtype="str").fillna("") if rows else None


def _with_objects_expanded(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns a table whose cells that hold JSON objects are columns for their keys."""
    heads = rows.head(1).to_dict(orient="records")
    if not any(holds_objects(str(cell)) for row in heads for cell in row.values()):
        return rows
    cells = [{str(name): cell for name, cell in row.items()} for row in rows.to_dict("records")]
    table = _of_records([row for cell in cells for row in expanded(cell)])
    return rows if table is None else table


def _separator(lines: Sequence[str]) -> str | None:
    r"""Returns the separator of the fields: `,`, `;`, a tab, or blanks (`\s+`)."""
    for separator in ("\t", ",", ";"):
        if all(separator in line for line in lines):
            return separator
    if all(len(line.split()) >= 2 for line in lines):
        return r"\s+"
    return None


def _has_header(lines: Sequence[str], separator: str) -> bool:
    """Whether the first line is a header: it contains no image, code or box.

    pandas numbers the columns of a table without names: `0,1`.
    """
    cells = [cell.strip().strip('"') for cell in re.split(separator, lines[0])]
    numbered = cells == [str(number) for number in range(len(cells))]
    if numbered and len(lines) > 1 and any(map(is_image, re.split(separator, lines[1]))):
        return True
    if any(is_image(cell) or code_of(cell) is not None for cell in cells):
        return False
    names = {plain(cell) for cell in cells}
    known = names & {*IMAGE_COLUMNS, *LABEL_COLUMNS}
    return bool(known) or not any(emotion_of(cell) for cell in cells[1:])


def _cells(
    text: str, separator: str, header: bool, bad_lines: Literal["error", "skip"]
) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of lines that end with it
        return pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=0 if header else None,
            index_col=False,  # lines may end with a separator
            dtype="str",
            keep_default_na=False,
            skipinitialspace=True,
            engine="python" if len(separator) > 1 else "c",
            on_bad_lines=bad_lines,
        ).fillna("")  # of lines with too few fields


def _read(text: str, separator: str, *, header: bool) -> tuple[pd.DataFrame | None, int]:
    """Returns the cells, and the number of lines that have too many fields."""
    bad_lines = 0
    try:
        rows = _cells(text, separator, header, "error")
    except (ValueError, pd.errors.ParserError):
        try:
            rows = _cells(text, separator, header, "skip")
        except (ValueError, pd.errors.ParserError):
            return None, 0
        lines = sum(bool(line.strip()) for line in text.splitlines())
        bad_lines = max(0, lines - header - len(rows))
    names = [str(column).strip() for column in rows.columns]
    rows.columns = pd.Index(
        names if header else [str(number + 1) for number in range(len(names))]
    )  # fmt: skip
    return rows, bad_lines


def _image_column(rows: pd.DataFrame, index: PictureIndex, name: str) -> str | None:
    """Returns the column whose cells name images, or one with a usual name.

    Raises:
        DataError: If several columns name different pictures.
    """
    folder = name.rpartition("/")[0]
    heads = {str(column): _spread(rows[column]) for column in rows.columns}
    by_suffix = {
        column: [index.find(cell, folder) for cell in cells]
        for column, cells in heads.items()
        if sum(is_image(cell) for cell in cells) * 2 >= len(cells)
    }
    if by_suffix:
        present = {column: names for column, names in by_suffix.items() if any(names)} or by_suffix
        _check_same(present, name)
        return next(iter(present))
    for column in rows.columns:  # names without suffixes
        head = rows[column].head(10)
        if len(head) and all(index.find(cell, folder) for cell in head):
            return str(column)
    named = usual_columns([str(column) for column in rows.columns], IMAGE_COLUMNS)
    return named[0] if named else None


def _spread(cells: "pd.Series[str]") -> list[str]:
    """Returns up to about 50 cells, evenly spaced over the column."""
    return [str(cell) for cell in cells.iloc[:: max(1, len(cells) // 50)]]


def _check_same(pictures: Mapping[str, Sequence[str | None]], name: str) -> None:
    first, *others = pictures
    for other in others:
        pairs = zip(pictures[first], pictures[other], strict=True)
        if any(a != b for a, b in pairs if a is not None and b is not None):
            raise DataError(
                f"The columns {first} and {other} of {name} name different pictures. Choose one "
                f"with --image: --image {first}, or --image {other}."
            )
