"""The test ledger and corrected labels on the Leaderboard page."""

from fer_core.artifacts import ArtifactStore, write_table
from fer_core.records import Corrections, LedgerEntry
from tests.support.pages import texts


def named(app, key: str):
    """Returns the table that has a column."""
    return next(table.value for table in app.dataframe if key in table.value)


def test_one_reading_per_lineage_is_said(open_page, artifacts_copy):
    benchmark = ArtifactStore(artifacts_copy).benchmark("toy")
    ensemble = benchmark.run("pair-cpu")
    for path in sorted(ensemble.root.iterdir()):
        path.unlink()
    ensemble.root.rmdir()
    app = open_page("leaderboard", artifacts_copy)
    assert not app.exception
    assert "Test was read once in the lineage of each run." in texts(app)


def test_readings_of_a_lineage_are_a_column_and_widen_the_interval(open_page, artifacts_copy):
    run = ArtifactStore(artifacts_copy).benchmark("toy").run("resnet34-cpu-s0")
    entries = tuple(LedgerEntry(time=f"2026-01-0{day}") for day in (1, 2, 3))
    run.info().model_copy(update={"test_ledger": entries}).write(run.info_path)
    app = open_page("leaderboard", artifacts_copy)
    assert not app.exception
    ranked = named(app, "test_readings").set_index("run")["test_readings"]
    # ResNet-34 3 and its ensemble 1; the ensemble also has its other member
    assert ranked["resnet34-cpu-s0"] == 4
    assert ranked["pair-cpu"] == 5
    assert "Test was read up to 5 times in the lineage of a run" in texts(app)
    assert "1.31 times as wide" in texts(app)
    table = named(app, "in its lineage").set_index("model")
    assert (
        table.loc["EfficientNet-Lite0 number 1", "95%"]
        == (table.loc["EfficientNet-Lite0 number 1", "95% for all readings"])
    )


def test_runs_are_shown_under_given_and_corrected_labels(open_page, artifacts_copy):
    store = ArtifactStore(artifacts_copy)
    base, new = store.benchmark("toy"), store.benchmark("toy-corrected")
    assert "given and corrected" not in texts(open_page("leaderboard", artifacts_copy))
    samples = base.samples()
    first = samples.index[samples["split"] == "test"][0]
    samples.loc[first, "label"] = next(
        name for name in base.info().labels if name != samples.loc[first, "label"]
    )
    new.root.mkdir()
    write_table(new.samples_path, samples)
    record = Corrections(
        base_split_hash=base.info().split_hash, listed=1, counts={"test": 1}, labels={}
    )
    update = {"name": "toy-corrected", "split_hash": "other", "corrections": record}
    base.info().model_copy(update=update).write(new.info_path)
    app = open_page("leaderboard", artifacts_copy, benchmark="toy")
    assert not app.exception
    assert "Under given and corrected labels" in texts(app)
    table = named(app, "corrected labels")
    assert len(table) == 4
    assert table["difference"].abs().max() > 0
    assert "1 labels are changed, 0 images removed" in texts(app)
