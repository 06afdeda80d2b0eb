"""Reviews of samples: labels by annotator, tags, notes, saved slices and views.

Labels of the labelling view are kept apart from reviews, with the probability with which each image
was drawn: estimates from them need it.

They are in `reviews.sqlite` of each benchmark, beside its artifacts or under `FERSCOPE_STATE`. The
file is never in git. SQLite's write-ahead log (WAL) lets several processes read and write at once.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import pandas as pd

from fer_core.artifacts import BenchmarkDir
from fer_core.csv_text import csv_text
from fer_core.errors import ArtifactError
from fer_core.project import state_root
from fer_core.provenance import now

FILE_NAME = "reviews.sqlite"
CSV_COLUMNS = ("id", "annotator", "label", "tags", "note", "updated")
NOTE_LIMIT = 2000
"""Largest number of characters of a note."""

_NAME_LIMIT = 80
_TAGS_LIMIT = 20
_VERSION = 2
_WAIT = 15.0  # seconds for another writer
_SCHEMAS = (
    """
CREATE TABLE IF NOT EXISTS reviews (
  sample_id TEXT NOT NULL, annotator TEXT NOT NULL, label TEXT NOT NULL, tags TEXT NOT NULL,
  note TEXT NOT NULL, updated TEXT NOT NULL, PRIMARY KEY (sample_id, annotator));
CREATE TABLE IF NOT EXISTS slices (
  name TEXT PRIMARY KEY, annotator TEXT NOT NULL, sample_ids TEXT NOT NULL,
  description TEXT NOT NULL, created TEXT NOT NULL);
""",
    """
CREATE TABLE IF NOT EXISTS pool_labels (
  pool TEXT NOT NULL, sample_id TEXT NOT NULL, annotator TEXT NOT NULL, label TEXT NOT NULL,
  step INTEGER, probability REAL, updated TEXT NOT NULL,
  PRIMARY KEY (pool, sample_id, annotator), UNIQUE (pool, step));
""",
)
"""Statements that each version of the schema adds."""

_RUN_NOTES = """
CREATE TABLE IF NOT EXISTS run_notes (
  run_id TEXT PRIMARY KEY, tags TEXT NOT NULL, note TEXT NOT NULL, annotator TEXT NOT NULL,
  updated TEXT NOT NULL)
"""
"""Made by the first note, so that earlier versions can still read the file."""

_VIEWS = """
CREATE TABLE IF NOT EXISTS views (
  name TEXT PRIMARY KEY, annotator TEXT NOT NULL, page TEXT NOT NULL, query TEXT NOT NULL,
  created TEXT NOT NULL)
"""
"""Made by the first view, likewise."""

_QUERY_LIMIT = 8000


@dataclass(frozen=True)
class Review:
    """One annotator's review of a sample.

    Attributes:
        sample_id: The sample.
        annotator: Name of the reviewer.
        label: The annotator's label; empty for none.
        tags: Short words, such as `blurred`.
        note: Free text.
        updated: Time of the last change, ISO 8601, UTC; set by the store.
    """

    sample_id: str
    annotator: str
    label: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    updated: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it has no label, no tag and no note."""
        return not (self.label or self.tags or self.note)


@dataclass(frozen=True)
class RunNote:
    """Tags and note of a run, in place of those that it was trained with.

    Attributes:
        run_id: The run.
        tags: Short words.
        note: Free text.
        annotator: Name of the person who changed them last.
        updated: Time of the last change, ISO 8601, UTC; set by the store.
    """

    run_id: str
    tags: tuple[str, ...] = ()
    note: str = ""
    annotator: str = ""
    updated: str = ""


@dataclass(frozen=True)
class SavedSlice:
    """A named set of samples.

    Attributes:
        name: Unique name.
        annotator: Name of the person who saved it.
        sample_ids: Ids of the samples.
        description: The selection in words.
        created: ISO 8601, UTC; set by the store.
    """

    name: str
    annotator: str
    sample_ids: tuple[str, ...]
    description: str = ""
    created: str = ""


@dataclass(frozen=True)
class SavedView:
    """A named page of the dashboard with its query parameters.

    Attributes:
        name: Unique name.
        annotator: Name of the person who saved it.
        page: Name of the page.
        query: Query string of its address.
        created: ISO 8601, UTC; set by the store.
    """

    name: str
    annotator: str
    page: str
    query: str = ""
    created: str = ""


@dataclass(frozen=True)
class PoolLabel:
    """One annotator's label of an image that the labelling view has shown.

    Attributes:
        pool: Identifies the images among which it was drawn.
        sample_id: The image.
        annotator: Name of the annotator.
        label: Class of the image; empty if it is unclear.
        step: Number of images labelled before it; None for a second opinion.
        probability: Probability with which it was drawn; None for a second opinion.
        updated: Time of the label, ISO 8601, UTC; set by the store.
    """

    pool: str
    sample_id: str
    annotator: str
    label: str
    step: int | None = None
    probability: float | None = None
    updated: str = ""


class ReviewStore:
    """Reviews and saved slices of one benchmark.

    Every call opens the file, so one store can be used from several threads.

    Args:
        path: The SQLite file; it is created by the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, benchmark: BenchmarkDir) -> "ReviewStore":
        """Returns the store of a benchmark, under `FERSCOPE_STATE` if that is set."""
        root = state_root()
        folder = benchmark.root if root is None else root / benchmark.name
        return cls(folder / FILE_NAME)

    def save(self, review: Review) -> None:
        """Saves a review in place of the annotator's former one; an empty one deletes it.

        Raises:
            ArtifactError: If a text is too long, or the file cannot be written.
        """
        _check_name(review.annotator, "annotator")
        _check_texts(review.tags, review.note)
        key = (review.sample_id, review.annotator)
        with self._writing() as connection:
            connection.execute("DELETE FROM reviews WHERE sample_id = ? AND annotator = ?", key)
            if not review.is_empty:
                tags = json.dumps(sorted(set(review.tags)))
                row = (*key, review.label, tags, review.note, now())
                connection.execute("INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?)", row)

    def reviews(self, sample_id: str | None = None) -> list[Review]:
        """Returns all reviews, or those of one sample, by sample and annotator.

        Raises:
            ArtifactError: If the file cannot be read.
        """
        condition, values = ("WHERE sample_id = ?", (sample_id,)) if sample_id else ("", ())
        query = f"SELECT * FROM reviews {condition} ORDER BY sample_id, annotator"  # noqa: S608
        return [
            Review(sample, annotator, label, tuple(json.loads(tags)), note, updated)
            for sample, annotator, label, tags, note, updated in self._read(query, values)
        ]

    def tags(self) -> list[str]:
        """Returns every tag in use, by name."""
        return sorted({tag for review in self.reviews() for tag in review.tags})

    def save_run_note(self, note: RunNote, shown: RunNote | None = None) -> None:
        """Saves tags and note of a run in place of the former ones.

        Args:
            note: The new tags and note.
            shown: Those that were shown when the change began; None replaces whatever is stored.

        Raises:
            ArtifactError: If the stored note is no longer the shown one, a text is too long, or
                the file cannot be written.
        """
        _check_name(note.annotator, "annotator")
        _check_texts(note.tags, note.note)
        tags = json.dumps(sorted(set(note.tags)))
        with self._writing() as connection:
            connection.execute(_RUN_NOTES)
            if shown is not None:
                _check_unchanged(connection, shown)
            row = (note.run_id, tags, note.note, note.annotator, now())
            connection.execute("INSERT OR REPLACE INTO run_notes VALUES (?, ?, ?, ?, ?)", row)

    def run_notes(self) -> dict[str, RunNote]:
        """Returns the tags and notes that were changed, by run id.

        Raises:
            ArtifactError: If the file cannot be read.
        """
        if not self._read("SELECT name FROM sqlite_master WHERE name = 'run_notes'"):
            return {}
        rows = self._read("SELECT * FROM run_notes ORDER BY run_id")
        return {row[0]: _run_note(row) for row in rows}

    def save_slice(self, saved: SavedSlice) -> None:
        """Saves a slice in place of a former one of the same name.

        Raises:
            ArtifactError: If the name is empty or too long, the slice has no sample, or the file
                cannot be written.
        """
        _check_name(saved.name, "slice")
        if not saved.sample_ids:
            raise ArtifactError("A slice needs at least one sample.")
        row = (saved.name, saved.annotator, json.dumps(saved.sample_ids), saved.description, now())
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO slices VALUES (?, ?, ?, ?, ?)", row)

    def delete_slice(self, name: str) -> None:
        """Deletes a slice; does nothing if there is none of that name."""
        with self._writing() as connection:
            connection.execute("DELETE FROM slices WHERE name = ?", (name,))

    def slices(self) -> list[SavedSlice]:
        """Returns all saved slices, by name.

        Raises:
            ArtifactError: If the file cannot be read.
        """
        return [
            SavedSlice(name, annotator, tuple(json.loads(ids)), description, created)
            for name, annotator, ids, description, created in self._read(
                "SELECT * FROM slices ORDER BY name"
            )
        ]

    def slice_table(self) -> pd.DataFrame:
        """Returns one row per slice and sample: name, annotator, description, created, id."""
        rows = [
            (saved.name, saved.annotator, saved.description, saved.created, sample_id)
            for saved in self.slices()
            for sample_id in saved.sample_ids
        ]
        columns = ["slice", "annotator", "description", "created", "id"]
        return pd.DataFrame(rows, columns=columns)

    def save_view(self, saved: SavedView) -> None:
        """Saves a view in place of a former one of the same name.

        Raises:
            ArtifactError: If the name is empty or too long, or the file cannot be written.
        """
        _check_name(saved.name, "view")
        if len(saved.query) > _QUERY_LIMIT:
            raise ArtifactError("The address of this view is too long to be saved.")
        row = (saved.name, saved.annotator, saved.page, saved.query, now())
        with self._writing() as connection:
            connection.execute(_VIEWS)
            connection.execute("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?, ?)", row)

    def delete_view(self, name: str) -> None:
        """Deletes a view; does nothing if there is none of that name."""
        with self._writing() as connection:
            connection.execute(_VIEWS)
            connection.execute("DELETE FROM views WHERE name = ?", (name,))

    def views(self) -> list[SavedView]:
        """Returns all saved views, by name.

        Raises:
            ArtifactError: If the file cannot be read.
        """
        if not self._read("SELECT name FROM sqlite_master WHERE name = 'views'"):
            return []
        return [SavedView(*row) for row in self._read("SELECT * FROM views ORDER BY name")]

    def view_table(self) -> pd.DataFrame:
        """Returns one row per view: name, annotator, page, query, created."""
        columns = ["view", "annotator", "page", "query", "created"]
        return pd.DataFrame([astuple(view) for view in self.views()], columns=columns)

    def save_label(self, label: PoolLabel) -> None:
        """Saves a label in place of the annotator's former one of the same image.

        An image keeps the step and the probability of its first label; labels of other annotators
        are second opinions.

        Raises:
            ArtifactError: If another image has this step already, or the file cannot be written.
        """
        _check_name(label.annotator, "annotator")
        key = (label.pool, label.sample_id, label.annotator)
        with self._writing() as connection:
            (former,) = connection.execute(
                "SELECT COUNT(*), MAX(step), MAX(probability) FROM pool_labels "
                "WHERE pool = ? AND sample_id = ? AND annotator = ?", key
            )  # fmt: skip
            (others,) = connection.execute(
                "SELECT COUNT(*) FROM pool_labels WHERE pool = ? AND sample_id = ? "
                "AND annotator != ?", key
            )  # fmt: skip
            design: tuple[object, object] = (label.step, label.probability)
            if former[0] or others[0]:
                design = (former[1], former[2])
            _check_step(connection, key, design)
            connection.execute(
                "INSERT INTO pool_labels VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (pool, sample_id, annotator) DO UPDATE SET label = excluded.label, "
                "updated = excluded.updated",
                (*key, label.label, *design, now()),
            )

    def labels(self, pool: str) -> list[PoolLabel]:
        """Returns the labels of a pool by step; second opinions follow, by image and annotator.

        Raises:
            ArtifactError: If the file cannot be read.
        """
        rows = self._read(
            "SELECT * FROM pool_labels WHERE pool = ? "
            "ORDER BY step IS NULL, step, sample_id, annotator", (pool,), needs=2
        )  # fmt: skip
        return [
            PoolLabel(
                pool, sample, annotator, label,
                None if step is None else int(step),
                None if probability is None else float(probability), updated,
            )
            for _, sample, annotator, label, step, probability, updated in rows
        ]  # fmt: skip

    def label_pools(self) -> dict[str, int]:
        """Returns the number of labels by pool."""
        rows = self._read("SELECT pool, COUNT(*) FROM pool_labels GROUP BY pool", needs=2)
        return {pool: int(count) for pool, count in rows}

    def delete_label(self, label: PoolLabel) -> None:
        """Deletes an annotator's label of an image; a second opinion takes its step over."""
        key = (label.pool, label.sample_id)
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM pool_labels WHERE pool = ? AND sample_id = ? AND annotator = ?",
                (*key, label.annotator),
            )
            if label.step is not None:
                connection.execute(
                    "UPDATE pool_labels SET step = ?, probability = ? WHERE rowid = (SELECT "
                    "MIN(rowid) FROM pool_labels WHERE pool = ? AND sample_id = ?)",
                    (label.step, label.probability, *key),
                )

    def table(self) -> pd.DataFrame:
        """Returns one row per review with `CSV_COLUMNS`; tags are separated by `;`."""
        rows = [
            (*astuple(review)[:3], ";".join(review.tags), review.note, review.updated)
            for review in self.reviews()
        ]
        return pd.DataFrame(rows, columns=list(CSV_COLUMNS))

    def csv(self) -> str:
        """Returns the reviews as csv, without formulas that a spreadsheet would run."""
        return csv_text(self.table())

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yields a connection in a transaction, which other writers wait for."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_WAIT)) as connection:
                connection.isolation_level = None
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                self._migrate(connection)
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise ArtifactError(
                f"{self._path} could not be saved ({error}). Check that its folder is writable, or "
                "set FERSCOPE_STATE to one that is."
            ) from error

    def _read(
        self, query: str, values: Sequence[str] = (), needs: int = 1
    ) -> list[tuple[str, ...]]:
        """Returns the rows of a query; none if the file's schema is older than it needs."""
        if not self._path.is_file():
            return []
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT)) as connection:
                if self._check_version(connection) < needs:
                    return []
                return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise ArtifactError(f"{self._path} cannot be read ({error}).") from error

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = self._check_version(connection)
        for schema in _SCHEMAS[version:]:
            for statement in filter(str.strip, schema.split(";")):
                connection.execute(statement)
        if version < _VERSION:
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _check_version(self, connection: sqlite3.Connection) -> int:
        """Returns the version of the file's schema; 0 for an empty file."""
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > _VERSION:
            raise ArtifactError(
                f"{self._path} was written by a newer version of FERscope (schema {version}). "
                "Update FERscope to read it."
            )
        return version


def _check_step(
    connection: sqlite3.Connection, key: tuple[str, str, str], design: tuple[object, object]
) -> None:
    """Checks that no other image has a label's step.

    Raises:
        ArtifactError: If one has.
    """
    pool, sample_id, _ = key
    (steps,) = connection.execute(
        "SELECT COUNT(*) FROM pool_labels WHERE pool = ? AND step = ? AND sample_id != ?",
        (pool, design[0], sample_id),
    ).fetchone()
    if steps:
        raise ArtifactError(
            "Another image was labelled meanwhile, so this label was not saved. Label the image "
            "that is shown now."
        )


def _run_note(row: tuple[str, ...]) -> RunNote:
    run_id, tags, note, annotator, updated = row
    return RunNote(run_id, tuple(json.loads(tags)), note, annotator, updated)


def _check_unchanged(connection: sqlite3.Connection, shown: RunNote) -> None:
    """Checks that the stored note of a run is the one that was shown.

    Raises:
        ArtifactError: If it was changed since. Times are in seconds, so the texts count as well.
    """
    row = connection.execute("SELECT * FROM run_notes WHERE run_id = ?", (shown.run_id,)).fetchone()
    if row is not None and (stored := _run_note(row)) != shown:
        raise ArtifactError(
            f"{stored.annotator} changed the note of {shown.run_id} meanwhile, so yours was not "
            "saved. Read the new one, and save again."
        )


def _check_texts(tags: Sequence[str], note: str) -> None:
    if len(note) > NOTE_LIMIT:
        raise ArtifactError(f"The note has more than {NOTE_LIMIT:,} characters. Shorten it.")
    if len(tags) > _TAGS_LIMIT:
        raise ArtifactError(f"There can be {_TAGS_LIMIT} tags at most.")
    for tag in tags:
        _check_name(tag, "tag")


def _check_name(name: str, what: str) -> None:
    if not name.strip() or len(name) > _NAME_LIMIT:
        raise ArtifactError(f"The {what} needs a name of 1 to {_NAME_LIMIT} characters.")
