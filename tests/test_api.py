"""The Python API: its examples run, and its import is light."""

import doctest
import json
import subprocess
import sys
from importlib import import_module

import pytest

import fer_core
from fer_core.errors import ArtifactError, DataError
from fer_core.explain.saliency import Target
from fer_core.predictor import Predictor

MODULES = (
    "fer_core.api",
    "fer_core.evaluation.predictions",
    "fer_core.explain.one_face",
    "fer_core.predictor.predictor",
)
RUN = "efficientnet_lite0-cpu-s0"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings_run(name, monkeypatch):
    monkeypatch.delenv("FERSCOPE_ARTIFACTS", raising=False)
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, json, fer_core; names = dir(fer_core); "
        "print(json.dumps([sorted(m for m in sys.modules if m.split('.')[0] in "
        "('torch', 'pandas', 'numpy', 'pydantic', 'PIL')), names]))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    heavy, names = json.loads(output)
    assert heavy == []
    assert set(fer_core.__all__) <= set(names)


def test_every_name_is_what_it_says_and_others_are_errors():
    assert fer_core.Predictor is Predictor
    assert callable(fer_core.explain)
    assert fer_core.explain.__name__ == "fer_core.explain"  # still the package
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = fer_core.train


def test_an_unknown_benchmark_is_named_with_the_known_ones(toy):
    assert fer_core.open_benchmark("toy", str(toy.artifacts)) == toy.benchmark
    with pytest.raises(ArtifactError, match=r"no benchmark 'other' in .*Known: toy"):
        fer_core.open_benchmark("other", toy.artifacts)


def test_the_leaderboard_is_a_table_with_intervals(toy):
    table = fer_core.leaderboard(toy.benchmark)
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert table["accuracy"].is_monotonic_decreasing
    assert (table["macro_recall_low"] <= table["macro_recall"]).all()
    assert set(table["run"]) == {run.run_id for run in toy.benchmark.runs()}
    some = fer_core.leaderboard(toy.benchmark, "validation", ["happy", "sad"])
    assert (some["images"] < table["images"]).all()
    with pytest.raises(ArtifactError, match="no evaluation set 'train'"):
        fer_core.leaderboard(toy.benchmark, "train")


def test_explain_takes_classes_by_name(toy):
    predictor = Predictor(toy.benchmark)
    face = toy.dataset.images[0]
    found = fer_core.explain(predictor, face, RUN, label="happy", against="sad", method="grad_cam")
    labels = predictor.labels
    assert found.target == Target(labels.index("happy"), labels.index("sad"))
    with pytest.raises(DataError, match="joyful"):
        fer_core.explain(predictor, face, RUN, label="joyful")
