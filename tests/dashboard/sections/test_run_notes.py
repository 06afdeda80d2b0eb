"""Tags and notes of runs on the Run page, and parameters and tags on the Leaderboard."""

from fer_core.reviews import ReviewStore
from tests.support.builders import toy_benchmark

RUN = "efficientnet_lite0-cpu-s1"


def ranked(app):
    return next(table.value for table in app.dataframe if "rank" in table.value.columns)


def test_tags_and_a_note_that_are_saved_are_shown_and_filter_the_leaderboard(open_page, tmp_path):
    toy = toy_benchmark(tmp_path)
    app = open_page("run", toy.artifacts, toy.data, run=RUN)
    app.multiselect(key=f"tags {RUN}").set_value(["keep"])
    app.text_area(key=f"note {RUN}").set_value("The second seed.")
    app.text_input(key="note-name").set_value("anna")
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception
    note = ReviewStore.of(toy.benchmark).run_notes()[RUN]
    assert (note.tags, note.note, note.annotator) == (("keep",), "The second seed.", "anna")

    app = open_page("leaderboard", toy.artifacts, toy.data, parameters="model.architecture")
    table = ranked(app).set_index("run")
    assert table.loc[RUN, "tags"] == "keep"
    assert table.loc["resnet34-cpu-s0", "model.architecture"] == "efficientnet_lite0"
    app = open_page("leaderboard", toy.artifacts, toy.data, tags="keep")
    assert not app.exception
    assert list(ranked(app)["run"]) == [RUN]
