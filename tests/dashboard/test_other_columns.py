"""Columns of a user's data, such as lighting, are filters and slices on the pages."""

import dataclasses

from fer_core.artifacts import ArtifactStore
from fer_core.data.plan import PrepareOptions
from fer_core.data.prepare import prepare_sources, publish_facts
from fer_core.data.selection import SelectedSource
from tests.support.builders import SIDE, ToySource, toy_run
from tests.support.helpers import ListSource


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
