"""What runs can do, by the files that they have."""

from fer_core.abilities import Abilities, abilities_of

NETWORK = "efficientnet_lite0-cpu-s0"


def test_a_network_without_weights_keeps_its_results_and_cannot_predict(benchmark_copy):
    run = benchmark_copy.run(NETWORK)
    assert abilities_of(run) == Abilities(predicts=True, has_layers=True)
    run.weights_path.unlink()
    found = abilities_of(run)
    assert not found.predicts
    assert not found.has_layers
    assert "no weights" in found.reason
    assert "model.safetensors" in found.reason


def test_an_ensemble_names_the_member_that_lacks_weights(benchmark_copy):
    ensembles = [run for run in benchmark_copy.runs() if run.info().members]
    assert ensembles
    for run in ensembles:
        assert abilities_of(run).predicts
        member = benchmark_copy.run(run.info().members[0])
        member.weights_path.unlink()
        found = abilities_of(run)
        assert not found.predicts
        assert member.info().title in found.reason
