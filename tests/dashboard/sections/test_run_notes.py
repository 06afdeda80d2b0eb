"""Tags and notes of runs on the Run page, and parameters and tags on the Leaderboard."""

import shutil

from fer_core.artifacts import ArtifactStore
from fer_core.reviews import ReviewStore, RunNote
from tests.support.builders import toy_benchmark
from tests.support.pages import texts

RUN = "efficientnet_lite0-cpu-s1"


def ranked(app):
    return next(table.value for table in app.dataframe if "rank" in table.value.columns)


def note_area(app):
    (area,) = [area for area in app.text_area if area.key.startswith(f"note {RUN} ")]
    return area


def save(app):
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception


def test_tags_and_a_note_that_are_saved_are_shown_and_filter_the_leaderboard(open_page, tmp_path):
    toy = toy_benchmark(tmp_path)
    app = open_page("run", toy.artifacts, toy.data, run=RUN)
    (tags,) = [item for item in app.multiselect if item.key.startswith(f"tags {RUN} ")]
    tags.set_value(["keep"])
    note_area(app).set_value("The second seed.")
    app.text_input(key="note-name").set_value("anna")
    save(app)
    assert "Saved." in app.success[0].value
    note = ReviewStore.of(toy.benchmark).run_notes()[RUN]
    assert (note.tags, note.note, note.annotator) == (("keep",), "The second seed.", "anna")

    app = open_page("leaderboard", toy.artifacts, toy.data, parameters="model.architecture")
    table = ranked(app).set_index("run")
    assert table.loc[RUN, "tags"] == "keep"
    assert table.loc["resnet34-cpu-s0", "model.architecture"] == "efficientnet_lite0"
    app = open_page("leaderboard", toy.artifacts, toy.data, tags="keep")
    assert not app.exception
    assert list(ranked(app)["run"]) == [RUN]


def test_a_note_stays_with_its_benchmark(open_page, artifacts_copy):
    shutil.copytree(artifacts_copy / "toy", artifacts_copy / "other")
    other = ArtifactStore(artifacts_copy).benchmark("other")
    other.info().model_copy(update={"name": "other"}).write(other.info_path)
    app = open_page("run", artifacts_copy, benchmark="toy", run=RUN)
    note_area(app).set_value("Of toy.")
    save(app)
    app.selectbox(key="benchmark").set_value("other").run()
    assert app.selectbox(key="run").value == RUN
    assert note_area(app).value == ""


def test_a_note_that_another_visitor_changed_meanwhile_is_kept(open_page, benchmark_copy):
    store = ReviewStore.of(benchmark_copy)
    app = open_page("run", benchmark_copy.root.parent, run=RUN)
    note_area(app).set_value("Mine, of two lines.")
    store.save_run_note(RunNote(RUN, (), "Theirs.", "bert"))
    save(app)
    assert "bert changed the note" in texts(app).replace("\\", "")
    assert [code.value for code in app.code if "Mine" in code.value] == ["Mine, of two lines."]
    assert store.run_notes()[RUN].note == "Theirs."
    assert note_area(app).value == "Theirs."  # shown from now on, so it can be replaced
    note_area(app).set_value("Both.")
    save(app)
    assert store.run_notes()[RUN].note == "Both."
