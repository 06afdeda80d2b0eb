"""The comparison of a benchmark with a transferred set, on small sets."""

import pandas as pd
import pytest

from fer_core.evaluation import shift_build
from fer_core.evaluation.accuracy_estimates import Estimator
from fer_core.evaluation.estimate_trust import margin_of
from fer_core.evaluation.shift_build import build_shift, read_runs
from tests.support.builders import toy_benchmark
from tests.support.transfers import toy_transfer


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A toy benchmark whose estimates were checked on one set, without an error."""
    toy = toy_benchmark(tmp_path_factory.mktemp("checked"))
    row = {
        "set": "slice", "kind": "slice", "run_id": "net", "validation": 0.85, "samples": 1600,
        "accuracy": 0.85, "outside": 0.01, "moved": 0.1, **dict.fromkeys(map(str, Estimator), 0.85),
    }  # fmt: skip
    pd.DataFrame([row]).to_parquet(toy.benchmark.estimate_checks_path)
    return toy


def test_the_margin_counts_the_images_of_validation(checked):
    benchmark = toy_transfer(checked, "margin")
    report = build_shift(benchmark)
    images = {len(run.validation) for run in read_runs(benchmark).values()}
    estimates = [run.estimate for run in report.runs]
    assert report.margin == margin_of(estimates, report.faces, 0.0, *images)
    assert report.error.sets == 1


def test_labels_that_contradict_the_estimate_are_a_reason_against_it(checked, monkeypatch):
    monkeypatch.setattr(shift_build, "margin_of", lambda *_: 0.01)
    report = build_shift(toy_transfer(checked, "refuted"))  # its runs predict at random
    assert not report.trusted
    assert report.reasons[0].startswith("The labels contradict the estimate: ")
