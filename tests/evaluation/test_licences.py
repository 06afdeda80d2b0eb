"""Licences of weights: the table agrees with the registry."""

from fer_core.evaluation.licences import LICENCES, UNKNOWN, UNVERIFIED, weight_licences
from fer_core.models import spec_of
from fer_core.models.registry import architectures
from tests.support.builders import toy_benchmark


def test_every_architecture_has_the_licence_of_its_spec():
    built_in = [
        key for key in architectures() if spec_of(key).build.__module__.startswith("fer_core")
    ]
    assert sorted(LICENCES) == built_in  # without those that tests register
    for key, licence in LICENCES.items():
        text = spec_of(key).licence
        expected = UNVERIFIED if "could not be verified" in text else text.split(" (")[0]
        assert licence == expected, key


def test_an_ensemble_has_the_licences_of_its_members(tmp_path):
    benchmark = toy_benchmark(tmp_path).benchmark
    infos = {run.run_id: run.info() for run in benchmark.runs()}
    network, pair = infos["resnet34-cpu-s0"], infos["pair-cpu"]
    assert weight_licences(network, infos.get) == ("Apache-2.0",)
    assert weight_licences(pair, infos.get) == ("Apache-2.0",)
    assert weight_licences(pair, {}.get) == (UNKNOWN,)  # its members are gone
    imported = network.model_copy(update={"kind": "imported", "init": "elsewhere"})
    assert weight_licences(imported, infos.get) == (UNKNOWN,)
    from_file = network.model_copy(update={"init": "checkpoint", "init_source": "file x.pt"})
    assert weight_licences(from_file, infos.get) == (UNKNOWN,)
    from_run = network.model_copy(update={"init": "checkpoint", "init_source": "run toy/x"})
    assert weight_licences(from_run, infos.get) == ("Apache-2.0",)
    for init in ("scratch", "imagenet", "face"):
        started = network.model_copy(update={"init": init})
        assert weight_licences(started, infos.get) == ("Apache-2.0",)
