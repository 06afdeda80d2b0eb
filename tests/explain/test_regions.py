"""Shares of saliency by facial part, and drawn faces as ground truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.data.synthetic.face import REGIONS
from fer_core.explain.ground_truth import draw_evidence, hit, mass_inside
from fer_core.explain.regions import FER2013, PARTS, areas, canonical_regions, partition, shares
from fer_core.labels import Emotion


def quarters() -> dict:
    masks = {name: np.zeros((4, 4), bool) for name in REGIONS}
    masks["brows"][0], masks["eyes"][1], masks["nose"][2, :2] = True, True, True
    return masks


def test_shares_by_hand():
    saliency = np.zeros((4, 4), np.float32)
    saliency[0, 0], saliency[2, 1], saliency[3, 3], saliency[1] = 3, 1, 4, -9
    assert shares(saliency, quarters()) == pytest.approx(
        {"brows": 3 / 8, "eyes": 0, "nose": 1 / 8, "mouth": 0, "rest": 4 / 8}
    )


def test_an_even_map_gives_the_areas():
    even = shares(np.ones((4, 4), np.float32), quarters())
    assert even == pytest.approx(areas(quarters()))
    assert even["rest"] == 6 / 16


def test_a_blank_map_has_no_shares():
    assert all(
        np.isnan(value) for value in shares(-np.ones((4, 4), np.float32), quarters()).values()
    )


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_parts_cover_the_picture_once_and_shares_sum_to_one(seed):
    random = np.random.default_rng(seed)
    masks = {name: random.random((5, 5)) < 0.4 for name in REGIONS}
    parts = partition(masks)
    assert tuple(parts) == PARTS
    np.testing.assert_array_equal(sum(part.astype(int) for part in parts.values()), 1)
    assert sum(shares(random.random((5, 5), np.float32), masks).values()) == pytest.approx(1)


def test_canonical_regions_stand_where_the_framing_says():
    masks = canonical_regions(48, faces=14)
    middle = {name: np.argwhere(mask).mean(axis=0) / 48 for name, mask in masks.items()}
    assert middle["eyes"][0] == pytest.approx(FER2013.eyes, abs=0.04)
    assert middle["mouth"][0] == pytest.approx(FER2013.mouth, abs=0.05)
    assert middle["brows"][0] < middle["eyes"][0] < middle["nose"][0] < middle["mouth"][0]
    for name, place in middle.items():
        assert place[1] == pytest.approx(0.5, abs=0.05), name
    assert 0.1 < sum(mask.mean() for mask in masks.values()) < 0.3
    # two eyes, one a side
    assert masks["eyes"][:, :24].any()
    assert masks["eyes"][:, 24:].any()


def test_evidence_of_a_smile_is_the_mouth_and_of_a_neutral_face_nothing():
    smiles = [draw_evidence(seed, Emotion.HAPPY, 64) for seed in range(4)]
    smiles = [smile for smile in smiles if smile is not None]
    assert len(smiles) >= 3
    for smile in smiles:
        assert (smile.mask & smile.face.masks["mouth"]).sum() > 0.9 * smile.face.masks[
            "mouth"
        ].sum()
        assert smile.mask.mean() < 0.25
    assert draw_evidence(0, Emotion.NEUTRAL, 64) is None


def test_the_pointing_game_and_the_mass_by_hand():
    mask = np.zeros((5, 5), bool)
    mask[1, 2] = True
    saliency = np.full((5, 5), -1, np.float32)
    saliency[1, 2], saliency[4, 4] = 3, 1
    assert hit(saliency, mask)
    assert mass_inside(saliency, mask) == pytest.approx(3 / 4)
    saliency[1, 3] = 9
    assert not hit(saliency, mask)
    assert hit(saliency, mask, tolerance=1)
    assert not hit(np.full((5, 5), -1, np.float32), mask)  # nothing speaks for the class
    assert not hit(np.full((5, 5), np.nan, np.float32), mask)
    assert mass_inside(np.zeros((5, 5), np.float32), mask) == 0
