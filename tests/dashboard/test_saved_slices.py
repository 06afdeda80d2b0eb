"""Saved slices: from a list of samples to a filter and a column of the leaderboard."""

import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.reviews import ReviewStore, SavedSlice
from tests.support.pages import texts


@pytest.fixture
def store(artifacts_copy):
    return ReviewStore.of(ArtifactStore(artifacts_copy).benchmark("toy"))


def save(app, name):
    app.text_input(key="slice-name-list").set_value(name)
    next(button for button in app.button if button.label == "Save slice").click()
    app.run()
    assert not app.exception


def test_a_list_is_saved_and_filters_another_page(open_page, artifacts_copy, store):
    app = open_page("confusion", artifacts_copy, run="pair-cpu", true="happy", predicted="any")
    save(app, "smiles: all")
    (saved,) = store.slices()
    assert (saved.name, len(saved.sample_ids)) == ("smiles: all", 10)
    app = open_page("errors", artifacts_copy, where="slice smiles: all: yes", run="pair-cpu")
    assert app.multiselect(key="where").value == ["slice smiles: all: yes"]
    assert set(app.dataframe[0].value["id"]) <= set(saved.sample_ids)
    assert set(app.dataframe[0].value["true"]) == {"happy"}


def test_a_slice_is_a_column_of_the_leaderboard(open_page, artifacts_copy, store):
    app = open_page("leaderboard", artifacts_copy)
    assert not [box for box in app.multiselect if box.label == "Saved slices"]
    app = open_page("errors", artifacts_copy, run="pair-cpu")
    save(app, "errors")
    app = open_page("leaderboard", artifacts_copy, slices="errors")
    table = app.dataframe[0].value
    (column,) = [name for name in table if name.startswith("errors (") and "interval" not in name]
    pair = table.loc[table["run"] == "pair-cpu"]
    assert pair[column].item() == 0  # only its errors are in the slice
    assert pair[f"{column} interval"].item().startswith("0.0 to ")


def test_slices_are_listed_and_deleted(open_page, artifacts_copy, store):
    store.save_slice(SavedSlice("dark", "ada", ("toy/00001",), "a test"))
    app = open_page("leaderboard", artifacts_copy)
    assert "saved by ada" in texts(app)
    app.button(key="delete-slice-dark").click().run()
    assert not app.exception
    assert store.slices() == []


def test_a_slice_of_other_samples_gets_no_column(open_page, artifacts_copy, store):
    store.save_slice(SavedSlice("elsewhere", "ada", ("other/1",)))
    app = open_page("leaderboard", artifacts_copy, slices="elsewhere")
    assert not app.exception
    assert not [name for name in app.dataframe[0].value if "elsewhere" in str(name)]


def test_a_name_is_required(open_page, artifacts_copy, store):
    app = open_page("errors", artifacts_copy, run="pair-cpu")
    save(app, "  ")
    assert "needs a name" in texts(app)
    assert store.slices() == []
