"""The cost of ensembles, and the file of a measurement."""

import pytest

from fer_core.evaluation.efficiency import Efficiency, Latency, combined


def cost(run_id: str, milliseconds: float, memory: int | None = 100) -> Efficiency:
    return Efficiency(
        run_id=run_id,
        parameters=10,
        flops=20,
        weight_bytes=30,
        latency=(
            Latency(batch_size=1, milliseconds=milliseconds, repeats=5),
            Latency(batch_size=8, milliseconds=4 * milliseconds, repeats=7),
        ),
        peak_memory_bytes=memory,
        device="cpu",
        threads=1,
    )


def test_an_ensemble_costs_the_sum_of_its_members():
    result = combined("pair", [cost("a", 2.0), cost("b", 3.0)])
    assert (result.parameters, result.flops, result.weight_bytes) == (20, 40, 60)
    assert result.milliseconds(1) == 5.0
    assert result.latency[1].images_per_second == pytest.approx(8 / 0.02)
    assert result.milliseconds(32) is None
    assert result.peak_memory_bytes == 200
    assert combined("pair", [cost("a", 2.0), cost("b", 3.0, None)]).peak_memory_bytes is None


def test_members_of_different_runtimes_are_mixed():
    pair = [cost("a", 2.0), cost("b", 3.0)]
    assert combined("pair", pair).runtime == "torch"
    exported = pair[1].model_copy(update={"runtime": "onnxruntime"})
    assert combined("pair", [pair[0], exported]).runtime == "mixed"


def test_efficiency_survives_a_round_trip(tmp_path):
    cost("a", 2.0).write(tmp_path / "efficiency.json")
    assert Efficiency.read(tmp_path / "efficiency.json") == cost("a", 2.0)
