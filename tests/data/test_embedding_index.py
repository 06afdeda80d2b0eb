"""Nearest neighbours by embedding: by hand, and files that cannot be read."""

import numpy as np
import pytest

from fer_core.data.embedding_index import COMPONENTS, EmbeddingIndex
from fer_core.errors import ArtifactError

IDS = np.array(["east", "north-east", "north", "west", "south"])
FEATURES = np.array([[1, 0], [1, 1], [0, 1], [-1, -1], [-1, -1]], dtype=np.float32)


def index() -> EmbeddingIndex:
    return EmbeddingIndex.fit(IDS, FEATURES, "weights split")


def test_similarity_is_the_cosine_of_centred_embeddings():
    built = index()
    centred = FEATURES - FEATURES.mean(axis=0)  # the mean is 0
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    found = built.nearest(built.vectors[1], 3, np.array([True, False, True, True, True]))
    assert [name for name, _ in found[:2]] == ["east", "north"]
    np.testing.assert_allclose([cos for _, cos in found[:2]], unit[[0, 2]] @ unit[1], atol=1e-3)
    assert found[2][1] == pytest.approx(-1, abs=1e-3)


def test_new_features_are_projected_into_the_same_space():
    built = index()
    vector = built.project(np.array([[3, 3]], dtype=np.float32))[0]
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert built.nearest(vector, 1, np.ones(5, dtype=bool))[0][0] == "north-east"


def test_the_first_components_keep_almost_all_of_wide_features():
    rng = np.random.default_rng(0)
    wide = (rng.normal(size=(300, 40)) @ rng.normal(size=(40, 500))).astype(np.float32)
    ids = np.array([str(number) for number in range(300)])
    built = EmbeddingIndex.fit(ids, wide, "")
    assert built.vectors.shape == (300, COMPONENTS)
    centred = wide - wide.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    found = dict(built.nearest(built.vectors[0], 300, np.ones(300, dtype=bool)))
    np.testing.assert_allclose([found[name] for name in ids], unit @ unit[0], atol=5e-3)


def test_no_image_may_be_returned():
    assert index().nearest(index().vectors[0], 3, np.zeros(5, dtype=bool)) == []


def test_a_file_is_read_as_it_was_written(tmp_path):
    built = index()
    built.write(tmp_path / "run.npz")
    read = EmbeddingIndex.read(tmp_path / "run.npz")
    assert read.ids.tolist() == IDS.tolist()
    assert read.made_of == "weights split"
    np.testing.assert_array_equal(read.vectors, built.vectors)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "run.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"run\.npz"):
        EmbeddingIndex.read(tmp_path / "run.npz")
