"""The test ledger and corrected labels on the Leaderboard page."""

import pandas as pd

from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.label_issues import TrainLabelIssues
from fer_core.records import Corrections, LedgerEntry
from fer_core.tables import write_table
from tests.support.pages import contents, texts


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
    assert "Given and corrected labels compared" in contents(app)
    assert contents(app) == [item.value for item in app.subheader]
    table = named(app, "corrected labels")
    assert len(table) == 4
    assert table["difference"].abs().max() > 0
    assert "1 labels are changed, 0 images removed" in texts(app)


def test_likely_label_errors_of_train_are_listed_and_exported(open_page, artifacts_copy):
    benchmark = ArtifactStore(artifacts_copy).benchmark("toy")
    query = {"issues": "Likely label errors", "labels_of": "Train"}
    app = open_page("quality", artifacts_copy, **query)
    assert not app.exception
    assert "python -m training check-labels toy" in app.code[0].value
    samples = benchmark.samples()
    first = samples[samples["split"] == "train"].iloc[0]
    other = next(name for name in benchmark.info().labels if name != first["label"])
    row = {
        "id": first["id"],
        "split": "train",
        "given": first["label"],
        "suggested": other,
        "quality": 0.1,
        "confidence": 0.9,
        "given_probability": 0.1,
    }
    issues = TrainLabelIssues(
        split_hash=benchmark.info().split_hash,
        features="a network",
        saw_labels=True,
        folds=5,
        images=140,
        accuracy=0.8,
        table=pd.DataFrame([row]),
    )
    issues.write(benchmark.train_labels_path)
    app = open_page("quality", artifacts_copy, **query)
    assert not app.exception
    listed = named(app, "proposal")
    assert listed[["id", "proposal", "take"]].to_numpy().tolist() == [[first["id"], other, True]]
    assert "1 of 140 training labels disagree with a model" in texts(app)
    assert "memorised wrong labels" in texts(app)
