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


def test_a_network_of_one_channel_reads_the_luma_of_three():
    grey, images = network(1), torch.rand(2, 3, 8, 8)
    fitted = fit_state(grey.state_dict(), network(), "net.pth")
    model = network()
    model.load_state_dict(dict(fitted.tensors))
    red, green, blue = images.unbind(1)
    expected = grey[0]((0.299 * red + 0.587 * green + 0.114 * blue)[:, None])
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


def sequence() -> nn.Sequential:
    """A network whose classifier is the layer `head`."""
    model = nn.Sequential()
    model.add_module("stem", nn.Conv2d(3, 4, 3))
    model.add_module("body", nn.Conv2d(4, 4, 3))
    model.add_module("head", nn.Linear(4, 2))
    return model


@pytest.mark.parametrize("prefix", ["encoder.", "net.features.", "module.model.my_own_name."])
def test_a_prefix_of_the_scripts_own_is_found(prefix):
    state = sequence().state_dict()
    fitted = fit_state({prefix + name: value for name, value in state.items()}, sequence(), "x.pth")
    assert (fitted.unused, fitted.notes) == ((), ())
    assert all(torch.equal(fitted.tensors[name], value) for name, value in state.items())


@pytest.mark.parametrize("name", ["head.1", "classifier", "module.fc.0"])
def test_a_classifier_of_another_name_is_read_and_named(name):
    state = sequence().state_dict()
    body = {f"encoder.{key}": value for key, value in state.items() if not key.startswith("head")}
    head = {f"{name}.{part}": state[f"head.{part}"] for part in ("weight", "bias")}
    fitted = fit_state(body | head, sequence(), "x.pth")
    assert fitted.notes == (f"Its classifier {name} was read as head.",)
    assert torch.equal(fitted.tensors["head.weight"], state["head.weight"])


def test_a_classifier_of_several_layers_is_refused_with_a_remedy():
    state = sequence().state_dict()
    head = {name: state.pop(name) for name in ("head.weight", "head.bias")}
    first = {"head.0.weight": torch.zeros(4, 4), "head.0.bias": torch.zeros(4)}
    second = {"head.2.weight": head["head.weight"], "head.2.bias": head["head.bias"]}
    with pytest.raises(WeightsError, match=r"missing: head\.weight.*A classifier that is not one"):
        fit_state({**state, **first, **second}, sequence(), "x.pth")


def test_a_missing_classifier_or_another_network_is_told_apart():
    state = sequence().state_dict()
    backbone = {name: value for name, value in state.items() if not name.startswith("head")}
    with pytest.raises(WeightsError, match=r"\(missing: head\.weight, head\.bias\)\. A backbone"):
        fit_state(backbone, sequence(), "x.pth")
    other = {f"stage.head.{name}": value for name, value in backbone.items()}
    with pytest.raises(WeightsError, match=r"Check --architecture, --model-arg and .* A network"):
        fit_state(other, network(), "x.pth")


@pytest.mark.parametrize("name", ["body.attention.weight", "body.lora_A", "stem.0.weight"])
def test_weights_within_the_network_that_it_does_not_have_are_an_error(name):
    state = {**sequence().state_dict(), name: torch.ones(4, 4)}
    with pytest.raises(WeightsError, match=rf"does not have \({name}\): its network is a variant"):
        fit_state(state, sequence(), "x.pth")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body.relative_position_index", torch.zeros(4, 4, dtype=torch.int64)),
        ("body.total_ops", torch.zeros(1, dtype=torch.float64)),
        ("loss.weight", torch.ones(7)),
        ("aux.body.weight", torch.ones(4, 4)),
    ],
)
def test_counters_tables_and_other_networks_are_left_out(name, value):
    fitted = fit_state({**sequence().state_dict(), name: value}, sequence(), "x.pth")
    assert fitted.notes == (f"Tensors that the network does not have were left out: {name}.",)


@pytest.mark.parametrize(
    ("online", "average"),
    [
        ("net.", "ema_net."), ("model.", "ema_model.module."), ("module.", "module.ema."),
        ("", "swa."),
    ],
)  # fmt: skip
def test_of_two_copies_the_moving_average_is_read(online, average):
    state = sequence().state_dict()
    both = {online + name: value + 5 for name, value in state.items()}
    both |= {average + name: value for name, value in state.items()}
    fitted = fit_state({**both, "ema_model.decay": torch.tensor(0.9)}, sequence(), "x.pth")
    assert all(torch.equal(fitted.tensors[name], value) for name, value in state.items())
    assert f"The moving average under {average!r} of x.pth was read, not the other copy." in (
        fitted.notes
    )


def test_two_networks_in_one_file_are_an_error():
    state = sequence().state_dict()
    both = {
        f"{name}.{key}": value for name in ("student", "teacher") for key, value in state.items()
    }
    with pytest.raises(WeightsError, match=r"\(student\., teacher\.\)\..* --weights-key student,"):
        fit_state(both, sequence(), "x.pth")


def test_the_number_of_outputs_is_named():
    state = sequence().state_dict()
    state |= {"head.weight": torch.zeros(1001, 4), "head.bias": torch.zeros(1001)}
    with pytest.raises(WeightsError, match="has 1,001 outputs for 2 --labels"):
        fit_state(state, sequence(), "x.pth")
