"""Graphs without weights answer like their network, and notice changed weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fer_core.data.imaging import SampleFormat
from fer_core.data.preprocessing import Preprocessing
from fer_core.engine import onnx_graph
from fer_core.engine.classifiers import load_fastest
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx_graph import graph_copy, write_graph
from fer_core.engine.onnx_network import OnnxNetwork
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import load_tensors, save_tensors
from fer_core.models.stored_weights import in_stored_type
from fer_core.records import StoredType
from tests.support.builders import toy_benchmark

STORED = SampleFormat(48, False)
FACES = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


@pytest.fixture
def run(tmp_path):
    (run,) = toy_benchmark(tmp_path, runs=1).benchmark.runs()
    return run


def test_a_graph_reads_its_weights_beside_it_until_they_change(run):
    network = load_network(run, STORED)
    assert graph_copy(run, STORED) is None
    assert write_graph(network, run, FACES) <= 1e-5
    assert run.graph_path.stat().st_size < run.weights_path.stat().st_size / 2
    copy = graph_copy(run, STORED)
    rows = np.arange(len(FACES))
    np.testing.assert_allclose(
        copy.probabilities(FACES, rows), network.probabilities(FACES, rows), atol=1e-5
    )
    weights = load_file(run.weights_path)
    save_file({name: value + 1 for name, value in weights.items()}, run.weights_path)
    assert graph_copy(run, STORED) is None


@pytest.mark.parametrize("kind", list(StoredType))
def test_a_graph_computes_in_float32_with_weights_of_less_precision(run, kind):
    tensors, facts = load_tensors(run.weights_path)
    full = load_network(run, STORED).probabilities(FACES, np.arange(len(FACES)))
    save_tensors(run.weights_path, in_stored_type(tensors, kind), facts)
    network = load_network(run, STORED)
    assert write_graph(network, run, FACES) <= 1e-5
    assert run.graph_path.stat().st_size < run.weights_path.stat().st_size / 2
    answers = graph_copy(run, STORED).probabilities(FACES, np.arange(len(FACES)))
    np.testing.assert_allclose(answers, full, atol=0.05)


def test_the_graph_predicts_on_a_cpu_while_its_weights_are_current(run):
    cpu = torch.device("cpu")
    assert isinstance(load_fastest(run, STORED, cpu), Network)
    write_graph(load_network(run, STORED), run, FACES)
    assert isinstance(load_fastest(run, STORED, cpu), OnnxNetwork)
    assert isinstance(load_fastest(run, STORED, torch.device("meta")), Network)
    weights = load_file(run.weights_path)
    save_file({name: value + 1 for name, value in weights.items()}, run.weights_path)
    assert isinstance(load_fastest(run, STORED, cpu), Network)


def test_a_graph_that_is_too_large_is_refused_and_not_kept(run, monkeypatch):
    monkeypatch.setattr(onnx_graph, "MOST_BYTES", 1000)
    with pytest.raises(WeightsError, match=r"not all of its weights are in model\.safetensors"):
        write_graph(load_network(run, STORED), run, FACES)
    assert not run.graph_path.exists()
    assert list(run.root.glob("*.tmp")) == []


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [31, 48, 112])
def test_preprocessing_without_torch_equals_that_with_it(size, colour):
    prepare = Preprocessing(48, colour, size, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    faces = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    faces = faces if colour else faces[..., 0]
    expected = prepare(faces).numpy()
    result = prepare.array(faces)
    assert result.dtype == np.float32
    # torch has its weights in single precision; a grey level is 0.013 or more here
    np.testing.assert_allclose(result, expected, atol=5e-5)
