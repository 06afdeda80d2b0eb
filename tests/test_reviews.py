"""Reviews and saved slices: what is written is read, by several writers at once."""

import sqlite3
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import pytest

from fer_core.artifacts import BenchmarkDir
from fer_core.errors import ArtifactError
from fer_core.reviews import (
    NOTE_LIMIT,
    PoolLabel,
    Review,
    ReviewStore,
    RunNote,
    SavedSlice,
    SavedView,
)


@pytest.fixture
def store(tmp_path) -> ReviewStore:
    return ReviewStore(tmp_path / "state" / "reviews.sqlite")


def test_a_review_is_read_as_it_was_saved(store):
    store.save(Review("toy/1", "ann", "happy", ("dark", "blurred", "dark"), "Two lines,\nno more."))
    (saved,) = store.reviews("toy/1")
    assert (saved.label, saved.tags) == ("happy", ("blurred", "dark"))
    assert saved.note == "Two lines,\nno more."
    assert saved.updated.endswith("+00:00")


def test_the_last_review_of_an_annotator_counts_and_an_empty_one_deletes(store):
    store.save(Review("toy/1", "ann", "happy"))
    store.save(Review("toy/1", "bob", "sad"))
    store.save(Review("toy/1", "ann", "neutral", ("dark",)))
    assert [(r.annotator, r.label) for r in store.reviews("toy/1")] == [
        ("ann", "neutral"),
        ("bob", "sad"),
    ]
    assert store.tags() == ["dark"]
    store.save(Review("toy/1", "ann"))
    assert [review.annotator for review in store.reviews()] == ["bob"]


def test_before_the_first_write_there_is_nothing_and_no_file(store, tmp_path):
    assert store.reviews() == []
    assert store.slices() == []
    assert store.csv() == "id,annotator,label,tags,note,updated\n"
    assert not (tmp_path / "state").exists()


def test_a_slice_is_saved_replaced_and_deleted(store):
    store.save_slice(SavedSlice("dark faces", "ann", ("toy/1", "toy/2"), "brightness: dark"))
    store.save_slice(SavedSlice("dark faces", "bob", ("toy/3",)))
    (saved,) = store.slices()
    assert (saved.annotator, saved.sample_ids, saved.description) == ("bob", ("toy/3",), "")
    store.delete_slice("dark faces")
    assert store.slices() == []


def test_the_csv_has_a_row_per_review_and_no_formula(store):
    store.save(Review("toy/2", "bob", "sad", ("dark", "blurred")))
    store.save(Review("toy/1", "ann", note='=HYPERLINK("x")'))
    table = store.table()
    assert table["id"].tolist() == ["toy/1", "toy/2"]
    assert table["tags"].tolist() == ["", "blurred;dark"]
    assert "'=HYPERLINK" in store.csv()


@pytest.mark.parametrize(
    ("review", "message"),
    [
        (Review("toy/1", " ", "sad"), "annotator needs a name"),
        (Review("toy/1", "ann", tags=("x" * 81,)), "tag needs a name"),
        (Review("toy/1", "ann", tags=tuple(map(str, range(21)))), "20 tags at most"),
        (Review("toy/1", "ann", note="x" * (NOTE_LIMIT + 1)), "more than 2,000 characters"),
    ],
)
def test_what_is_too_long_or_empty_is_refused(store, review, message):
    with pytest.raises(ArtifactError, match=message):
        store.save(review)
    assert store.reviews() == []


def write_many(job: tuple[str, str]) -> None:
    path, annotator = job
    store = ReviewStore(Path(path))
    for number in range(40):
        store.save(Review(f"toy/{number}", annotator, "sad", (annotator,), str(number)))


def test_two_writers_at_once_lose_nothing(tmp_path, monkeypatch):
    # the new processes would run the main module, which can be a page that a test opened before
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    path = tmp_path / "reviews.sqlite"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(write_many, [(str(path), "ann"), (str(path), "bob")]))
    reviews = ReviewStore(path).reviews()
    assert len(reviews) == 80
    assert all(review.note == review.sample_id.removeprefix("toy/") for review in reviews)


def test_a_reader_does_not_wait_for_a_writer(store, tmp_path):
    store.save(Review("toy/1", "ann", "sad"))
    writer = sqlite3.connect(tmp_path / "state" / "reviews.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM reviews")
    assert len(store.reviews()) == 1
    writer.execute("ROLLBACK")
    writer.close()


def test_a_newer_or_damaged_file_is_named(store, tmp_path):
    store.save(Review("toy/1", "ann", "sad"))
    path = tmp_path / "state" / "reviews.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ArtifactError, match="newer version"):
        store.reviews()
    with pytest.raises(ArtifactError, match="newer version"):
        store.save(Review("toy/1", "ann"))
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"no database" * 100)
    with pytest.raises(ArtifactError, match="cannot be read"):
        ReviewStore(other).reviews()


def test_state_stands_beside_the_artifacts_or_where_it_is_told(tmp_path, monkeypatch):
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "toy")
    monkeypatch.delenv("FERSCOPE_STATE", raising=False)
    ReviewStore.of(benchmark).save(Review("toy/1", "ann", "sad"))
    assert (benchmark.root / "reviews.sqlite").is_file()
    monkeypatch.setenv("FERSCOPE_STATE", str(tmp_path / "state"))
    assert ReviewStore.of(benchmark).reviews() == []
    ReviewStore.of(benchmark).save(Review("toy/2", "ann", "sad"))
    assert (tmp_path / "state" / "toy" / "reviews.sqlite").is_file()


def pool_label(sample: str, annotator: str = "ann", label: str = "happy", **design) -> PoolLabel:
    return PoolLabel("p1", sample, annotator, label, **design)


def test_a_label_keeps_its_step_and_another_annotators_is_a_second_opinion(store):
    store.save_label(pool_label("toy/2", step=0, probability=0.25))
    store.save_label(pool_label("toy/1", step=1, probability=0.5))
    store.save_label(pool_label("toy/2", "bob", "sad", step=1, probability=0.9))
    store.save_label(pool_label("toy/2", label="fear", step=7, probability=0.7))  # it is corrected
    assert [(x.sample_id, x.annotator, x.label, x.step, x.probability)
            for x in store.labels("p1")] == [
        ("toy/2", "ann", "fear", 0, 0.25),
        ("toy/1", "ann", "happy", 1, 0.5),
        ("toy/2", "bob", "sad", None, None),
    ]  # fmt: skip
    assert store.labels("p2") == []
    assert store.label_pools() == {"p1": 3}


def test_a_deleted_label_leaves_its_step_to_the_second_opinion(store):
    store.save_label(pool_label("toy/2", step=0, probability=0.25))
    store.save_label(pool_label("toy/2", "bob", "sad"))
    store.delete_label(store.labels("p1")[0])
    (left,) = store.labels("p1")
    assert (left.annotator, left.step, left.probability) == ("bob", 0, 0.25)
    store.delete_label(left)
    assert store.labels("p1") == []


def test_two_images_cannot_have_one_step(store):
    store.save_label(pool_label("toy/2", step=0, probability=0.25))
    with pytest.raises(ArtifactError, match="labelled meanwhile"):
        store.save_label(pool_label("toy/3", "bob", step=0, probability=0.25))
    assert len(store.labels("p1")) == 1


def test_a_file_of_the_first_schema_is_read_and_gains_labels(store, tmp_path):
    path = tmp_path / "state" / "reviews.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE reviews (sample_id TEXT NOT NULL, annotator TEXT NOT NULL, label TEXT "
            "NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL, updated TEXT NOT NULL, PRIMARY KEY "
            "(sample_id, annotator));"
            "CREATE TABLE slices (name TEXT PRIMARY KEY, annotator TEXT NOT NULL, sample_ids TEXT "
            "NOT NULL, description TEXT NOT NULL, created TEXT NOT NULL);"
            "INSERT INTO reviews VALUES ('toy/1', 'ann', 'sad', '[]', '', '2026-01-01');"
            "PRAGMA user_version = 1"
        )
    connection.close()
    assert store.labels("p1") == []
    store.save_label(pool_label("toy/1", step=0, probability=1.0))
    assert [x.label for x in store.labels("p1")] == ["happy"]
    assert [x.label for x in store.reviews("toy/1")] == ["sad"]


def test_tags_and_note_of_a_run_replace_the_former_ones(tmp_path):
    store = ReviewStore(tmp_path / "reviews.sqlite")
    store.save(Review("a/1", "anna", note="unsure"))  # a file without the table of run notes
    assert store.run_notes() == {}
    store.save_run_note(RunNote("net-cpu-s0", ("fast", "fast", "b"), "first", "anna"))
    store.save_run_note(RunNote("net-cpu-s0", ("kept",), "second", "bert"))
    (note,) = store.run_notes().values()
    assert (note.run_id, note.tags, note.note, note.annotator) == (
        "net-cpu-s0", ("kept",), "second", "bert")  # fmt: skip
    assert note.updated
    assert len(store.reviews()) == 1
    with pytest.raises(ArtifactError, match="20 tags at most"):
        store.save_run_note(RunNote("x", tuple(map(str, range(21))), "", "anna"))


def test_a_note_that_was_changed_meanwhile_is_not_replaced(tmp_path):
    store = ReviewStore(tmp_path / "reviews.sqlite")
    trained = RunNote("net-cpu-s0", ("fast",), "of its training")
    store.save_run_note(RunNote("net-cpu-s0", (), "first", "anna"), trained)
    shown = store.run_notes()["net-cpu-s0"]
    message = "anna changed the note of net-cpu-s0 meanwhile, so yours was not saved"
    with pytest.raises(ArtifactError, match=message):
        store.save_run_note(RunNote("net-cpu-s0", (), "second", "bert"), trained)
    assert store.run_notes()["net-cpu-s0"] == shown
    store.save_run_note(RunNote("net-cpu-s0", (), "second", "bert"), shown)
    assert store.run_notes()["net-cpu-s0"].note == "second"


def test_views_are_saved_replaced_listed_and_deleted(tmp_path):
    store = ReviewStore(tmp_path / "reviews.sqlite")
    assert store.views() == []
    store.save(Review("a/1", "anna", note="unsure"))  # a file without the table of views
    assert store.views() == []
    store.save_view(SavedView("dark", "anna", "errors", "run=a&where=x"))
    store.save_view(SavedView("dark", "bert", "trust", "run=b"))
    store.save_view(SavedView("bright", "anna", "errors"))
    assert [(view.name, view.annotator, view.page) for view in store.views()] == [
        ("bright", "anna", "errors"),
        ("dark", "bert", "trust"),
    ]
    assert store.view_table()["query"].tolist() == ["", "run=b"]
    store.delete_view("dark")
    assert [view.name for view in store.views()] == ["bright"]
    for view in (SavedView(" ", "anna", "errors"), SavedView("x", "anna", "errors", "q" * 9000)):
        with pytest.raises(ArtifactError):
            store.save_view(view)


def test_slices_are_a_table_of_a_row_per_sample(tmp_path):
    store = ReviewStore(tmp_path / "reviews.sqlite")
    store.save_slice(SavedSlice("dark", "anna", ("a/2", "a/1"), "by hand"))
    table = store.slice_table()
    assert table[["slice", "annotator", "description", "id"]].to_numpy().tolist() == [
        ["dark", "anna", "by hand", "a/2"],
        ["dark", "anna", "by hand", "a/1"],
    ]
