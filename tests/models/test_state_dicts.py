"""State dicts of training scripts fit their network, or what does not fit is named."""

import pytest
import torch
from torch import nn

from fer_core.errors import WeightsError
from fer_core.models.state_dicts import fit_state


def network(channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def test_prefixes_of_wrappers_are_removed_tensor_by_tensor():
    model = network()
    state = model.state_dict()
    body = {f"module.backbone.{name}": value for name, value in state.items() if name[0] != "2"}
    head = {f"module.{name}": value for name, value in state.items() if name[0] == "2"}
    fitted = fit_state(body | head, network(), "net.pth")
    assert (fitted.unused, fitted.notes) == ((), ())
    for name, value in state.items():
        assert torch.equal(fitted.tensors[name], value)


def test_a_network_of_one_channel_reads_the_mean_of_three():
    grey, images = network(1), torch.rand(2, 3, 8, 8)
    fitted = fit_state(grey.state_dict(), network(), "net.pth")
    model = network()
    model.load_state_dict(dict(fitted.tensors))
    expected = grey[0](images.mean(dim=1, keepdim=True))
    torch.testing.assert_close(model[0](images), expected)
    assert "0.weight reads one channel" in fitted.notes[0]


def test_counters_may_be_missing_and_other_tensors_are_named():
    state = network().state_dict()
    del state["1.num_batches_tracked"]
    fitted = fit_state({**state, "arcface.weight": torch.zeros(3)}, network(), "net.pth")
    assert fitted.unused == ("arcface.weight",)
    assert "arcface.weight" in fitted.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("2.bias"), r"missing: 2\.bias"),
        (lambda s: s.update({"2.weight": torch.zeros(3, 4)}), r"2\.weight \(3, 4\) for \(2, 4\)"),
        (lambda s: s.update({"module.2.bias": torch.zeros(2)}), "two tensors of one name"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    state = network().state_dict()
    change(state)
    with pytest.raises(WeightsError, match=message):
        fit_state(state, network(), "net.pth")
