"""The pictures of a set to which runs are transferred: labelled, partly labelled or not at all.

The readers of `prepare` find and name the labels, and never guess them. Pictures of the same folder
or archive that no label belongs to are kept without one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_core.csv_text import exported_text
from fer_core.data.imaging import open_picture
from fer_core.data.prepared import PreparedDataset
from fer_core.data.set_groups import (
    FOLDER,
    any_folders,
    folders_note,
    name_emotions,
    person_folders,
)
from fer_core.data.sources.base import Origin, Sample, Skipped, entries_of
from fer_core.data.sources.class_folders import find_class_folders
from fer_core.data.sources.class_names import ClassNames, emotion_of, shown_names
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image
from fer_core.data.sources.formats import OpenedSource, open_dataset
from fer_core.data.sources.recognise import locate
from fer_core.data.sources.tables import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    Columns,
    group_column,
    is_unlabelled,
    named_column,
    text_of,
    usual_columns,
)
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError
from fer_core.labels import LabelSet

UNKNOWN_LICENCE = "Not known to FERscope: see where the images come from."
ANNOTATOR = "annotator"


@dataclass(frozen=True)
class SetPicture:
    """A picture of a set, not read yet.

    Attributes:
        key: Name of the picture in the set.
        label: Class by the set's own name; None without one.
        read: Returns its bytes, or the picture itself if it is not a file.
        cropped: Whether it is a cropped face, whatever the user says about the set.
        crop: Cuts the face out, where the set has boxes.
        box: What `crop` depends on.
    """

    key: str
    label: str | None
    read: Callable[[], bytes | Image.Image]
    cropped: bool = False
    crop: Callable[[Image.Image], Image.Image] | None = None
    box: object = None

    def open(self, content: bytes | Image.Image) -> Image.Image:
        """Returns the upright RGB picture.

        Raises:
            ImageError: If it cannot be decoded.
        """
        name = printable(PurePosixPath(self.key).name)
        picture = content if isinstance(content, Image.Image) else open_picture(content, name)
        return picture if self.crop is None else self.crop(picture)


@dataclass(frozen=True)
class PictureSet:
    """A set of pictures.

    Attributes:
        origin: Name, licence and reference.
        length: Number of items.
        items: Yields the pictures, and files that cannot be read, in a fixed order.
        classes: Number of pictures by class name of the set.
        notes: Sentences for the user on what the reader assumed.
        left_out: Number of pictures that are not in the set, by reason.
        tree: The folder or archive; None for other sources.
        groups: Person or source by key of the picture, where the set names them.
    """

    origin: Origin
    length: int
    items: Callable[[], Iterator[SetPicture | Skipped]]
    classes: Mapping[str, int]
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    tree: FileTree | None = None
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetOptions:
    """The user's options for a set.

    Attributes:
        labels: A csv of labels; None to use those that the set has.
        unlabelled: Whether to ignore all labels.
        split: The split to use; None for `test` of a prepared data set, and for all pictures of
            others.
        form: Format of the set, one of `FORMATS`; recognised by default.
        mapping: Class of the benchmark by the set's class; an empty one leaves the class out.
        reader: Further options of the reader, by name.
    """

    labels: Path | None = None
    unlabelled: bool = False
    split: str | None = None
    form: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    reader: Mapping[str, Any] = field(default_factory=dict)


def open_set(path: str, prepared: Path | None, options: SetOptions) -> PictureSet:
    """Opens a prepared data set, a folder, an archive, or any data set that `prepare` reads.

    Args:
        path: Path of the set, or the name of a prepared data set.
        prepared: Folder of the prepared data set of that name; None if there is none.
        options: The user's options for the set.

    Raises:
        DataError: If it does not exist, has no picture, or its labels are not clear.
    """
    if prepared is not None and not Path(path).exists():
        return _of_prepared(PreparedDataset.open(prepared), options)
    if options.unlabelled or options.labels is not None:
        pictures = _without_labels(locate(path).tree, path)
        if options.labels is not None:
            return _with_table(pictures, options.labels, options)
        return _with_folders(pictures, options.reader.get("group"))
    try:
        opened = open_dataset(path, options.form, mapping=options.mapping, options=options.reader)
    except DataError as error:
        if Path(path).is_file() and not path.lower().endswith(".zip"):
            raise
        return _instead_of_classes(locate(path).tree, path, options, error)
    return _of_reader(opened, options)


def _instead_of_classes(
    tree: FileTree, path: str, options: SetOptions, error: DataError
) -> PictureSet:
    """Returns the pictures of a folder or archive that no reader can read, without labels.

    Raises:
        DataError: If it may have labels; the reader's error, and that they can be ignored.
    """
    names = [name for name in tree.files if is_image(name)]
    if options.form is not None or _tables_beside(tree) or name_emotions(names):
        raise error
    if person_folders(names):
        pictures = _without_labels(tree, path)
        note = "No folder is named after an emotion, so the pictures have no labels."
        return _with_folders(replace(pictures, notes=(note,)), options.reader.get("group"))
    if find_class_folders(tree):
        raise DataError(
            f"{error} If the pictures have no labels, pass --unlabelled; if the folders are "
            "persons, also --group folder."
        ) from error
    return _with_folders(_without_labels(tree, path), options.reader.get("group"))


def mapped_to(pictures: PictureSet, labels: LabelSet, mapping: Mapping[str, str]) -> dict[str, str]:
    """Returns the benchmark's class of each class of a set; empty for classes that it lacks.

    Args:
        pictures: The set.
        labels: The benchmark's classes.
        mapping: Class of the benchmark by the set's class, from the user.

    Raises:
        DataError: If the set has labels and none is a class of the benchmark, or all are of one
            class, or the mapping names an unknown class.
    """
    plain = {name.strip().lower(): target.strip().lower() for name, target in mapping.items()}
    if wrong := {target for target in plain.values() if target} - set(labels.names):
        raise DataError(
            f"--map-class names the class {sorted(wrong)[0]!r}, which the benchmark does not have. "
            f"Its classes are {', '.join(labels.names)}."
        )
    classes = {}
    for name in pictures.classes:
        target = plain.get(name.strip().lower(), emotion_of(name) or name)
        classes[name] = target if target in labels.names else ""
    if not classes:
        return {}
    used = {target for target in classes.values() if target}
    if not used:
        raise DataError(
            f"None of the classes of {pictures.origin.title} ({shown_names(pictures.classes)}) is "
            f"one of the benchmark's ({', '.join(labels.names)}). Map them, such as --map-class "
            f"{next(iter(classes))}=neutral, or pass --unlabelled to ignore the labels."
        )
    if len(used) == 1:
        raise DataError(
            f"All labelled pictures of {pictures.origin.title} are {next(iter(used))}. One class "
            "says nothing about the others: add pictures of other classes, or pass --unlabelled."
        )
    return classes


def _of_prepared(dataset: PreparedDataset, options: SetOptions) -> PictureSet:
    """Returns a split of a prepared data set; its images are cropped faces."""
    split = options.split or "test"
    kept = dataset.samples["split"] == split if split != "all" else dataset.samples["label"].notna()
    rows = np.flatnonzero(kept.to_numpy())
    if not len(rows):
        raise DataError(f"{dataset.info.name} has no image in the split {split!r}.")
    names = dataset.samples["label"].to_numpy(dtype=object)
    if options.unlabelled:
        names = np.full(len(names), None, dtype=object)
    ids = dataset.samples["id"].to_numpy(dtype=object)

    def items() -> Iterator[SetPicture]:
        for row in rows.tolist():
            label = names[row] if isinstance(names[row], str) else None
            yield SetPicture(str(ids[row]), label, _array_reader(dataset.images, row), cropped=True)

    labels = pd.Series(names[rows]).dropna()
    groups: dict[str, str] = {}
    if "group" in dataset.samples:
        named = dataset.samples.iloc[rows].set_index("id")["group"].dropna()
        groups = {str(key): str(group) for key, group in named.items()}
    return PictureSet(
        Origin(
            dataset.info.name,
            dataset.info.title,
            "; ".join(source.licence for source in dataset.info.sources),
            ", ".join(source.reference for source in dataset.info.sources),
        ),
        len(rows),
        items,
        dict(Counter(labels)),
        (f"The prepared data set {dataset.info.name}, split {split}: its images are taken whole.",),
        groups=groups,
    )


def _sample_reader(sample: Sample) -> Callable[[], Image.Image]:
    return lambda: Image.fromarray(sample.image).convert("RGB")


def _array_reader(images: NDArray[np.uint8], row: int) -> Callable[[], Image.Image]:
    return lambda: Image.fromarray(np.asarray(images[row])).convert("RGB")


def _of_reader(opened: OpenedSource, options: SetOptions) -> PictureSet:
    reader = opened.reader
    entries = entries_of(reader)
    split = options.split if options.split != "all" else None
    notes = (f"Read as {opened.form}: {opened.reason}.", *opened.notes)
    labelled = [
        entry
        for entry in entries
        if not isinstance(entry, Skipped) and split in (None, entry.split) and not entry.excluded
    ]
    if not labelled:
        raise DataError(f"{reader.origin.title} has no picture in the split {split!r}.")
    classes = dict(Counter(entry.label for entry in labelled if entry.label))
    left_out = dict(getattr(reader, "left_out", {}))
    groups = {entry.key: entry.group for entry in labelled if entry.group}
    if isinstance(reader, ImageFiles):
        found = _of_files(reader, opened.reader.origin, split, (classes, left_out), notes)
        return replace(found, groups=groups)

    def items() -> Iterator[SetPicture | Skipped]:
        for sample in reader:
            if isinstance(sample, Skipped):
                yield sample
            elif split in (None, sample.split) and not sample.excluded:
                yield SetPicture(sample.key, sample.label, _sample_reader(sample), cropped=True)

    notes = (*notes, "Its images are cropped faces and are taken whole.")
    return PictureSet(reader.origin, len(labelled), items, classes, notes, left_out, groups=groups)


def _of_files(
    reader: ImageFiles,
    origin: Origin,
    split: str | None,
    counts: tuple[Mapping[str, int], Mapping[str, int]],
    notes: tuple[str, ...],
) -> PictureSet:
    """Returns labelled files, and the other pictures of their folder or archive without a label.

    Args:
        reader: The files with their labels.
        origin: Name, licence and reference.
        split: The split to use; None for all.
        counts: Pictures by class, and pictures that the reader leaves out by reason.
        notes: Sentences on what the reader assumed.
    """
    classes, left_out = counts
    files, tree = reader.listed(), reader.tree
    kept = [
        item
        for item in files
        if isinstance(item, Skipped) or (split in (None, item.split) and not item.excluded)
    ]
    # Pictures of classes that the reader left out have a label, which no class here means.
    named = {item.name for item in files if isinstance(item, ImageFile)}
    loose: list[str] = []
    if split is None and not left_out:
        loose = [name for name in tree.files if is_image(name) and name not in named]
    unlabelled = {item.key for item in kept if isinstance(item, Skipped)} & set(loose)
    kept = [item for item in kept if not (isinstance(item, Skipped) and item.key in unlabelled)]
    if loose:
        notes = (*notes, f"{len(loose):,} pictures have no label and are kept without one.")
        notes = tuple(note for note in notes if not note.startswith("Not read:"))

    def items() -> Iterator[SetPicture | Skipped]:
        for item in kept:
            if isinstance(item, Skipped):
                yield item
            else:
                box = item.box or item.share_box
                crop = (lambda picture, item=item: item.cut(picture)) if box else None
                read = _file_reader(tree, item.name)
                yield SetPicture(item.key, item.label, read, box is not None, crop, box)
        for name in loose:
            yield SetPicture(printable(name), None, _file_reader(tree, name))

    return PictureSet(origin, len(kept) + len(loose), items, classes, notes, left_out, tree)


def _file_reader(tree: FileTree, name: str) -> Callable[[], bytes]:
    return lambda: tree.read_picture(name)


def _without_labels(tree: FileTree, path: str) -> PictureSet:
    """Returns every picture of a folder or archive, without labels.

    Raises:
        DataError: If there is none.
    """
    names = [name for name in tree.files if is_image(name)]
    if not names:
        raise DataError(
            f"{path} holds no picture. Give a folder or a zip with pictures, or a data set that "
            "`prepare` reads."
        )

    def items() -> Iterator[SetPicture | Skipped]:
        for name in names:
            yield SetPicture(printable(name), None, _file_reader(tree, name))
        yield from tree.skipped

    origin = Origin("folder", tree.title, UNKNOWN_LICENCE, "")
    notes = ("The pictures have no labels.",)
    return PictureSet(origin, len(names) + len(tree.skipped), items, {}, notes, {}, tree)


def _with_folders(pictures: PictureSet, group: str | None) -> PictureSet:
    """Adds the persons by folders: if they are named like persons, or `group` is `FOLDER`.

    Raises:
        DataError: If `group` is a column, which a set without a table does not have.
    """
    if group not in (None, FOLDER):
        raise DataError(
            f"--group {group} names a column, but no table of labels is read. Give one with "
            "--labels, or take each folder as a person with --group folder."
        )
    keys = [item.key for item in pictures.items() if not isinstance(item, Skipped)]
    groups = person_folders(keys) if group is None else any_folders(keys)
    notes = (*pictures.notes, folders_note(groups))
    return replace(pictures, groups=groups, notes=tuple(filter(None, notes)))


def _tables_beside(tree: FileTree) -> bool:
    """Whether a folder without classes has a csv, whose labels must then be named."""
    return any(name.lower().endswith((".csv", ".tsv", ".jsonl")) for name in tree.files)


def _with_table(pictures: PictureSet, path: Path, options: SetOptions) -> PictureSet:
    """Gives pictures the labels of a csv.

    Raises:
        DataError: If it cannot be read, names no picture, or its classes are not clear.
    """
    reader = options.reader
    columns = Columns(reader.get("image"), reader.get("label"), group=reader.get("group"))
    table = read_label_table(path, columns)
    cells = table.labels
    keys = [item.key for item in pictures.items() if not isinstance(item, Skipped)]
    matched, missing = _matched(cells, keys)
    if not matched:
        raise DataError(
            f"{path.name} names no picture of {pictures.origin.title}, such as "
            f"{next(iter(cells))!r}. Its column of pictures must hold their names or paths."
        )
    reading = _class_names(options).read(Counter(matched.values()), path.name)
    labels = {key: reading.labels[name] for key, name in matched.items()}
    left_out = {key for key, label in labels.items() if not label}
    notes = [f"Labels of {len(labels):,} of {len(keys):,} pictures are read from {path.name}."]
    if missing:
        notes.append(f"{missing:,} of its rows name no picture, or several.")
    if table.conflicts:
        notes.append(table.conflict_note)
    grouped = _with_persons(pictures, table, keys, reader.get("group"))

    def items() -> Iterator[SetPicture | Skipped]:
        for item in pictures.items():
            if isinstance(item, Skipped):
                yield item
            elif item.key not in left_out:
                yield replace(item, label=labels.get(item.key))

    return replace(
        pictures,
        items=items,
        length=pictures.length - len(left_out),
        classes=dict(Counter(label for label in labels.values() if label)),
        notes=(*notes, *grouped.notes, *reading.notes),
        left_out=reading.left_out(Counter(matched.values())),
        groups=grouped.groups,
    )


def _class_names(options: SetOptions) -> ClassNames:
    codes = options.reader.get("codes")
    any_classes = bool(codes or options.reader.get("any_classes"))
    return ClassNames(mapping=options.mapping, codes=codes, any_classes=any_classes)


def _with_persons(
    pictures: PictureSet, table: "LabelTable", keys: Sequence[str], group: str | None
) -> PictureSet:
    """Adds the persons that a table of labels or else the folders name, and a note on them."""
    pictures = replace(pictures, notes=())
    if table.group is None:
        return _with_folders(pictures, FOLDER if group == FOLDER else None)
    groups, _ = _matched(table.persons, keys)
    note = f"{len(set(groups.values())):,} persons are read from the column {table.group}."
    return replace(pictures, groups=groups, notes=(note,))


@dataclass(frozen=True)
class LabelTable:
    """A csv of labels.

    Attributes:
        labels: The majority's label by name, path or id of the picture; without a majority a
            picture has none.
        conflicts: Pictures that annotators label differently.
        group: The column of persons or sources; None without one.
        persons: Person or source by name, path or id of the picture, with a label or without.
    """

    labels: Mapping[str, str]
    conflicts: tuple[str, ...]
    group: str | None = None
    persons: Mapping[str, str] = field(default_factory=dict)

    @property
    def conflict_note(self) -> str:
        """One sentence on which label is used where annotators disagree."""
        count, tied = len(self.conflicts), sum(name not in self.labels for name in self.conflicts)
        pictures = "1 picture" if count == 1 else f"{count:,} pictures"
        return (
            f"Annotators disagree on {pictures}, such as {self.conflicts[0]}: the majority counts; "
            f"{tied:,} without a majority {'has' if tied == 1 else 'have'} no label."
        )


def read_label_table(path: Path, columns: Columns) -> LabelTable:
    """Reads a csv of labels, such as one that the labelling view exported.

    Raises:
        DataError: If it cannot be read, lacks a column, or has no label.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as a csv ({error}).") from error
    names = [str(name) for name in table.columns]
    picture = _column(names, columns.image, ("id", *IMAGE_COLUMNS), "image", path.name)
    label = _column(names, columns.label, LABEL_COLUMNS, "label", path.name)
    group = _group_column(table, columns.group, path.name, (picture, label))
    votes: dict[str, Counter[str]] = {}
    cells = (exported_text(table[column]) for column in (picture, label))
    for name, value in zip(*cells, strict=True):
        if not is_unlabelled(value):
            votes.setdefault(str(name).strip(), Counter())[text_of(value)] += 1
    if not votes:
        raise DataError(
            f"The column {label} of {path.name} has no label. Add labels, or name another column "
            "with --label."
        )
    conflicts = tuple(name for name, counts in votes.items() if len(counts) > 1)
    if conflicts and ANNOTATOR not in names:
        count = "1 picture" if len(conflicts) == 1 else f"{len(conflicts):,} pictures"
        raise DataError(
            f"{path.name} lists {count} with different labels, such as {conflicts[0]}. Keep one "
            "row of each, or add a column `annotator`."
        )
    labels = {name: winner for name, counts in votes.items() if (winner := _majority(counts))}
    return LabelTable(labels, conflicts, group, _persons_in(table, picture, group))


def _group_column(
    table: pd.DataFrame, name: str | None, where: str, used: tuple[str, str]
) -> str | None:
    """Returns the column of persons; `FOLDER` is no column, unless the table has one."""
    if name == FOLDER and FOLDER not in table.columns:
        return None
    return group_column(table, name, where, used)


def _persons_in(table: pd.DataFrame, picture: str, group: str | None) -> dict[str, str]:
    if group is None:
        return {}
    names, persons = (exported_text(table[column]) for column in (picture, group))
    return {
        str(name).strip(): text_of(person)
        for name, person in zip(names, persons, strict=True)
        if not is_unlabelled(person)
    }


def _majority(counts: Counter[str]) -> str:
    (first, most), *others = counts.most_common(2)
    return "" if others and others[0][1] == most else first


def _column(
    names: Sequence[str], name: str | None, usual: Sequence[str], option: str, where: str
) -> str:
    if name is not None:
        return named_column(names, name, option, where)
    if candidates := usual_columns(names, usual):
        return candidates[0]
    raise DataError(
        f"{where} has no column that is known to hold {option}s; its columns are "
        f"{', '.join(names)}. Name it with --{option}."
    )


def _matched(cells: Mapping[str, str], keys: Sequence[str]) -> tuple[dict[str, str], int]:
    """Returns labels by key of the picture, and how many cells name no picture, or several."""
    by_end: dict[str, list[str]] = {}
    for key in keys:
        parts = PurePosixPath(key).parts
        for start in range(len(parts)):
            by_end.setdefault("/".join(parts[start:]), []).append(key)
    matched: dict[str, str] = {}
    missing = 0
    for cell, label in cells.items():
        path = cell.replace("\\", "/").strip("/")
        candidates = by_end.get(path, [])
        while not candidates and "/" in path:  # the table may name further folders above
            path = path.partition("/")[2]
            candidates = by_end.get(path, [])
        if len(candidates) == 1:
            matched[candidates[0]] = label
        else:
            missing += 1
    return matched, missing
