"""Saved slices: from a list of samples to a filter and a column of the leaderboard."""

import json

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


def test_a_slices_name_is_no_markdown(open_page, artifacts_copy, store):
    store.save_slice(SavedSlice("*dark*", "ada", happy_test_images(artifacts_copy)))
    app = open_page("leaderboard", artifacts_copy, slices="*dark*")
    assert not app.exception
    columns = json.loads(app.dataframe[0].proto.columns)
    helps = [config["help"] for config in columns.values() if "Wilson" in config.get("help", "")]
    assert [text for text in helps if "dark" in text] == [
        r"95% Wilson interval of the accuracy on \*dark\* \(10\)."
    ]


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


PAGES = ("leaderboard", "confusion", "errors", "head_to_head", "trust", "run", "explorer")


def happy_test_images(artifacts):
    samples = ArtifactStore(artifacts).benchmark("toy").samples()
    inside = (samples["split"] == "test") & (samples["label"] == "happy")
    return tuple(samples.loc[inside, "id"])


@pytest.mark.parametrize("page", PAGES)
def test_a_slice_restricts_every_page_with_samples(page, open_page, artifacts_copy, store):
    ids = happy_test_images(artifacts_copy)
    store.save_slice(SavedSlice("smiles", "ada", ids))
    query = {"view": "Samples"} if page == "explorer" else {}
    app = open_page(page, artifacts_copy, slice="smiles", **query)
    assert not app.exception
    assert app.sidebar.selectbox(key="slice").value == "smiles"
    expected = {
        "confusion": f"{len(ids)} images, accuracy",
        "explorer": f"{len(ids)} images",
    }.get(page, f"{len(ids)} images in the slice smiles")
    if page == "run":
        assert app.metric[0].value.endswith("%")
    elif page != "trust":
        assert expected in texts(app)


def test_a_slice_without_evaluated_images_says_so(open_page, artifacts_copy, store):
    samples = ArtifactStore(artifacts_copy).benchmark("toy").samples()
    store.save_slice(SavedSlice("seen", "ada", tuple(samples["id"][samples["split"] == "train"])))
    app = open_page("trust", artifacts_copy, slice="seen")
    assert not app.exception
    assert "The slice seen has no image of test" in app.info[0].value


def test_the_leaderboard_of_a_slice_has_its_accuracy(open_page, artifacts_copy, store):
    app = open_page("errors", artifacts_copy, run="pair-cpu")
    save(app, "errors")
    table = open_page("leaderboard", artifacts_copy, slice="errors").dataframe[0].value
    assert table.loc[table["run"] == "pair-cpu", "accuracy"].item() == 0


def test_a_name_is_required(open_page, artifacts_copy, store):
    app = open_page("errors", artifacts_copy, run="pair-cpu")
    save(app, "  ")
    assert "needs a name" in texts(app)
    assert store.slices() == []
