"""Images with annotation tables: csv, `metadata.csv`, lists of path and label."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from fer_core.data.sources.annotator_tables import with_votes_of_tables
from fer_core.data.sources.base import NO_MAJORITY, Origin, Skipped, Split
from fer_core.data.sources.box_columns import box_columns
from fer_core.data.sources.class_names import ClassNames, code_of, emotion_of, with_voted_codes
from fer_core.data.sources.files import Box, ImageFile, ImageFiles, ShareBox, is_image, need_tree
from fer_core.data.sources.frame_lists import frame_table
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.shards import beside_table
from fer_core.data.sources.split_names import require_known, split_in, split_of, split_of_path
from fer_core.data.sources.tables import (
    MAJORITY_NOTE,
    NO_LABEL,
    AnnotationTable,
    Columns,
    class_columns,
    extra_columns,
    extras_of,
    group_column,
    group_notes,
    is_table_name,
    is_unlabelled,
    label_column,
    named_column,
    plain,
    read_annotations,
    split_column,
    text_of,
    votes_of,
)
from fer_core.data.sources.tree import FileTree, is_archive, open_tree, printable
from fer_core.data.sources.xml_tables import xml_table
from fer_core.errors import DataError

MOST_TABLES = 40
"""Maximum number of tables in a folder; a folder with one text file per image has no tables."""

LAYOUT = "Give a list with path and label, one picture a line, beside the pictures"

_AFFECTNET_COLUMNS = frozenset({"pth", "label", "relfcs"})


class AnnotatedSource(ImageFiles):
    """Images labelled by tables.

    A row's split comes from its split column, else from the name of its table (`test_labels.csv`),
    else from the split folder of its image. Rows without a label, and pictures that are missing or
    listed twice with different labels, are skipped. Columns of persons or recordings are groups;
    the others become slices. If images are in class folders, the folder's class is kept as the
    second label.

    Args:
        location: The folder or archive, or one table in it.
        names: Interpretation of class names.
        columns: Columns named by the user.
        tables: The tables; by default they are searched for.

    Attributes:
        left_out: Number of images that are left out unread, by reason.
        notes: Assumptions of the reader.
        disagreeing: Number of images whose folder names another class than the table.

    Raises:
        DataError: If there is no table or it lacks a column, a label's meaning is unknown, or two
            tables contradict each other.
    """

    def __init__(
        self,
        location: Path | FileTree,
        names: ClassNames | None = None,
        columns: Columns | None = None,
        tables: Sequence[AnnotationTable] | None = None,
    ) -> None:
        columns = columns or Columns()
        tree, named = _opened(location)
        tables = tables or find_tables(tree, columns, named)
        if not tables:
            raise DataError(f"{location} holds no table or list of pictures. {LAYOUT}.")
        self._tables = tables
        self.is_affectnet = is_affectnet_table(tables[0])
        names = names or ClassNames()
        if self.is_affectnet:
            names = replace(names, left_out=AFFECTNET_LEFT_OUT)
        self.notes: list[str] = []
        rows = list(_rows(tree, tables, columns))
        self._note_tables(tree, tables, rows)
        self._note_groups(tables, columns)
        items = self._labelled(tree, rows, names)
        super().__init__(tree, [*items, *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Named after the folder; the licence is unknown."""
        if self.is_affectnet:
            return AFFECTNET_ORIGIN
        return Origin(
            name="list",
            title=self._tree.title,
            licence="Not known to FERscope: see where the images come from.",
            reference="",
        )

    def _labelled(
        self, tree: FileTree, rows: Sequence["_Row"], names: ClassNames
    ) -> Iterator[ImageFile | Skipped]:
        counts = Counter(row.label for row in rows if not row.problem)
        voted = {name for row in rows for name in row.votes}
        if not counts:
            problem = Counter(row.problem for row in rows).most_common(1)[0][0]
            raise DataError(
                f"{self._tables[0].name} in {tree.shown} gives no picture with a label "
                f"({problem}). {LAYOUT}{_or_folders(tree, names)}."
            )
        where = f"{self._tables[0].name} in {tree.shown}"
        reading = names.read(with_voted_codes(counts, voted), where)
        self.left_out = Counter(reading.left_out(counts))
        self.notes += reading.notes
        self._compare(rows, reading.labels, names)
        faces = Counter(row.name for row in rows)
        before: Counter[str] = Counter()
        for row in rows:
            key = printable(row.name)
            several = faces[row.name] > 1 and row.face != (row.name, None, None)
            if several:
                key, before[row.name] = f"{key}#{before[row.name]}", before[row.name] + 1
            votes = reading.named_votes(row.votes)
            if row.problem == NO_MAJORITY:
                file = ImageFile(row.name, key, None, row.split, NO_MAJORITY, votes=votes)
                yield replace(file, box=row.box, share_box=row.share_box)
            elif row.problem:
                yield Skipped(key, row.problem)
            elif label := reading.labels[row.label]:
                yield ImageFile(
                    row.name,
                    key,
                    label,
                    row.split,
                    second_label=_folder_class(row.name, names),
                    group=row.group or (printable(row.name) if several else None),
                    extras=row.extras,
                    box=row.box,
                    share_box=row.share_box,
                    votes=votes,
                )

    def _compare(
        self, rows: Sequence["_Row"], labels: Mapping[str, str], names: ClassNames
    ) -> None:
        """Counts disagreements between tables and class folders."""
        compared = [
            (folder, labels[row.label])
            for row in rows
            if not row.problem
            and labels[row.label]
            and (folder := _folder_class(row.name, names)) is not None
        ]
        self.disagreeing = sum(folder != label for folder, label in compared)
        if self.disagreeing:
            self.notes.append(
                f"For {self.disagreeing:,} of {len(compared):,} pictures the table names another "
                "class than their folder. The table's label is used; the folder's class is kept as "
                "the second label (--annotation folder uses the folders instead)."
            )
        elif compared:
            self.notes.append("The class folders agree.")

    def _note_tables(
        self, tree: FileTree, tables: Sequence[AnnotationTable], rows: Sequence["_Row"]
    ) -> None:
        listed = {row.name for row in rows}
        unlisted = sum(is_image(name) and name not in listed for name in tree.files)
        shown = ", ".join(table.name for table in tables[:4])
        self.notes.append(f"Labels are read from {shown}{' ...' if len(tables) > 4 else ''}.")
        if any(row.votes for row in rows):
            self.notes.append(MAJORITY_NOTE)
        self.notes += [
            f"Not read: {table.bad_lines:,} lines of {table.name} with too many fields. A name "
            "that contains the separator must be in quotes."
            for table in tables
            if table.bad_lines
        ]
        self.notes += [note for table in tables for note in (*table.notes, *_box_notes(table))]
        if unlisted:
            self.notes.append(f"Not read: {unlisted:,} pictures that no table lists.")
        read = {table.name for table in tables}
        names = filter(is_table_name, tree.files)
        for name in sorted(name for name in names if _holds_predictions(name) and name not in read):
            self.notes.append(f"Not read: {name}, which holds predictions by its name.")

    def _note_groups(self, tables: Sequence[AnnotationTable], columns: Columns) -> None:
        noted = [
            note
            for table in tables
            for note in group_notes(_roles(table, columns).group, columns.group)
        ]
        self.notes += dict.fromkeys(noted)


@dataclass(frozen=True)
class _Row:
    """A row of a table: an image's name, or why it is skipped."""

    name: str
    label: str
    split: Split | None = None
    group: str | None = None
    extras: Mapping[str, float | str] = field(default_factory=dict)
    problem: str = ""
    box: Box | None = None
    share_box: ShareBox | None = None
    votes: Mapping[str, int] = field(default_factory=dict)

    @property
    def face(self) -> tuple[object, ...]:
        """The picture, and the face in it if the table has boxes: what rows must agree about."""
        return (self.name, self.box, self.share_box)


def _opened(location: Path | FileTree) -> tuple[FileTree, str | None]:
    """Returns the tree, and the name of the table in it if a file was given."""
    if isinstance(location, Path) and location.is_file() and not is_archive(location):
        return open_tree(location.parent), location.name
    return need_tree(location, LAYOUT), None


def is_affectnet_table(table: AnnotationTable) -> bool:
    """Whether a table is `labels.csv` of AffectNet on Kaggle: `pth,label,relFCs`."""
    return {plain(column) for column in table.rows.columns} >= _AFFECTNET_COLUMNS


def find_tables(
    tree: FileTree, columns: Columns | None = None, named: str | None = None
) -> list[AnnotationTable]:
    """Returns the tables of a tree that list its images with labels.

    Args:
        tree: The dataset's files.
        columns: Columns named by the user.
        named: The only file to read; then errors name its problem.

    Raises:
        DataError: If the named file is not such a table.
    """
    columns = columns or Columns()
    index = PictureIndex(tree)
    read = []
    for name in [named] if named else _candidates(tree):
        table = _read_named(tree, name, columns.image if named else None, index)
        if table is None:
            if named:
                raise DataError(f"{name} is not a table or list of images. {LAYOUT}.")
            continue
        if not _names_a_picture(table, index):
            if named:
                first = table.rows[table.image].iloc[0]
                raise DataError(
                    f"{name} names no picture beside it, such as {first!r}. Give the folder "
                    "that holds both, or name the column of pictures with --image."
                )
            continue
        label = _label(table, columns, ask=False)
        if named or label is not None:
            read.append((table, label))
    tables = with_votes_of_tables(read)
    if named or any(table.header for table in tables):
        return tables
    for table in _gathered(tree, index, only_xml=bool(tables)):
        if _names_a_picture(table, index) and _label(table, columns, ask=False) is not None:
            return [table]
    return tables


def _read_named(
    tree: FileTree, name: str, image: str | None, index: PictureIndex
) -> AnnotationTable | None:
    if name.lower().endswith(".xml"):
        return xml_table(tree, index, name)
    return read_annotations(tree, name, image, index)


def _gathered(tree: FileTree, index: PictureIndex, *, only_xml: bool) -> Iterator[AnnotationTable]:
    """Yields tables of labels that are in many files.

    XML goes before lists without a header: PASCAL VOC has one for each class, of 1 and -1.
    """
    if (table := xml_table(tree, index)) is not None:
        yield table
    for read in () if only_xml else (frame_table, beside_table):
        if (table := read(tree)) is not None:
            yield table


def _read_quietly(tree: FileTree, name: str, index: PictureIndex) -> AnnotationTable | None:
    with suppress(DataError):  # its labels are not wanted
        return read_annotations(tree, name, None, index)
    return None


@dataclass(frozen=True)
class RowFacts:
    """Splits and persons in the tables of a tree, by picture, and the tables that gave them."""

    splits: Mapping[str, Split]
    split_tables: Sequence[str]
    groups: Mapping[str, str]
    group_tables: Sequence[str]


def row_facts(tree: FileTree, *, with_splits: bool) -> RowFacts:
    """Reads persons, and splits on request, from the tables of a tree, with labels or without.

    A picture to which two rows give different splits has none.
    """
    index = PictureIndex(tree)
    splits: dict[str, set[Split]] = {}
    groups: dict[str, str] = {}
    split_tables, group_tables = [], []
    for name in _candidates(tree):
        table = _read_quietly(tree, name, index)
        if table is None or not table.header:
            continue
        others = table.rows.drop(columns=table.image)
        split = split_column(others, None, name) if with_splits else None
        group = group_column(others, None, name, (split,))
        if split is None and group is None:
            continue
        given = _splits(table.rows[split], name) if split else {}
        found = index.find_all(list(table.rows[table.image]), table.folder, [None] * len(others))
        for number, picture in enumerate(found):
            row = others.iloc[number]
            if picture and split and (known := given.get(row[split])):
                splits.setdefault(picture, set()).add(known)
            if picture and group and not is_unlabelled(row[group]):
                groups.setdefault(picture, str(row[group]))
        split_tables += [name] * (split is not None)
        group_tables += [name] * (group is not None)
    single = {picture: next(iter(of)) for picture, of in splits.items() if len(of) == 1}
    return RowFacts(single, split_tables, groups, group_tables)


def _names_a_picture(table: AnnotationTable, index: PictureIndex) -> bool:
    return any(index.candidates(cell, table.folder) for cell in table.rows[table.image])


def _holds_predictions(name: str) -> bool:
    """Whether a table is named as one of predictions, such as `sample_submission.csv`."""
    return re.search(r"submission|prediction", PurePosixPath(name).name.lower()) is not None


def _candidates(tree: FileTree) -> list[str]:
    names = [name for name in tree.files if is_table_name(name) and not _holds_predictions(name)]
    by_folder = Counter(name.rpartition("/")[0] for name in names)
    return [name for name in names if by_folder[name.rpartition("/")[0]] <= MOST_TABLES]


def _label(table: AnnotationTable, columns: Columns, *, ask: bool) -> str | None:
    """Returns the column of labels; optionally asks for it if none is recognised."""
    rows = table.rows.drop(columns=table.image)
    if not table.header and (split := split_column(rows, columns.split_column, table.name)):
        rows = rows.drop(columns=split)
    name = columns.label
    if name is not None and not ask and all(plain(c) != plain(name) for c in rows.columns):
        return None
    if table.header:
        column = label_column(rows, name, table.name) if ask or name else _any_label(rows)
        if column is not None:
            return column
    elif name is not None:
        return named_column(list(rows.columns), name, "label", table.name)
    elif len(rows.columns) == 1:
        return str(rows.columns[0])
    emotions = [column for column in rows.columns if _are_emotions(rows[column])]
    if len(emotions) == 1:
        return str(emotions[0])
    if not ask:
        return None
    raise DataError(
        f"{table.name} has no column that is known to hold labels; its columns are "
        f"{', '.join(map(str, table.rows.columns))}. {_label_remedy(class_columns(rows), emotions)}"
    )


def _label_remedy(shares: Sequence[str], emotions: Sequence[str]) -> str:
    """Returns what to do with columns named after emotions, or with several that hold them."""
    if shares:
        return (
            f"The columns {', '.join(shares[:3])} ... hold neither a single 1 in each row nor "
            "votes: add a column label with the class of each row."
        )
    if emotions:
        return "Name it with --label, or call those of annotators annotator_1, annotator_2 ..."
    return "Name it with --label."


def _any_label(rows: pd.DataFrame) -> str | None:
    try:
        return label_column(rows, None, "")
    except DataError:  # requested when the table is read
        return str(rows.columns[0])


def _are_emotions(values: "pd.Series[str]") -> bool:
    names = values[~values.map(is_unlabelled)].unique()
    return 1 < len(names) <= 12 and all(emotion_of(str(name)) for name in names)


def _rows(tree: FileTree, tables: Sequence[AnnotationTable], columns: Columns) -> Iterator[_Row]:
    """Yields the rows of the tables; a face that is listed with two labels or splits is skipped."""
    index = PictureIndex(tree)
    rows: list[_Row] = []
    table_of: dict[tuple[object, ...], str] = {}
    number_of: dict[tuple[object, ...], int] = {}
    conflicts: Counter[tuple[str, str]] = Counter()
    for table in tables:
        for row in _table_rows(index, table, columns):
            number = None if row.problem else number_of.get(row.face)
            if number is None:
                if not row.problem:
                    number_of[row.face], table_of[row.face] = len(rows), table.name
                rows.append(row)
                continue
            if not rows[number].problem and rows[number].label != row.label:
                conflicts[table_of[row.face], table.name] += 1
            rows[number] = _merged(rows[number], row)
    for (first, second), count in conflicts.items():
        if first != second:
            raise DataError(
                f"{first} and {second} in {tree.shown} list the same pictures and differ for "
                f"{count:,} of them. Give the path of one of them ({tree.shown}/{first}), or move "
                "the other away. If each is of another annotator, call them annotator_1.csv, "
                "annotator_2.csv ... in one folder, with the same header."
            )
    yield from rows


_TWICE = (
    "It is listed twice, with different labels. If these are votes of several annotators, add a "
    "column annotator."
)


def _merged(first: _Row, other: _Row) -> _Row:
    """Returns one row of two that list the same face; a known split completes an unknown one."""
    if first.label != other.label:
        return replace(first, problem=_TWICE)
    if None not in (first.split, other.split) and first.split != other.split:
        return replace(first, problem="It is listed twice, in different splits.")
    return replace(first, split=first.split or other.split)


class _Roles(NamedTuple):
    """Columns of a table."""

    label: str | None
    split: str | None
    group: str | None


def _roles(table: AnnotationTable, columns: Columns) -> _Roles:
    rows = table.rows
    label = _label(table, columns, ask=True)
    split = split_column(rows.drop(columns=[table.image, label]), columns.split_column, table.name)
    used = (table.image, label, split)
    return _Roles(label, split, group_column(rows, columns.group, table.name, used))


def _table_rows(index: PictureIndex, table: AnnotationTable, columns: Columns) -> Iterator[_Row]:
    rows = table.rows
    label, split, group = _roles(table, columns)
    boxes = box_columns(rows, {plain(column): column for column in rows.columns})
    used = (table.image, label, split, *(boxes.names if boxes else ()))
    extras = extra_columns(rows, used) if table.header else {}
    splits = _row_splits(table, split)
    folder_split = split_of(PurePosixPath(table.folder).name.partition("split=")[2])
    cells = rows.to_dict(orient="list")
    names = index.find_all(cells[table.image], table.folder, splits)
    for number, (cell, name) in enumerate(zip(cells[table.image], names, strict=True)):
        values = {str(column): cells[column][number] for column in cells}
        problem = NO_LABEL if is_unlabelled(cells[label][number]) else ""
        if name is None:
            problem = f"{table.name} names it, but there is no such picture, or several."
        problem = table.problems.get(cell, problem)
        person = cells[group][number] if group else None
        box, share_box = boxes.of(values) if boxes else (None, None)
        votes = votes_of(values) if table.header else {}
        if problem == NO_LABEL and sum(votes.values()) > 0:
            problem = NO_MAJORITY
        yield _Row(
            name or cell,
            text_of(cells[label][number]),
            splits[number] or (None if split else split_of_path(name or "") or folder_split),
            None if is_unlabelled(person) else str(person),
            extras_of(values, extras),
            problem,
            box,
            share_box,
            votes,
        )


def _box_notes(table: AnnotationTable) -> list[str]:
    boxes = box_columns(table.rows, {plain(column): column for column in table.rows.columns})
    if boxes is None:
        return []
    last = "width, height" if boxes.sizes else "right, bottom"
    return [
        f"Faces are cropped to the boxes of {table.name}: left, top, {last} are the columns "
        f"{', '.join(boxes.names)}."
    ]


def _row_splits(table: AnnotationTable, column: str | None) -> list[Split | None]:
    """Returns the split of each row: by its column, else by the table's name (`test.csv`)."""
    if column is None:
        by_name = split_in(PurePosixPath(table.name).name.partition(".")[0])
        return [by_name] * len(table.rows)
    values = table.rows[column]
    splits = _splits(values, table.name)
    return [splits.get(value) for value in values]


def _splits(values: "pd.Series[str]", where: str) -> dict[str, Split]:
    return require_known([str(v) for v in values.unique() if str(v).strip()], where)


def _folder_class(name: str, names: ClassNames) -> str | None:
    """Returns the class of an image's folder, if the folder is named after an emotion."""
    folder = PurePosixPath(name).parent.name
    return None if code_of(folder) is not None else emotion_of(folder)


def _or_folders(tree: FileTree, names: ClassNames) -> str:
    """Returns a further way out if pictures are in class folders."""
    in_folders = any(is_image(name) and _folder_class(name, names) for name in tree.files)
    return ", or read the class folders with --annotation folder" if in_folders else ""


@dataclass(frozen=True)
class TableComparison:
    """Agreement of tables and class folders.

    Attributes:
        same: Number of images for which both agree.
        different: Number of images for which they differ.
        unlisted: Number of images in class folders that no table lists.
    """

    same: int
    different: int
    unlisted: int


def compare_tables(
    tree: FileTree, tables: Sequence[AnnotationTable], columns: Columns
) -> TableComparison:
    """Compares the labels of tables with the names of the folders; numbers with numbers."""
    same = different = 0
    listed = set()
    for row in _rows(tree, tables, columns):
        folder = PurePosixPath(row.name).parent.name
        listed.add(row.name)
        pairs = ((code_of(folder), code_of(row.label)), (emotion_of(folder), emotion_of(row.label)))
        comparable = [pair for pair in pairs if None not in pair]
        if not row.problem and comparable:
            agree = comparable[0][0] == comparable[0][1]
            same, different = same + agree, different + (not agree)
    unlisted = sum(is_image(name) and name not in listed for name in tree.files)
    return TableComparison(same, different, unlisted)


def table_counts(tree: FileTree, tables: Sequence[AnnotationTable], columns: Columns) -> str:
    """Returns the number of images by label in the tables."""
    counts = Counter(row.label for row in _rows(tree, tables, columns) if not row.problem)
    return ", ".join(f"{label} {count:,}" for label, count in sorted(counts.items())[:12])


def ask_for_labels(tree: FileTree, columns: Columns) -> None:
    """Asks for the column of labels if a table lists images, but its label column is unknown.

    Raises:
        DataError: If there is such a table; lists its columns.
    """
    index = PictureIndex(tree)
    for name in _candidates(tree):
        table = read_annotations(tree, name, None, index)
        if table is not None and _names_a_picture(table, index):
            _label(table, columns, ask=True)
    if (table := beside_table(tree)) is not None:
        _label(table, columns, ask=True)


def unused_tables(tree: FileTree) -> list[str]:
    """Returns notes on tables that are not read."""
    names = _candidates(tree)
    names = [name for name in names if name.lower().endswith((".csv", ".tsv", ".jsonl", ".lst"))]
    if not names:
        return []
    more = len(names) - 4
    shown = ", ".join(names[:4]) + (f" and {more} more" if more > 0 else "")
    return [f"Not read: {shown} (no labels of these pictures)."]


AFFECTNET_LEFT_OUT = frozenset({"contempt", "none", "uncertain", "not_a_face"})
AFFECTNET_ORIGIN = Origin(
    name="affectnet",
    title="AffectNet, seven emotions",
    licence="Images: non-commercial research, on request from the authors.",
    reference="arXiv:1708.03985",
)
