"""Saved views: a page with its address, under a name."""

import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.reviews import ReviewStore, SavedView


@pytest.fixture
def store(artifacts_copy):
    return ReviewStore.of(ArtifactStore(artifacts_copy).benchmark("toy"))


def press(app, label):
    next(button for button in app.button if button.label == label).click()
    app.run()
    assert not app.exception


def test_the_present_page_is_saved_with_what_is_picked(open_page, artifacts_copy, store):
    query = {"run": "pair-cpu", "where": "class: happy", "true": "happy", "predicted": "any"}
    app = open_page("confusion", artifacts_copy, **query)
    app.text_input(key="view-name").set_value("smiles")
    press(app, "Save this view")
    (view,) = store.views()
    assert (view.name, view.page) == ("smiles", "confusion")
    assert "run=pair-cpu" in view.query
    assert "where=class%3A+happy" in view.query
    assert "true=happy" in view.query


def test_an_annotators_name_is_no_markdown(open_page, artifacts_copy, store):
    store.save_view(SavedView("smiles", "[ada](x) *a*", "confusion", "run=pair-cpu"))
    app = open_page("trust", artifacts_copy)
    (link,) = [element.proto for element in app.get("page_link") if element.proto.label == "smiles"]
    assert r"saved by \[ada\]\(x\) \*a\* on" in link.help


def test_a_view_is_a_link_on_every_page_until_it_is_deleted(open_page, artifacts_copy, store):
    store.save_view(SavedView("smiles", "ada", "confusion", "run=pair-cpu&true=happy"))
    store.save_view(SavedView("old", "ada", "no_such_page", ""))
    app = open_page("trust", artifacts_copy)
    (link,) = [element.proto for element in app.get("page_link") if element.proto.label == "smiles"]
    assert "run=pair-cpu" in link.query_string
    app.button(key="delete-view-smiles").click().run()
    assert [view.name for view in store.views()] == ["old"]
