"""Images with annotation tables: csv, `metadata.csv`, lists of path and label."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.class_names import ClassNames, code_of, emotion_of
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.split_names import require_known, split_in, split_of_path
from fer_core.data.sources.tables import (
    NO_LABEL,
    AnnotationTable,
    Columns,
    PictureIndex,
    extra_columns,
    extras_of,
    group_column,
    is_table_name,
    is_unlabelled,
    label_column,
    named_column,
    plain,
    read_annotations,
    split_column,
    text_of,
)
from fer_core.data.sources.tree import FileTree, is_archive, open_tree, printable
from fer_core.errors import DataError

MOST_TABLES = 40
"""Maximum number of tables in a folder; a folder with one text file per image has no tables."""

LAYOUT = "Give a list with path and label, one picture a line, beside the pictures"

_AFFECTNET_COLUMNS = frozenset({"pth", "label", "relfcs"})


class AnnotatedSource(ImageFiles):
    """Images labelled by tables.

    A row's split comes from its split column, else from the name of its table (`test_labels.csv`),
    else from the split folder of its image. Rows without a label, and pictures that are missing or
    listed twice with different labels, are skipped. Columns of persons are groups; the others
    become slices. If images are in class folders, the folder's class is kept as the second label.

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
        if not counts:
            problem = Counter(row.problem for row in rows).most_common(1)[0][0]
            raise DataError(
                f"{self._tables[0].name} in {tree.shown} gives no picture with a label "
                f"({problem}). {LAYOUT}."
            )
        reading = names.read(counts, f"{self._tables[0].name} in {tree.shown}")
        self.left_out = Counter(reading.left_out(counts))
        self.notes += reading.notes
        self._compare(rows, reading.labels, names)
        for row in rows:
            if row.problem:
                yield Skipped(printable(row.name), row.problem)
            elif label := reading.labels[row.label]:
                folder = _folder_class(row.name, names)
                yield ImageFile(
                    row.name,
                    printable(row.name),
                    label,
                    row.split,
                    second_label=folder,
                    group=row.group,
                    extras=row.extras,
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
        if unlisted:
            self.notes.append(f"Not read: {unlisted:,} pictures that no table lists.")


@dataclass(frozen=True)
class _Row:
    """A row of a table: an image's name, or why it is skipped."""

    name: str
    label: str
    split: Split | None = None
    group: str | None = None
    extras: Mapping[str, float | str] = field(default_factory=dict)
    problem: str = ""


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
    tables = []
    for name in [named] if named else _candidates(tree):
        table = read_annotations(tree, name, columns.image if named else None, index)
        if table is None:
            if named:
                raise DataError(f"{name} is not a table or list of images. {LAYOUT}.")
            continue
        head = table.rows[table.image].head(50)
        if not any(index.find(cell, table.folder) for cell in head):
            if named:
                raise DataError(
                    f"{name} names no picture beside it, {head.iloc[0]!r} for one. Give the folder "
                    "that holds both, or name the column of pictures with --image."
                )
            continue
        if named or _label(table, columns, ask=False) is not None:
            tables.append(table)
    return tables


def _candidates(tree: FileTree) -> list[str]:
    names = [name for name in tree.files if is_table_name(name)]
    by_folder = Counter(name.rpartition("/")[0] for name in names)
    return [name for name in names if by_folder[name.rpartition("/")[0]] <= MOST_TABLES]


def _label(table: AnnotationTable, columns: Columns, *, ask: bool) -> str | None:
    """Returns the column of labels; optionally asks for it if none is recognised."""
    rows = table.rows.drop(columns=table.image)
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
        f"{', '.join(map(str, table.rows.columns))}. Name it with --label."
    )


def _any_label(rows: pd.DataFrame) -> str | None:
    try:
        return label_column(rows, None, "")
    except DataError:  # requested when the table is read
        return str(rows.columns[0])


def _are_emotions(values: "pd.Series[str]") -> bool:
    names = values[~values.map(is_unlabelled)].unique()
    return 1 < len(names) <= 12 and all(emotion_of(str(name)) for name in names)


def _rows(tree: FileTree, tables: Sequence[AnnotationTable], columns: Columns) -> Iterator[_Row]:
    """Yields the rows of the tables; images that are listed with two labels are skipped."""
    index = PictureIndex(tree)
    seen: dict[str, str] = {}
    table_of: dict[str, str] = {}
    conflicts: Counter[tuple[str, str]] = Counter()
    rows: list[_Row] = []
    for table in tables:
        for row in _table_rows(index, table, columns):
            if row.problem or row.name not in seen:
                rows.append(row)
                if not row.problem:
                    seen[row.name] = row.label
                    table_of[row.name] = table.name
            elif seen[row.name] != row.label:
                conflicts[table_of[row.name], table.name] += 1
                seen[row.name] = "\0"
    for (first, second), count in conflicts.items():
        if first != second:
            raise DataError(
                f"{first} and {second} in {tree.shown} list the same pictures and differ for "
                f"{count:,} of them. Give the path of one of them: {tree.shown}/{first}."
            )
    twice = "It is listed twice, with different labels."
    for row in rows:
        conflict = not row.problem and seen[row.name] == "\0"
        yield replace(row, problem=twice) if conflict else row


def _table_rows(index: PictureIndex, table: AnnotationTable, columns: Columns) -> Iterator[_Row]:
    rows = table.rows
    label = _label(table, columns, ask=True)
    split = split_column(rows, columns.split_column, table.name) if table.header else None
    group = group_column(list(rows.columns), columns.group, table.name)
    splits = _splits(rows[split], table.name) if split else {}
    extras = extra_columns(rows, (table.image, label, split)) if table.header else {}
    by_name = split_in(PurePosixPath(table.name).name.partition(".")[0])
    cells = rows.to_dict(orient="list")
    for number, cell in enumerate(cells[table.image]):
        name = index.find(cell, table.folder)
        value = cells[label][number]
        problem = NO_LABEL if is_unlabelled(value) else ""
        if name is None:
            problem = f"{table.name} names it, but there is no such picture, or several."
        person = cells[group][number] if group else None
        row_split = (
            splits.get(cells[split][number]) if split else by_name or split_of_path(name or "")
        )
        yield _Row(
            name or cell,
            text_of(value),
            row_split,
            None if is_unlabelled(person) else str(person),
            extras_of({column: cells[column][number] for column in extras}, extras),
            problem,
        )


def _splits(values: "pd.Series[str]", where: str) -> dict[str, Split]:
    return require_known([str(v) for v in values.unique() if str(v).strip()], where)


def _folder_class(name: str, names: ClassNames) -> str | None:
    """Returns the class of an image's folder, if the folder is named after an emotion."""
    folder = PurePosixPath(name).parent.name
    return None if code_of(folder) is not None else emotion_of(folder)


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
        if table is not None and any(
            index.find(cell, table.folder) for cell in table.rows[table.image].head(50)
        ):
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
