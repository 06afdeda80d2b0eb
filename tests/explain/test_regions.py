"""Shares of saliency by facial part, and drawn faces as ground truth."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.data.prepare import prepare
from fer_core.data.sources.planted import PlantedSource
from fer_core.data.sources.synthetic import SyntheticSource
from fer_core.explain.ground_truth import draw_evidence, drawn_masks, hit, mass_inside
from fer_core.explain.regions import (
    DRAWN,
    FER2013,
    PARTS,
    areas,
    canonical_regions,
    framing_of,
    only_drawn,
    partition,
    shares,
)
from fer_core.labels import Emotion
from fer_core.records import Framing as BoxFraming
from fer_core.synthetic.face import REGIONS


def quarters() -> dict:
    masks = {name: np.zeros((4, 4), bool) for name in REGIONS}
    masks["brows"][0], masks["eyes"][1], masks["nose"][2, :2] = True, True, True
    return masks


def test_region_shares_by_hand():
    saliency = np.zeros((4, 4), np.float32)
    saliency[0, 0], saliency[2, 1], saliency[3, 3], saliency[1] = 3, 1, 4, -9
    assert shares(saliency, quarters()) == pytest.approx(
        {"brows": 3 / 8, "eyes": 0, "nose": 1 / 8, "mouth": 0, "rest": 4 / 8}
    )


def test_a_uniform_map_has_the_shares_of_the_areas():
    even = shares(np.ones((4, 4), np.float32), quarters())
    assert even == pytest.approx(areas(quarters()))
    assert even["rest"] == 6 / 16


def test_a_blank_map_has_no_shares():
    assert all(
        np.isnan(value) for value in shares(-np.ones((4, 4), np.float32), quarters()).values()
    )


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_regions_partition_the_image_and_shares_sum_to_one(seed):
    random = np.random.default_rng(seed)
    masks = {name: random.random((5, 5)) < 0.4 for name in REGIONS}
    parts = partition(masks)
    assert tuple(parts) == PARTS
    np.testing.assert_array_equal(sum(part.astype(int) for part in parts.values()), 1)
    assert sum(shares(random.random((5, 5), np.float32), masks).values()) == pytest.approx(1)


def test_canonical_regions_follow_the_framing():
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


def test_framings_follow_the_detectors_box():
    def info(source, framing):
        return SimpleNamespace(
            sources=tuple(SimpleNamespace(name=name) for name in source.split("+")),
            framing=None if framing is None else SimpleNamespace(box=framing[0], drop=framing[1]),
        )

    assert framing_of(info("fer2013", None)) == FER2013
    assert framing_of(info("synthetic", None)) == DRAWN
    same = framing_of(info("fer2013", (1.011, 0.01)))
    assert (same.eyes, same.mouth, same.spread) == pytest.approx((0.37, 0.79, 0.18))
    # a crop twice as wide around the same face, its box in the middle
    wide = framing_of(info("theirs", (1.011 / 2, 0.0)))
    assert wide.eyes == pytest.approx(0.5 + (0.37 - 0.51) / 2)
    assert wide.spread == pytest.approx(0.09)
    assert only_drawn(info("synthetic", None))
    assert not only_drawn(info("fer2013", None))
    assert not only_drawn(info("synthetic+fer2013", None))


def test_evidence_has_the_framing_of_the_crops():
    """In FER+'s framing a face is larger than it is drawn."""
    close = BoxFraming(box=1.011, drop=0.01, images=1, found=1, spread=(0.8, 0.9))
    for seed in range(6):
        # 96 / (0.795 / 1.011) = 122 px in all; the window starts at 122 * 0.543 - 96 * 0.51 = 17
        plain = draw_evidence(seed, Emotion.HAPPY, 122)
        framed = draw_evidence(seed, Emotion.HAPPY, 96, close)
        if plain is None:
            assert framed is None
            continue
        np.testing.assert_array_equal(framed.image, plain.image[17:113, 13:109])
        np.testing.assert_array_equal(framed.mask, plain.mask[17:113, 13:109])


def test_regions_of_a_drawn_dataset_are_exact(tmp_path):
    dataset = prepare(PlantedSource(200, 0, 48), tmp_path / "drawn", name="drawn", side=48)
    keys = dataset.samples["id"].str.rpartition("/")[2]
    rows = np.flatnonzero(keys.str.isdigit().to_numpy())[:20]
    masks = drawn_masks(dataset, rows)
    assert masks is not None
    source = SyntheticSource(200, 0, 48)
    for row, mask in zip(rows, masks, strict=True):
        np.testing.assert_array_equal(mask["eyes"], source.face(int(keys[row])).masks["eyes"])
    copies = np.flatnonzero(keys.str.startswith("copy").to_numpy())
    assert drawn_masks(dataset, copies) is None
    other = prepare(SyntheticSource(100, 5, 48), tmp_path / "other", name="other", side=48)
    assert drawn_masks(other, np.arange(20)) is None  # other faces than the seed's 0


def test_evidence_of_a_smile_is_the_mouth_and_neutral_has_none():
    smiles = [draw_evidence(seed, Emotion.HAPPY, 64) for seed in range(4)]
    smiles = [smile for smile in smiles if smile is not None]
    assert len(smiles) >= 3
    for smile in smiles:
        assert smile.image.shape == (64, 64, 3)
        assert 0.005 < smile.mask.mean() < 0.25
        below = np.argwhere(smile.mask)[:, 0] > 64 * 0.6
        assert below.mean() > 0.3  # the mouth, and what a smile does to the eyes
    assert draw_evidence(0, Emotion.NEUTRAL, 64) is None


def test_pointing_game_and_mass_by_hand():
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
