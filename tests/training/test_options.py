"""Commands that need training or validation images refuse a transferred set with the remedy."""

import pytest

from fer_core.errors import ArtifactError
from tests.support.builders import toy_benchmark
from tests.support.transfers import toy_transfer
from training import __main__ as cli

SET, RUN = "toy/transfers/mine", "resnet34-cpu-s0"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    made = toy_benchmark(tmp_path_factory.mktemp("own"))
    toy_transfer(made)
    return made


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        (("train", "resnet34", "--benchmark", SET), "training adapt toy mine --run RUN"),
        (("benchmark", SET), "training adapt toy mine --run RUN"),
        (("evaluate", SET, RUN), "repeat `python -m training transfer`"),
        (("ensemble", SET, RUN, "efficientnet_lite0-cpu-s0"), "training ensemble toy"),
        (("robustness", SET), "training robustness toy RUN"),
        (("efficiency", SET), "training efficiency toy RUN"),
        (("probe", SET), "training probe toy RUN"),
        (("check-labels", SET), "with training labels to check"),
        (("import", SET, "model.onnx"), "Import the model to toy"),
    ],
)
def test_a_transferred_set_is_refused(toy, monkeypatch, command, remedy):
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    monkeypatch.setenv("FERSCOPE_DATA", str(toy.data))
    before = sorted(toy.benchmark.root.rglob("*"))
    with pytest.raises(ArtifactError, match=f"{SET} is a transferred set.*{remedy}"):
        cli.app([*command], standalone_mode=False)
    assert sorted(toy.benchmark.root.rglob("*")) == before
