"""Loading models in advance: in order, within the limit, and without harm."""

import threading
from types import SimpleNamespace

import pytest

from dashboard.cache import warm_models
from fer_core.errors import ArtifactError


@pytest.fixture(autouse=True)
def not_started(monkeypatch):
    monkeypatch.setattr(warm_models, "_started", warm_models.threading.Event())


def test_models_are_loaded_in_order_until_the_limit(monkeypatch):
    memory = iter([0.5, 0.9, 1.1])
    monkeypatch.setattr(warm_models, "memory_gib", lambda: next(memory))
    seen = []
    assert warm_models.load_within(["a", "b", "c", "d"], seen.append, limit=1.0) == ["a", "b"]
    assert seen == ["a", "b"]


def test_a_model_that_cannot_be_loaded_costs_only_itself():
    def load(run_id):
        if run_id == "b":
            raise ArtifactError("damaged")

    assert warm_models.load_within(["a", "b", "c"], load, limit=1e9) == ["a", "c"]


def test_no_more_models_than_a_predictor_keeps():
    assert warm_models.load_within(["a", "b", "c"], str, limit=1e9, most=2) == ["a", "b"]


@pytest.mark.parametrize(("value", "starts"), [("0", 0), ("1.5", 1), ("many", 1)])
def test_it_starts_once_unless_it_is_off(monkeypatch, value, starts):
    started = []

    class Thread:
        def __init__(self, **options):
            self.options = options

        def start(self):
            started.append(self.options["args"])

    monkeypatch.setenv("FERSCOPE_WARM_MODELS", value)
    monkeypatch.setattr(warm_models.threading, "Thread", Thread)
    for _ in range(3):
        warm_models.start("benchmark")
    assert len(started) == starts


def test_the_memory_of_this_process_is_plausible():
    assert 0.01 < warm_models.memory_gib() < 100


def test_loading_waits_until_no_page_runs(monkeypatch):
    pages = warm_models.RunningPages()
    monkeypatch.setattr(warm_models, "pages", pages)
    loaded = []
    arguments = (["a"], loaded.append, 1e9)
    with pages.counted():
        thread = threading.Thread(target=warm_models.load_within, args=arguments)
        with pages.counted():
            thread.start()
        assert not pages.wait_for_none(0.05)
        assert loaded == []
    thread.join(10)
    assert loaded == ["a"]


def test_a_page_that_fails_no_longer_counts():
    pages = warm_models.RunningPages()
    with pytest.raises(ValueError, match="failed"), pages.counted():
        raise ValueError("failed")
    assert pages.wait_for_none(0)


def test_a_busy_server_loads_models_all_the_same(monkeypatch):
    monkeypatch.setattr(warm_models, "_PATIENCE_S", 0.01)
    with warm_models.pages.counted():
        assert warm_models.load_within(["a"], str, limit=1e9) == ["a"]


@pytest.mark.parametrize("error", [None, ImportError("not installed")])
def test_the_slow_import_of_live_follows_the_predictions(monkeypatch, error):
    done = []

    class Shared:
        format = SimpleNamespace(shape=(8, 8))

        def predict(self, faces, run_ids):
            done.append(run_ids[0])

    def import_module(name):
        done.append(name)
        if error:
            raise error

    monkeypatch.setattr(warm_models, "_DELAY_S", 0)
    monkeypatch.setattr(warm_models, "can_predict", lambda run: True)
    monkeypatch.setattr(warm_models, "predictor", lambda benchmark: Shared())
    monkeypatch.setattr(warm_models, "torch_installed", lambda: False)
    monkeypatch.setattr(warm_models.importlib, "import_module", import_module)
    run = SimpleNamespace(run_id="a", info=SimpleNamespace(members=()))
    warm_models._load(SimpleNamespace(runs=[run]), limit=1e9)
    assert done == ["a", warm_models.SLOW_IMPORT]
