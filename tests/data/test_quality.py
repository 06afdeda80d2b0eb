import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data import quality
from tests.support.helpers import noise

COUNT = 12
PAIRS = st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), max_size=15)


def as_pairs(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def blocks(thumbnail: np.ndarray) -> np.ndarray:
    """A 48 x 48 image whose 3 x 3 blocks are the pixels of a 16 x 16 one."""
    return np.kron(thumbnail, np.ones((3, 3), dtype=np.uint8))


def test_statistics_by_hand() -> None:
    image = np.zeros((3, 3), dtype=np.uint8)
    image[1, 1] = 9
    # Laplacian: -36 in the middle, 9 at its four neighbours, 0 at the corners; mean 0.
    assert quality.statistics(image) == pytest.approx(
        {"brightness": 1.0, "contrast": np.sqrt(8), "sharpness": (36**2 + 4 * 9**2) / 9}
    )


def test_a_flat_image_has_no_contrast_and_no_sharpness() -> None:
    image = np.full((48, 48), 200, dtype=np.uint8)
    assert quality.statistics(image) == {"brightness": 200, "contrast": 0, "sharpness": 0}


@pytest.mark.parametrize(
    ("colour", "luma"), [((255, 0, 0), 76.245), ((0, 255, 0), 149.685), ((0, 0, 255), 29.07)]
)
def test_grey_is_luma(colour: tuple[int, int, int], luma: float) -> None:
    image = np.full((2, 2, 3), colour, dtype=np.uint8)
    np.testing.assert_allclose(quality.to_grey(image), np.full((2, 2), luma), rtol=1e-5)


def test_digests_are_of_shape_and_pixels() -> None:
    image = noise(1)[0]
    assert quality.digest(image) == quality.digest(image.copy())
    assert quality.digest(image.T) == quality.digest(np.ascontiguousarray(image.T))
    changed = image.copy()
    changed[0, 0] ^= 1
    flat = np.zeros((4, 9), dtype=np.uint8)
    different = [image, image.T, changed, flat, flat.T, flat.reshape(6, 6)]
    assert len({quality.digest(each) for each in different}) == 6


def test_thumbnails_are_block_means() -> None:
    small = noise(1, side=16)[0]
    np.testing.assert_allclose(quality.thumbnail(blocks(small)), small, rtol=1e-6)
    image = np.zeros((48, 48), dtype=np.uint8)
    image[3, 4] = 90  # block (1, 1)
    expected = np.zeros((16, 16))
    expected[1, 1] = 10
    np.testing.assert_allclose(quality.thumbnail(image), expected)


@pytest.mark.parametrize("side", [16, 20, 31, 224])
def test_blocks_of_uneven_size_are_means_too(side: int) -> None:
    image = np.full((side, side), 77, dtype=np.uint8)
    np.testing.assert_allclose(quality.thumbnail(image), np.full((16, 16), 77), rtol=1e-6)


def test_linked_pairs_link_to_the_first() -> None:
    result = quality.linked_pairs(["a", "b", "a", "c", "a", "b"])
    assert result.tolist() == [[0, 2], [0, 4], [1, 5]]
    assert quality.linked_pairs(["a", "b"]).shape == (0, 2)
    assert quality.linked_pairs([]).shape == (0, 2)


def test_near_pairs_ignore_brightness_and_contrast_but_not_a_negative() -> None:
    image = noise(1, side=16)[0].astype(np.float32)
    other = noise(1, seed=1, side=16)[0].astype(np.float32)
    result = quality.near_pairs(np.stack([image, other, image * 0.5 + 40, 255 - image, other]))
    assert sorted(map(tuple, result.tolist())) == [(0, 2), (1, 4)]
    assert result.dtype == np.int64


def test_near_pairs_are_those_of_the_correlation_matrix() -> None:
    generator = np.random.default_rng(0)
    base = generator.normal(128, 30, (6, 16, 16))
    # Noise of many strengths around six pictures: correlations fall on both sides of .99.
    strengths = np.repeat(np.linspace(1, 8, 10), 6)[:, None, None]
    thumbnails = np.tile(base, (10, 1, 1)) + generator.normal(0, 1, (60, 16, 16)) * strengths
    correlation = np.corrcoef(thumbnails.reshape(60, -1))
    expected = [(i, j) for i in range(60) for j in range(i + 1, 60) if correlation[i, j] >= 0.99]
    result = quality.near_pairs(thumbnails.astype(np.float32))
    assert 20 < len(expected) < 250
    assert sorted(map(tuple, result.tolist())) == expected


def test_near_pairs_are_found_across_blocks() -> None:
    thumbnails = np.random.default_rng(0).normal(128, 30, (2100, 16, 16)).astype(np.float32)
    thumbnails[2099], thumbnails[2060] = thumbnails[3], thumbnails[2050]
    result = quality.near_pairs(thumbnails)
    assert sorted(map(tuple, result.tolist())) == [(3, 2099), (2050, 2060)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_single_usable_image_has_no_near_pair(count: int) -> None:
    thumbnails = np.full((count, 16, 16), 9, dtype=np.float32)
    thumbnails[:1, 0, 0] = 200
    assert quality.near_pairs(thumbnails).shape == (0, 2)


@given(
    levels=st.lists(st.integers(0, 255), min_size=1, max_size=4),
    deviation=st.floats(0, 0.99),
    seed=st.integers(0, 10),
)
def test_flat_images_are_in_no_near_pair(levels: list[int], deviation: float, seed: int) -> None:
    """Copies of one faint pattern correlate perfectly, and yet say nothing."""
    pattern = np.where(noise(1, seed=seed, side=16)[0] % 2, 1.0, -1.0)
    pattern = (pattern - pattern.mean()) / pattern.std() * deviation
    flat = [pattern + level for level in levels]
    sharp = noise(1, side=16)[0].astype(np.float64)
    result = quality.near_pairs(np.stack([*flat, sharp, sharp]).astype(np.float32))
    assert result.tolist() == [[len(flat), len(flat) + 1]]


def pictures(kinds: list[tuple[int, int]]) -> np.ndarray:
    """Thumbnails by picture and change: 0 none, 1 paler (near), 2 noisy (not near), 3 flat."""
    base = noise(4, side=16).astype(np.float32)
    grain = noise(1, seed=9, side=16)[0].astype(np.float32)
    changed = [
        (base[number], base[number] * 0.5 + 40, base[number] + grain, np.full((16, 16), 9.0))
        for number in range(4)
    ]
    images = [changed[number][change] for number, change in kinds]
    return np.array(images, dtype=np.float32).reshape(-1, 16, 16)


@pytest.mark.parametrize("most_links", [0, 3, quality._MOST_LINKS])
@given(kinds=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=14))
def test_groups_of_near_images_are_those_of_all_pairs(
    most_links: int, kinds: list[tuple[int, int]]
) -> None:
    thumbnails = pictures(kinds)
    equal = quality.linked_pairs([image.tobytes().hex() for image in thumbnails])
    pairs = np.concatenate([equal, quality.near_pairs(thumbnails)])
    expected = quality.group_pairs(pairs, len(kinds))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "_MOST_LINKS", most_links)
        patch.setattr(quality, "_HASH_ROWS", 2)
        result = quality.near_groups(thumbnails, equal)
    np.testing.assert_array_equal(result, expected)


def test_the_pairs_of_many_equal_images_are_never_in_memory() -> None:
    """All pairs of 3,000 images need 72 MB, and those of 20,000 more than 3 GB."""
    thumbnails = np.repeat(noise(1, side=16).astype(np.float32), 3000, axis=0)
    equal = quality.linked_pairs(["placeholder"] * len(thumbnails))
    tracemalloc.start()
    try:
        assert set(quality.near_groups(thumbnails, equal).tolist()) == {0}
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_the_pairs_of_many_similar_images_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 images have 124,750 pairs; a block has those of 64 images with the later ones."""
    group_pairs, lengths = quality.group_pairs, []

    def noting_length(pairs: np.ndarray, count: int) -> np.ndarray:
        lengths.append(len(pairs))
        return group_pairs(pairs, count)

    monkeypatch.setattr(quality, "group_pairs", noting_length)
    monkeypatch.setattr(quality, "_MOST_LINKS", 1000)
    paler = 1 - np.arange(500, dtype=np.float32)[:, None, None] / 1000
    thumbnails = noise(1, side=16).astype(np.float32) * paler
    groups = quality.near_groups(thumbnails, np.empty((0, 2), np.int64))
    assert groups.tolist() == [0] * 500
    assert max(lengths) < 1000 + 500 + 64 * 500


def test_groups_by_hand() -> None:
    groups = quality.group_pairs(as_pairs([(5, 4), (1, 3), (3, 0)]), 7)
    assert groups.tolist() == [0, 0, -1, 0, 1, 1, -1]


def test_without_pairs_there_are_no_groups() -> None:
    assert quality.group_pairs(as_pairs([]), 3).tolist() == [-1, -1, -1]
    assert quality.group_pairs(as_pairs([(1, 1)]), 3).tolist() == [-1, -1, -1]


@given(pairs=PAIRS, data=st.data())
def test_groups_do_not_depend_on_the_order_of_pairs(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(pairs))
    flipped = [pair[::-1] if data.draw(st.booleans()) else pair for pair in shuffled]
    repeated = flipped + flipped[:3]
    np.testing.assert_array_equal(
        quality.group_pairs(as_pairs(pairs), COUNT), quality.group_pairs(as_pairs(repeated), COUNT)
    )


@given(pairs=PAIRS)
def test_groups_are_the_connected_components_in_order_of_appearance(
    pairs: list[tuple[int, int]],
) -> None:
    members = {index: {index} for index in range(COUNT)}
    for first, second in pairs:
        joined = members[first] | members[second]
        for index in joined:
            members[index] = joined
    order: list[frozenset[int]] = []
    expected = []
    for index in range(COUNT):
        component = frozenset(members[index])
        if len(component) == 1:
            expected.append(-1)
            continue
        if component not in order:
            order.append(component)
        expected.append(order.index(component))
    assert quality.group_pairs(as_pairs(pairs), COUNT).tolist() == expected
