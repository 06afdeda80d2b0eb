"""All formats by name, with their readers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fer_core.data.sources.affectnet import (
    MANUAL_LISTS,
    AffectNetArraysSource,
    AffectNetCsvSource,
    AffectNetFolderSource,
    above_list_folder,
    find_affectnet_arrays,
    find_affectnet_lists,
)
from fer_core.data.sources.annotated import AnnotatedSource, find_tables, is_affectnet_table
from fer_core.data.sources.arrays import ArraysSource
from fer_core.data.sources.base import FORMATS, SYNTHETIC, Source
from fer_core.data.sources.ckplus import CkPlusSource
from fer_core.data.sources.class_lists import ClassList, find_class_list
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.completion import complete
from fer_core.data.sources.expw import ExpwSource
from fer_core.data.sources.fer2013 import Fer2013Source
from fer_core.data.sources.fer2013_folder import Fer2013FolderSource
from fer_core.data.sources.ferplus_folder import FerPlusFolderSource
from fer_core.data.sources.files import ImageFiles
from fer_core.data.sources.folder import FolderSource
from fer_core.data.sources.huggingface import HuggingFaceSource
from fer_core.data.sources.human_emotions import HumanEmotionsSource
from fer_core.data.sources.named_files import NamedFilesSource, path_pattern
from fer_core.data.sources.options import AnyReaderOptions, ReaderOptions, readers_of
from fer_core.data.sources.pixels import PixelFile, find_pixel_tables, split_files
from fer_core.data.sources.rafdb import RafDbFolderSource, RafDbSource, find_rafdb_lists
from fer_core.data.sources.recognise import (
    Location,
    Recognition,
    locate,
    recognise,
    recognise_location,
)
from fer_core.data.sources.tables import Columns
from fer_core.data.sources.tree import open_tree
from fer_core.data.sources.yolo import YoloSource
from fer_core.errors import DataError

__all__ = ["OpenedSource", "open_dataset", "open_source", "recognise"]


@dataclass(frozen=True)
class OpenedSource:
    """A reader and the recognised format.

    Attributes:
        reader: Reads the dataset.
        form: One of `FORMATS`.
        reason: Why the dataset has this format.
        notes: Assumptions, as sentences for the user.
    """

    reader: Source
    form: str
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Request:
    """Arguments of an opener; `is_named` is true if the user named the format."""

    path: str
    location: Location | None
    mapping: Mapping[str, str]
    options: ReaderOptions
    columns: Columns = field(default_factory=Columns)
    is_named: bool = False

    @property
    def names(self) -> ClassNames:
        return ClassNames(
            mapping=self.mapping,
            codes=getattr(self.options, "codes", None),
            any_classes=getattr(self.options, "any_classes", False),
            listed=self.class_list,
        )

    @property
    def class_list(self) -> ClassList | None:
        """The dataset's list of class names; of a file, those in its folder are not searched."""
        return None if self.location is None else find_class_list(self.location.tree)

    @property
    def pattern(self) -> re.Pattern[str] | None:
        text = getattr(self.options, "pattern", None)
        return None if text is None else path_pattern(text)

    @property
    def tree_location(self) -> Location:
        return self.location or locate(self.path)


def open_source(
    path: str,
    form: str | None = None,
    *,
    mapping: Mapping[str, str] | None = None,
    **options: Any,  # noqa: ANN401 (those of the reader, which checks them)
) -> Source:
    """Returns the reader of a dataset; see `open_dataset`."""
    return open_dataset(path, form, mapping=mapping, options=options).reader


def open_dataset(
    path: str,
    form: str | None = None,
    *,
    mapping: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> OpenedSource:
    """Opens a dataset.

    Args:
        path: A file, folder or archive, or a folder in an archive; `owner/name` on the Hugging Face
            hub; or `synthetic`.
        form: One of `FORMATS`; recognised from the path if not given.
        mapping: Class names by the source's names; an empty one leaves the class out.
        options: Options of the reader, by name (`fer_core.data.sources.options`).

    Raises:
        DataError: If the format is unknown, the path does not contain it or contains several
            datasets, the reader does not have an option, or a class has no known meaning.
    """
    if form is not None and form not in FORMATS:
        raise DataError(f"The format {form!r} is unknown. Known: {', '.join(FORMATS)}.")
    set_options = {name: value for name, value in (options or {}).items() if value is not None}
    columns = _columns(set_options)
    location: Location | None = None
    if path == SYNTHETIC or form == SYNTHETIC:
        recognition = Recognition(SYNTHETIC, "the faces are drawn")
    elif form == "huggingface" and not Path(path).exists():
        recognition = Recognition(form, "--format says so")
    elif form is not None:
        recognition = Recognition(form, "--format says so")
        location = locate(path)
    else:
        location = locate(path)
        recognition = _recognised(location, columns, set_options)
    request = _Request(
        path,
        location,
        mapping or {},
        _checked(recognition.form, set_options),
        columns,
        form is not None,
    )
    reader = _OPENERS[recognition.form](request)
    if isinstance(reader, ImageFiles):
        in_folder = location is not None and location.file is None
        complete(reader, location.tree if in_folder and location else reader.tree, request.pattern)
    notes = (*getattr(reader, "notes", ()), *recognition.notes)
    return OpenedSource(reader, recognition.form, recognition.reason, notes)


def _recognised(location: Location, columns: Columns, options: Mapping[str, Any]) -> Recognition:
    pattern = options.get("pattern")
    if pattern is not None and "label" in path_pattern(pattern).groupindex:
        return Recognition("named", "--pattern gives the labels")
    return recognise_location(location, columns, options.get("annotation"))


def _columns(options: Mapping[str, Any]) -> Columns:
    names = ("image", "label", "split_column", "group")
    return Columns(**{name: options.get(name) for name in names})


def _checked(form: str, options: Mapping[str, Any]) -> ReaderOptions:
    """Returns a reader's options.

    Raises:
        DataError: If the reader does not have an option, or a value is out of range.
    """
    adapter: TypeAdapter[ReaderOptions] = TypeAdapter(AnyReaderOptions)
    try:
        return adapter.validate_python({"format": form, **options})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][-1])
        if first["type"] != "extra_forbidden":
            raise DataError(f"{name}: {first['msg']}.") from error
        raise DataError(
            f"--{name.replace('_', '-')} is an option of {', '.join(readers_of(name))}; this "
            f"dataset is read as {form}. Leave it out, or name its format with --format."
        ) from error


def _fer2013(request: _Request) -> Source:
    location = request.tree_location
    options = request.options
    votes, labels = getattr(options, "votes", None), getattr(options, "labels", None)
    tables = [location.file] if location.file is not None else find_pixel_tables(location.tree)
    if not tables:
        return Fer2013FolderSource(location.tree, **_folder_options(request))
    if len(tables) > 1 and not split_files(tables):
        raise DataError(
            f"{request.path} holds {len(tables)} tables of pixels ({', '.join(tables[:4])}). Give "
            "the path of one of them."
        )
    names = request.names
    if request.is_named and names.codes is None:
        names = replace(names, codes="fer2013")
    files = [PixelFile(location.tree, name) for name in tables]
    return Fer2013Source(files, votes, labels, names, request.columns)


def _affectnet(request: _Request) -> Source:
    location = request.tree_location
    tree = location.tree
    if find_affectnet_lists(tree):
        return _affectnet_lists(request, location)
    if find_affectnet_arrays(tree) is not None:
        return AffectNetArraysSource(tree, request.names)
    if getattr(request.options, "annotation", None) != "folder":
        tables = [
            table for table in find_tables(tree, request.columns) if is_affectnet_table(table)
        ]
        if tables:
            return AnnotatedSource(tree, request.names, request.columns, tables)
    return AffectNetFolderSource(tree, **_folder_options(request))


def _affectnet_lists(request: _Request, location: Location) -> Source:
    """Reads AffectNet's lists, and images that are beside them or beside their folder."""
    root = location.tree.root
    if root is None:
        return AffectNetCsvSource(location.tree, request.names)
    above = above_list_folder(root)
    tree = open_tree(above)
    folder = root.relative_to(above).as_posix()
    # training.csv is read with validation.csv; another list whose path is given, alone
    alone = location.file is not None and location.file not in MANUAL_LISTS
    lists = [str(location.file)] if alone else find_affectnet_lists(tree.below(folder))
    lists = [(PurePosixPath(folder) / name).as_posix() for name in lists]
    return AffectNetCsvSource(tree, request.names, lists)


def _rafdb(request: _Request) -> Source:
    tree = request.tree_location.tree
    if find_rafdb_lists(tree):
        root = tree.root
        if root is not None:  # images are beside the list, or beside its folder
            root = root.parent if root.name == "EmoLabel" else root
        return RafDbSource(root or tree, request.names)
    if getattr(request.options, "annotation", None) == "table":
        return _list(request, codes="rafdb")
    return RafDbFolderSource(tree, **_folder_options(request))


def _list(request: _Request, codes: str | None = None) -> Source:
    location = request.tree_location
    names = request.names
    if codes and not names.codes:
        names = replace(names, codes=codes)
    if location.file is not None and location.tree.root is not None:
        return AnnotatedSource(location.tree.root / location.file, names, request.columns)
    tables = find_tables(location.tree, request.columns, location.file) or None
    return AnnotatedSource(location.tree, names, request.columns, tables)


def _huggingface(request: _Request) -> Source:
    location = request.location
    path: Any = request.path
    if location is not None and location.file is None:
        path = location.tree
    return HuggingFaceSource(path, request.names, request.columns)


def _arrays(request: _Request) -> Source:
    location = request.tree_location
    tree = location.tree
    if location.file is not None:  # a .npz file in an archive
        tree = replace(tree, files=(location.file,))
    return ArraysSource(tree, request.names, request.columns.label)


def _synthetic(request: _Request) -> Source:
    from fer_core.data.sources.planted import PlantedSource  # slow to import
    from fer_core.data.sources.synthetic import SyntheticSource

    values = request.options.model_dump()
    reader = PlantedSource if values["faults"] else SyntheticSource
    return reader(values["count"], values["seed"], values["side"])


def _folder_options(request: _Request) -> dict[str, Any]:
    return {
        "mapping": request.mapping,
        "codes": getattr(request.options, "codes", None),
        "any_classes": getattr(request.options, "any_classes", False),
        "listed": request.class_list,
    }


_OPENERS: Mapping[str, Callable[[_Request], Source]] = {
    "fer2013": _fer2013,
    "ferplus": lambda request: FerPlusFolderSource(request.tree_location.tree),
    "affectnet": _affectnet,
    "rafdb": _rafdb,
    "expw": lambda request: ExpwSource(request.tree_location.tree, request.names),
    "ckplus": lambda request: CkPlusSource(request.tree_location.tree, request.names),
    "kdef": lambda request: NamedFilesSource(request.tree_location.tree, "KDEF", request.names),
    "jaffe": lambda request: NamedFilesSource(request.tree_location.tree, "JAFFE", request.names),
    "named": lambda request: NamedFilesSource(
        request.tree_location.tree, request.pattern, request.names
    ),
    "human-emotions": lambda request: HumanEmotionsSource(
        request.tree_location.tree, **_folder_options(request)
    ),
    "folder": lambda request: FolderSource(request.tree_location.tree, **_folder_options(request)),
    "list": _list,
    "yolo": lambda request: YoloSource(request.tree_location.tree, request.names),
    "huggingface": _huggingface,
    "arrays": _arrays,
    "synthetic": _synthetic,
}
