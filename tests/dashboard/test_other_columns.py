"""Columns of a user's data, such as lighting, are filters and slices on the pages."""

import dataclasses

import numpy as np

from fer_core.artifacts import ArtifactStore
from fer_core.data.plan import PrepareOptions
from fer_core.data.prepare import prepare_sources, publish_facts
from fer_core.data.selection import SelectedSource
from fer_core.tables import write_table
from tests.support.builders import SIDE, ToySource, toy_benchmark, toy_run
from tests.support.helpers import ListSource
from tests.support.pages import texts
from tests.support.transfers import toy_transfer


def test_a_column_of_the_data_filters_samples(open_page, tmp_path):
    items = [
        dataclasses.replace(sample, extras={"lighting": "dim" if number % 2 else "bright"})
        for number, sample in enumerate(ToySource(per_class=20))
    ]
    source = SelectedSource(ListSource(items))
    options = PrepareOptions(side=SIDE)
    dataset = prepare_sources([source], options, tmp_path / "data" / "toy", name="toy")
    benchmark = ArtifactStore(tmp_path / "artifacts").benchmark("toy")
    publish_facts(dataset, benchmark)
    run = toy_run(benchmark, dataset, 0)
    app = open_page("errors", tmp_path / "artifacts", run=run.run_id, where="lighting: dim")
    assert not app.exception
    assert app.multiselect(key="where").value == ["lighting: dim"]
    dim = benchmark.samples().set_index("id")["lighting"] == "dim"
    listed = app.dataframe[0].value["id"]
    assert len(listed) > 0
    assert dim.loc[listed].all()


def test_persons_are_a_filter_and_have_their_accuracies_on_trust(open_page, tmp_path):
    toy = toy_benchmark(tmp_path)
    mine = toy_transfer(toy)
    table = mine.samples()
    table["group"] = np.array(["ann", "bob", "eve"])[np.arange(len(table)) % 3]
    write_table(mine.samples_path, table)
    run = mine.run("resnet34-cpu-s0").run_id
    query = {"benchmark": mine.name, "run": run}
    trust = open_page("trust", toy.artifacts, toy.data, **query)
    assert not trust.exception
    (shown,) = [item.value for item in trust.dataframe if "person" in item.value.columns]
    assert dict(zip(shown["person"], shown["images"], strict=True)) == {
        "ann": 7,
        "bob": 7,
        "eve": 7,
    }
    errors = open_page("errors", toy.artifacts, toy.data, **query, where="person: bob")
    listed = errors.dataframe[0].value["id"]
    bob = table.set_index("id")["group"] == "bob"
    assert bob.loc[listed].all()
    wrong = 7 - shown.set_index("person")["right"]["bob"]
    assert len(listed) == wrong > 0
    leaderboard = open_page("leaderboard", toy.artifacts, toy.data, benchmark=mine.name)
    assert "bootstrap over persons" in texts(leaderboard)
    assert "Sign-flip test over persons, Holm" in texts(leaderboard).replace("(", "")
    pairs = open_page("head_to_head", toy.artifacts, toy.data, benchmark=mine.name)
    assert not pairs.exception
    assert "Sign-flip test over persons: p" in texts(pairs)
    assert "in which the persons are resampled" in texts(leaderboard)
