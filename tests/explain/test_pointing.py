"""Trained networks on a task where the evidence is known: maps must point at it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.explain.ground_truth import hit, mass_inside
from fer_core.explain.methods import default_method, explain
from fer_core.explain.tables import BASELINES
from fer_core.models import build_model

SIDE, PATCH = 32, 8


def pictures(count: int, seed: int, classes_drawn: int = 4):
    """Noise with one square whose colour is the class, at any of sixteen places.

    Class 3 has no square: else a network could know one colour by the absence of the others.
    """
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    classes = torch.randint(0, classes_drawn, (count,), generator=generator)
    places = torch.randint(0, SIDE // PATCH, (count, 2), generator=generator) * PATCH
    masks = np.zeros((count, SIDE, SIDE), bool)
    for index, (y, x) in enumerate(places.tolist()):
        if classes[index] < 3:
            images[index, classes[index], y : y + PATCH, x : x + PATCH] += 2
        masks[index, y : y + PATCH, x : x + PATCH] = True
    return images, classes, masks


@pytest.fixture(scope="module", params=["tiny_cnn", "tiny_vit"])
def trained(request):
    torch.manual_seed(0)
    config = ModelConfig(architecture=request.param, image_size=SIDE)
    model = build_model(config, 4)
    images, classes, _ = pictures(512, 0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(160):
        batch = slice(64 * (step % 8), 64 * (step % 8) + 64)
        loss = F.cross_entropy(model(images[batch]), classes[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval().requires_grad_(False), config


LEAST = {
    "tiny_cnn": {
        "grad_cam": 0.9, "grad_cam_pp": 0.9, "hires_cam": 0.9, "layer_cam": 0.9, "eigen_cam": 0.9,
        "ablation_cam": 0.9, "integrated_gradients": 0.9, "occlusion": 0.9,
        "smoothed_gradients": 0.9, "fast_gradients": 0.9,
    },
    # The CAMs that average a gradient over all patches are left out: it says little of the one
    # patch that attention reads, and on this network Grad-CAM points away from it.
    "tiny_vit": {
        "eigen_cam": 0.8, "attention": 0.8, "rollout": 0.8, "grad_rollout": 0.8, "chefer": 0.7,
        "integrated_gradients": 0.9, "occlusion": 0.8,
    },
}  # fmt: skip


def test_maps_point_at_the_evidence(trained):
    """A method's peaks hit, its mass is far above the evidence's share, the controls' are not."""
    model, config = trained
    images, classes, masks = pictures(40, 1, classes_drawn=3)
    for method, least in LEAST[config.architecture].items():
        maps = explain(model, config, images, [None] * 40, method)
        answers = np.array([one.target.of for one in maps])
        assert (answers == classes.numpy()).mean() > 0.9
        pairs = list(zip(maps, masks, strict=True))
        assert np.mean([hit(one.values, mask) for one, mask in pairs]) >= least, method
        mass = np.mean([mass_inside(one.values, mask) for one, mask in pairs])
        assert mass > 3 * masks.mean(), method  # neither blank nor inverted
    for method in BASELINES:
        maps = explain(model, config, images, [None] * 40, method)
        pairs = list(zip(maps, masks, strict=True))
        assert np.mean([hit(one.values, mask) for one, mask in pairs]) < 0.25
    assert set(LEAST[config.architecture]) >= {default_method(config)}
