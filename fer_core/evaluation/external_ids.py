"""Matching the ids of a table of predictions with a benchmark's samples."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.predictions import EVALUATED

ID_NAMES = ("id", "file", "filename", "file_name", "image", "image_id", "path")
"""Usual names of the column of ids, in lower case."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def with_sample_ids(
    table: pd.DataFrame, samples: pd.DataFrame, name: str
) -> tuple[pd.DataFrame, list[str]]:
    """Returns a table whose column `id` has the samples' ids, and a note on each assumption.

    A table without this column may have another one of `ID_NAMES`, if its values are ids. Ids that
    differ only in form are replaced: suffix of an image, leading `./`, backslashes, blanks, and
    missing or further folders at the beginning, if only one sample fits.

    Args:
        table: Result of `read_external_table`.
        samples: The benchmark's samples, with `id` and `split`.
        name: File name for error messages.

    Raises:
        DataError: If no column has ids.
    """
    wanted = set(samples.loc[samples["split"].isin(EVALUATED), "id"])
    if "id" in table.columns and wanted <= set(table["id"]):
        return table, []
    forms = _Forms(samples["id"])
    if "id" in table.columns:
        return _matched(table, wanted, forms)
    best, most = "", 0
    for column in [column for column in table.columns if column.lower() in ID_NAMES]:
        found = len(wanted & set(forms.ids(table[column]).values()))
        if found > most:
            best, most = column, found
    if not best:
        raise DataError(
            f"{name} lacks the column 'id'; it has {', '.join(table.columns[:12])}. Add the ids of "
            "samples.parquet as this column."
        )
    renamed, notes = _matched(table.rename(columns={best: "id"}), wanted, forms)
    return renamed, [f"The ids are read from the column {best}.", *notes]


def _matched(
    table: pd.DataFrame, wanted: set[str], forms: "_Forms"
) -> tuple[pd.DataFrame, list[str]]:
    if wanted <= set(table["id"]):
        return table, []
    ids = forms.ids(table["id"])
    changed = {theirs: ours for theirs, ours in ids.items() if theirs != ours}
    if not changed:
        return table, []
    theirs, ours = next(iter(changed.items()))
    note = f"{len(changed):,} ids differ from the samples' in form: {theirs} is read as {ours}."
    return table.assign(id=[ids.get(value, value) for value in table["id"]]), [note]


class _Forms:
    """The samples' ids by each form in which a table may have them."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._exact = set(ids)
        self._whole = _unambiguous((_form(name), name) for name in self._exact)
        pairs = ((end, name) for name in self._exact for end in _ends(_form(name)))
        self._ends = _unambiguous(pairs)

    def ids(self, values: Iterable[object]) -> dict[object, str]:
        """Returns the sample's id of each value that has one."""
        found = {value: self._id(value) for value in values}
        return {value: name for value, name in found.items() if name is not None}

    def _id(self, value: object) -> str | None:
        if value in self._exact:
            return str(value)
        form = _form(str(value))
        if form in self._whole:
            return self._whole[form]
        if form in self._ends:
            return self._ends[form]
        return next((self._whole[end] for end in _ends(form) if end in self._whole), None)


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str | None]:
    """Returns the value of each key; None if it has several."""
    values: dict[str, str | None] = {}
    for key, value in pairs:
        values[key] = value if values.get(key, value) == value else None
    return values


def _form(name: str) -> str:
    """Returns an id without blanks, a leading `./` and an image's suffix, with slashes."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return str(path.with_suffix("") if path.suffix.lower() in _SUFFIXES else path)


def _ends(form: str) -> Iterator[str]:
    """Yields an id without its first folder, its first two folders, and so on."""
    parts = form.split("/")
    return ("/".join(parts[start:]) for start in range(1, len(parts)))
