"""The command that searches a prepared set: what it adds, and what it leaves."""

import shutil

import numpy as np
import pandas as pd
import pytest

from fer_core.artifacts import COPIES, BenchmarkDir
from fer_core.data.card import DatasetCard
from fer_core.data.packing import pack, unpack
from fer_core.data.prepare import publish_facts
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import silent
from fer_core.data.transformed_copies.summary import CopiesCard
from fer_core.data.transformed_copies.table import COLUMNS, COPY, TransformedCopies
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Report
from training.jobs import transformed_copies
from training.jobs.transformed_copies import add_transformed_copies, refresh_reports


@pytest.fixture
def dataset(toy, tmp_path) -> PreparedDataset:
    """A copy of the toy set, which the job writes to."""
    folder = shutil.copytree(toy.dataset.folder, tmp_path / "set")
    return PreparedDataset.open(folder)


@pytest.fixture
def benchmark(benchmark_copy) -> BenchmarkDir:
    """A copy of the toy benchmark, as if it was prepared before this search existed."""
    card = DatasetCard.read(benchmark_copy.card_path)
    card.model_copy(update={"transformed": None}).write(benchmark_copy.card_path)
    benchmark_copy.copies_path.unlink(missing_ok=True)
    return benchmark_copy


def test_the_split_stays_and_card_flags_and_reports_follow(benchmark, dataset):
    before, info = benchmark.samples(), benchmark.info()
    runs = [run for run in benchmark.runs() if run.predictions_path.is_file()]
    reports = {run.run_id: Report.read(run.report_path) for run in runs}
    pairs = add_transformed_copies(dataset, benchmark, silent)

    pd.testing.assert_frame_equal(pd.read_parquet(benchmark.copies_path), pairs)
    samples = benchmark.samples()
    pd.testing.assert_frame_equal(samples.drop(columns="leak"), before.drop(columns="leak"))
    assert (samples["leak"] >= before["leak"]).all()
    assert benchmark.info().split_hash == info.split_hash
    leaked = int(((samples["split"] == "test") & samples["leak"]).sum())
    card = DatasetCard.read(benchmark.card_path)
    assert card.leaked_test == benchmark.info().leaked_test == leaked
    assert card.transformed is not None
    assert not card.transformed.removed
    assert "## Transformed copies" in benchmark.card_text_path.read_text()

    assert refresh_reports(runs, samples) == [run.run_id for run in runs]
    for run in runs:
        report, earlier = Report.read(run.report_path), reports[run.run_id]
        assert report.test == earlier.test
        assert report.validation == earlier.validation
        assert report.test_leak_free is not None
        assert report.test_leak_free.samples == report.test.samples - leaked


def test_another_split_is_refused(benchmark, dataset):
    info = benchmark.info().model_copy(update={"split_hash": "other"})
    info.write(benchmark.info_path)
    with pytest.raises(ArtifactError, match="another split"):
        add_transformed_copies(dataset, benchmark, silent)


def test_a_set_whose_copies_were_removed_is_refused_and_keeps_its_record(benchmark, dataset):
    crossing = {"test in train": 3, "test in validation": 0, "validation in train": 0}
    removed = CopiesCard(
        removed=True,
        pairs={"copy": 3, "same scene": 0},
        changes={"mirrored": 3},
        held_out=crossing,
        used=dict.fromkeys(crossing, 0),
    )
    card = DatasetCard.read(benchmark.card_path)
    card.model_copy(update={"transformed": removed}).write(benchmark.card_path)
    paths = [path for folder in (benchmark.root, dataset.folder) for path in folder.glob("*.*")]
    before = {path: path.read_bytes() for path in paths}
    with pytest.raises(
        ArtifactError, match=r"copies of held-out images were removed: .* another --name"
    ):
        add_transformed_copies(dataset, benchmark, silent)
    assert {path: path.read_bytes() for path in paths} == before


@pytest.fixture
def no_copies(monkeypatch):
    """The search finds nothing, and takes no time."""
    found = TransformedCopies.none()
    monkeypatch.setattr(transformed_copies, "find_transformed_copies", lambda *_, **__: found)


@pytest.mark.usefixtures("no_copies")
def test_earlier_leaks_stay_leaks(benchmark, dataset):
    samples = benchmark.samples()
    clean = samples.index[(samples["split"] == "test") & ~samples["leak"]]
    samples.loc[clean[:2], "leak"] = True  # a source told of them
    samples.to_parquet(benchmark.samples_path)
    leaked = int((samples["leak"] & (samples["split"] == "test")).sum())
    add_transformed_copies(dataset, benchmark, silent)
    assert benchmark.samples()["leak"].tolist() == samples["leak"].tolist()
    card = DatasetCard.read(benchmark.card_path)
    assert benchmark.info().leaked_test == card.leaked_test == leaked
    assert card.leaks["same person, scene or source"] == 2


@pytest.fixture
def pair(dataset, monkeypatch) -> tuple[str, str]:
    """The only pair that the search finds: a training and a test image without duplicates."""
    table = dataset.samples
    clean = table["duplicate_group"] < 0
    rows = [int(np.argmax(clean & (table["split"] == split))) for split in ("train", "test")]
    facts = {name: [1.0] for name in COLUMNS[2:]} | {"kind": [COPY], "mirrored": [True]}
    found = TransformedCopies(np.array([rows]), pd.DataFrame(facts))
    monkeypatch.setattr(transformed_copies, "find_transformed_copies", lambda *_, **__: found)
    return tuple(table["id"].iloc[rows])


def test_the_results_are_packed_and_published_again(benchmark, dataset, pair, tmp_path):
    add_transformed_copies(dataset, benchmark, silent)
    again = unpack(pack(PreparedDataset.open(dataset.folder), tmp_path / "p"), tmp_path / "again")
    assert bool(again.samples.set_index("id").loc[pair[1], "leak"])
    other = BenchmarkDir(tmp_path / "other" / "toy")
    publish_facts(again, other)
    names = ["samples.parquet", COPIES, "card.json", "CARD.md", "benchmark.json"]
    for name in names:
        assert (other.root / name).read_bytes() == (benchmark.root / name).read_bytes(), name


def test_rows_of_the_benchmark_may_be_in_another_order(benchmark, dataset, pair):
    """As if its table came from another version; images are in the order of the prepared set."""
    turned = benchmark.samples().iloc[::-1].reset_index(drop=True)
    turned.to_parquet(benchmark.samples_path)
    pairs = add_transformed_copies(dataset, benchmark, silent)
    assert (pairs["id"].iloc[0], pairs["other"].iloc[0]) == pair
    for table in (benchmark.samples(), PreparedDataset.open(dataset.folder).samples):
        assert bool(table.set_index("id").loc[pair[1], "leak"])
        assert table["leak"].sum() == turned["leak"].sum() + 1
