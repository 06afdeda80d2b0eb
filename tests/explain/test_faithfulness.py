"""Faithfulness on models whose evidence is known by construction."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from scipy.stats import spearmanr
from torch import nn

from fer_core.config import ModelConfig
from fer_core.explain.faithfulness import (
    cell_means,
    insertion_deletion,
    order,
    randomisation,
    randomised,
    road,
    similarity,
    stability,
)
from fer_core.explain.methods import explain
from fer_core.explain.road import impute
from fer_core.explain.saliency import SaliencyMap, Target
from fer_core.models import build_model

SIDE = 24
LIT = np.zeros((SIDE, SIDE), np.float32)
LIT[4:8, 16:20] = 1


def corner(images: torch.Tensor) -> torch.Tensor:
    """Says class 0 as far as that square is bright."""
    score = 6 * images[:, :, 4:8, 16:20].mean(dim=(1, 2, 3)) - 3
    return torch.stack([score, -score], dim=1)


IMAGE = torch.from_numpy(LIT).expand(3, -1, -1).contiguous()


def as_map(values: np.ndarray, target: Target | None = None) -> SaliencyMap:
    target = target or Target(0)
    return SaliencyMap(values.astype(np.float32), target, "test", np.zeros(2, np.float32))


def test_the_true_map_has_optimal_deletion_and_insertion():
    truth, inverted = insertion_deletion(corner, IMAGE, [as_map(LIT), as_map(-LIT)], cells=6)
    whole = 1 / (1 + np.exp(-6))
    assert truth.deletion[0] == pytest.approx(whole, rel=1e-5)
    # the first twelfth of 36 cells holds the one that counts; the plain colour is 1/36
    without_evidence = 1 / (1 + np.exp(-2 * (6 / 36 - 3)))
    np.testing.assert_allclose(truth.deletion[1:], without_evidence, rtol=1e-4)
    np.testing.assert_allclose(truth.insertion[1:], whole, rtol=1e-4)
    expected = np.trapezoid([whole, *[without_evidence] * 12], np.linspace(0, 1, 13))
    assert truth.deletion_area == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(inverted.deletion[:-1], whole, rtol=1e-4)
    assert truth.insertion_area > inverted.insertion_area + 0.5
    assert truth.deletion_area < inverted.deletion_area - 0.5


def test_road_is_high_for_the_true_map_and_low_for_its_inverse():
    truth, inverted = road(corner, IMAGE, [as_map(LIT), as_map(-LIT)], cells=6)
    assert truth > 0.4
    assert inverted == pytest.approx(-truth, abs=0.02)


def test_without_maps_the_model_is_not_called():
    assert insertion_deletion(corner, IMAGE, []) == []
    assert road(corner, IMAGE, []) == []


def test_curves_of_a_contrast_use_its_two_classes():
    (curves,) = insertion_deletion(corner, IMAGE, [as_map(LIT, Target(1, against=0))], cells=6)
    assert curves.deletion[0] == pytest.approx(1 / (1 + np.exp(6)), rel=1e-4)


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_curves_depend_only_on_the_order_of_cells(seed):
    values = np.random.default_rng(seed).normal(size=(12, 12)).astype(np.float32)
    ranks = order(values, 12)
    assert sorted((ranks * 144).round().astype(int).ravel()) == list(range(144))
    assert ranks.ravel()[values.argmax()] == 0
    np.testing.assert_array_equal(ranks, order(np.exp(values) * 7, 12))


def test_ties_between_cells_have_no_spatial_order():
    ranks = order(np.zeros((12, 12), np.float32), 12)
    for line in (ranks.mean(axis=0), ranks.mean(axis=1)):
        assert abs(np.corrcoef(line, np.arange(12))[0, 1]) < 0.6


def test_cells_average_their_pixels():
    means = cell_means(np.arange(16, dtype=np.float32).reshape(4, 4), 2)
    np.testing.assert_allclose(means, [[2.5, 4.5], [10.5, 12.5]])


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_imputation_equals_that_of_grad_cam(share):
    random = np.random.default_rng(3)
    image = random.random((3, 12, 12), dtype=np.float32)
    removed = random.random((12, 12)) < share
    grad_cams = NoisyLinearImputer(noise=0)(
        torch.from_numpy(image), torch.from_numpy((~removed).astype(np.float32))
    )
    np.testing.assert_allclose(impute(image, removed, noise=0), grad_cams, atol=1e-5)


def test_imputation_of_no_and_of_all_pixels():
    image = np.random.default_rng(0).random((3, 6, 6), dtype=np.float32)
    np.testing.assert_array_equal(impute(image, np.zeros((6, 6), bool)), image)
    everything = impute(image, np.ones((6, 6), bool))
    np.testing.assert_allclose(everything[:, 0, 0], image.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(
        impute(image, LIT[:6, 14:20] > 0, seed=1), impute(image, LIT[:6, 14:20] > 0, seed=1)
    )


def test_similarity_equals_spearmans_correlation():
    random = np.random.default_rng(0)
    first, second = (random.random((12, 12), dtype=np.float32) for _ in range(2))
    expected = spearmanr(first.ravel(), second.ravel()).statistic
    assert similarity(first, second) == pytest.approx(expected)
    assert similarity(first, 3 * first - 1) == pytest.approx(1)
    assert similarity(first, -first) == pytest.approx(-1)
    assert similarity(first, np.zeros_like(first)) == 0


CONFIG = ModelConfig(architecture="tiny_cnn", image_size=32)


def by(method: str):
    def explainer(model, inputs, targets):
        config = CONFIG if isinstance(model, nn.Module) else None
        return explain(model, config, inputs, targets, method)

    return explainer


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_model(CONFIG, 7).eval()


def test_cascading_randomisation_randomises_all_weights_of_a_copy(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    steps = [(share, {k: v.clone() for k, v in made.state_dict().items()})
             for share, made in randomised(network, parts=2)]  # fmt: skip
    assert [share for share, _ in steps] == [0.5, 1.0]
    first, last = steps[0][1], steps[1][1]
    assert not torch.equal(first["head.weight"], before["head.weight"])
    assert torch.equal(first["features.0.weight"], before["features.0.weight"])
    assert all(not torch.equal(last[key], value) for key, value in before.items())
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
    spread = last["head.weight"].std() / before["head.weight"].std()
    assert float(spread) == pytest.approx(1, abs=0.1)


def test_randomisation_changes_gradient_maps_and_not_baselines(network):
    inputs = torch.randn(4, 3, 32, 32)
    for method, follows in (("hires_cam", True), ("centre", False)):
        maps = by(method)(network, inputs, [None] * 4)
        shares, similar = randomisation(by(method), network, inputs, maps, parts=2)
        assert shares.tolist() == [0.5, 1.0]
        assert similar.shape == (2, 4)
        assert (similar[-1].mean() < 0.6) == follows


def test_constant_weights_are_randomised_too():
    network = nn.Sequential(nn.LayerNorm(400), nn.Linear(400, 1)).requires_grad_(False)
    ((_, changed),) = randomised(network, parts=1)
    for weights, mean in ((changed[0].weight, 1.0), (changed[0].bias, 0.0)):
        assert float(weights.mean()) == pytest.approx(mean, abs=2e-3)
        assert float(weights.std()) == pytest.approx(1e-2, rel=0.15)
    assert float(changed[1].bias) != float(network[1].bias)


def test_noisy_inputs_and_random_copies_are_explained_for_the_same_targets(network):
    asked = []

    def explainer(model, inputs, targets):
        asked.append(list(targets))
        return [as_map(LIT, target) for target in targets]

    targets = [Target(1), Target(2, against=0)]
    inputs, maps = torch.zeros(2, 3, 32, 32), [as_map(LIT, target) for target in targets]
    stability(explainer, network, inputs, maps)
    randomisation(explainer, network, inputs, maps, parts=2)
    assert asked == [targets] * 3


def test_stability_is_one_without_noise_and_falls_with_noise(network):
    inputs = torch.randn(3, 3, 32, 32)
    maps = by("hires_cam")(network, inputs, [None] * 3)
    still = stability(by("hires_cam"), network, inputs, maps, noise=0)
    np.testing.assert_allclose(still, 1)
    shaken = stability(by("hires_cam"), network, inputs, maps, noise=2)
    assert shaken.mean() < 0.9
