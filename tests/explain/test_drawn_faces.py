"""The shipped Vision Transformer on drawn faces, where the evidence of an expression is known."""

import numpy as np
import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.config import parse_recipe
from fer_core.data.imaging import SampleFormat
from fer_core.engine.networks import load_network
from fer_core.explain.ground_truth import draw_evidence, hit, mass_inside
from fer_core.explain.methods import default_method, explain
from fer_core.labels import Emotion
from fer_core.project import ROOT

RUN = "vit_tiny_lora-cpu-s0"
SIDE = 96  # of the drawn faces, and of the network's input
EXPRESSIONS = [emotion for emotion in Emotion if emotion != Emotion.NEUTRAL]
PEOPLE = range(500_000, 500_008)  # far beyond those of the set


@pytest.fixture(scope="module")
def answered():
    """The adapted ViT, and the drawn faces that it names rightly, with their evidence."""
    benchmark = ArtifactStore(ROOT / "artifacts").benchmark("synthetic")
    info = benchmark.info()
    stored = SampleFormat.of(info)
    network = load_network(benchmark.run(RUN), stored)
    drawn = [
        evidence
        for person in PEOPLE
        for emotion in EXPRESSIONS
        if (evidence := draw_evidence(person, emotion, SIDE, info.framing)) is not None
    ]
    pictures = np.stack([stored.convert(evidence.image) for evidence in drawn])
    inputs = network.preprocessing(pictures)
    answers = network.model(inputs).argmax(dim=1).tolist()
    labels = network.info.labels
    right = [n for n, one in enumerate(drawn) if labels[answers[n]] == one.emotion]
    assert len(right) > 0.5 * len(drawn)
    config = parse_recipe(network.info.recipe).model
    return network.model, config, inputs[right], [drawn[n].mask for n in right]


def pointing(answered, method: str) -> tuple[float, float]:
    """How often a method's peak is on the evidence, and how much of its mass."""
    model, config, inputs, masks = answered
    maps = explain(model, config, inputs, [None] * len(masks), method)
    values = [one.values for one in maps]
    assert all(np.isfinite(one).all() and np.ptp(one) > 0 for one in values), "blank"
    pairs = list(zip(values, masks, strict=True))
    return (
        float(np.mean([hit(*pair) for pair in pairs])),
        float(np.mean([mass_inside(*pair) for pair in pairs])),
    )


LEAST = {"chefer": 0.4, "attention": 0.4, "layer_cam": 0.25}
"""How often peaks must hit; the evidence covers a twenty-fifth of a picture."""


def test_vit_maps_point_at_the_drawn_evidence(answered):
    """Neither blank nor inverted: far above chance and the control that knows nothing."""
    share = float(np.mean([mask.mean() for mask in answered[3]]))
    assert 0.02 < share < 0.06
    assert pointing(answered, "random")[0] < 0.15
    assert default_method(answered[1]) in LEAST
    for method, least in LEAST.items():
        hits, mass = pointing(answered, method)
        assert hits >= least, method
        assert mass > 1.5 * share, method
