"""The command that searches a prepared set: what it adds, and what it leaves."""

import shutil

import pandas as pd
import pytest

from fer_core.data.card import DatasetCard
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import silent
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Report
from training.jobs.transformed_copies import add_transformed_copies, refresh_reports


@pytest.fixture
def dataset(toy, tmp_path) -> PreparedDataset:
    """A copy of the toy set, which the job writes to."""
    folder = shutil.copytree(toy.dataset.folder, tmp_path / "set")
    return PreparedDataset.open(folder)


def test_the_split_stays_and_card_flags_and_reports_follow(benchmark_copy, dataset):
    before, info = benchmark_copy.samples(), benchmark_copy.info()
    runs = [run for run in benchmark_copy.runs() if run.predictions_path.is_file()]
    reports = {run.run_id: Report.read(run.report_path) for run in runs}
    pairs = add_transformed_copies(dataset, benchmark_copy, silent)

    pd.testing.assert_frame_equal(pd.read_parquet(benchmark_copy.copies_path), pairs)
    samples = benchmark_copy.samples()
    pd.testing.assert_frame_equal(samples.drop(columns="leak"), before.drop(columns="leak"))
    assert (samples["leak"] >= before["leak"]).all()
    assert benchmark_copy.info().split_hash == info.split_hash
    leaked = int(((samples["split"] == "test") & samples["leak"]).sum())
    card = DatasetCard.read(benchmark_copy.card_path)
    assert card.leaked_test == benchmark_copy.info().leaked_test == leaked
    assert card.transformed is not None
    assert not card.transformed.removed
    assert "## Transformed copies" in benchmark_copy.card_text_path.read_text()

    assert refresh_reports(runs, samples) == [run.run_id for run in runs]
    for run in runs:
        report, earlier = Report.read(run.report_path), reports[run.run_id]
        assert report.test == earlier.test
        assert report.validation == earlier.validation
        assert report.test_leak_free is not None
        assert report.test_leak_free.samples == report.test.samples - leaked


def test_another_split_is_refused(benchmark_copy, dataset):
    info = benchmark_copy.info().model_copy(update={"split_hash": "other"})
    info.write(benchmark_copy.info_path)
    with pytest.raises(ArtifactError, match="another split"):
        add_transformed_copies(dataset, benchmark_copy, silent)
