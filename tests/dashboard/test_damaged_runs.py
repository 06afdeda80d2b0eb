"""Thirteen damaged runs beside four good ones: the good ones keep every page."""

import pytest

from dashboard.pages import PAGES
from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.report import Report
from tests.support.damage import add_damaged_runs
from tests.support.pages import problems, texts

GOOD = "efficientnet_lite0-cpu-s0"
NAMES = [page.name for page in PAGES if page.name != "live"]  # its camera needs a server
RANKED = {"leaderboard", "trust", "head_to_head", "confusion", "errors"}


@pytest.fixture(scope="module")
def damaged(toy, tmp_path_factory):
    import shutil

    artifacts = shutil.copytree(toy.artifacts, tmp_path_factory.mktemp("damaged") / "artifacts")
    return artifacts, add_damaged_runs(artifacts / "toy", GOOD)


def test_the_leaderboard_ranks_the_good_runs_and_names_every_other(damaged):
    artifacts, bad = damaged
    results = read_results(ArtifactStore(artifacts).benchmark("toy"))
    assert len(results.entries) == 4
    assert not {entry.run_id for entry in results.entries} & set(bad)
    named = {warning.split(":")[0]: warning for warning in results.warnings}
    assert set(named) == set(bad)
    assert "lack 1 of" in named["damaged-id"]
    assert "another label for 1 sample" in named["damaged-label"]
    assert "accuracy" in named["damaged-swapped"]
    assert "symbolic link" in named["damaged-linked"]
    assert [warning for warning in results.warnings if str(artifacts) in warning] == []


@pytest.mark.parametrize("page", NAMES)
def test_every_page_shows_the_good_runs(page, open_page, damaged, toy):
    artifacts, bad = damaged
    app = open_page(page, artifacts)
    assert not app.exception
    assert not app.error
    shown = texts(app).replace("\\", "")
    assert str(artifacts) not in shown
    if page in RANKED:
        assert {line.split(":")[0] for line in problems(app)} == set(bad)


def test_the_good_runs_keep_their_metrics(damaged, toy):
    artifacts, _ = damaged
    report = Report.read(ArtifactStore(artifacts).benchmark("toy").run(GOOD).report_path)
    results = read_results(ArtifactStore(artifacts).benchmark("toy"))
    (entry,) = [entry for entry in results.entries if entry.run_id == GOOD]
    assert entry.values["accuracy"] == pytest.approx(report.test.accuracy.value)
