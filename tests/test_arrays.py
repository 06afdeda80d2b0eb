"""Archives of arrays: what is written is read; a damaged file is named or computed again."""

import numpy as np
import pytest

from fer_core.arrays import cached_arrays, read_arrays, write_arrays
from fer_core.errors import ArtifactError


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_texts_and_numbers_are_read_as_written(tmp_path, compress):
    path = tmp_path / "new folder" / "faces.npz"
    write_arrays(
        path,
        {"vectors": np.eye(3, dtype=np.float16), "stamp": "a1", "share": 0.25},
        compress=compress,
    )
    arrays = read_arrays(path, ("stamp", "vectors"))
    assert set(arrays) == {"vectors", "stamp", "share"}
    assert arrays["vectors"].dtype == np.float16
    assert arrays["vectors"].tolist() == np.eye(3).tolist()
    assert str(arrays["stamp"]) == "a1"
    assert float(arrays["share"]) == 0.25
    assert [file.name for file in path.parent.iterdir()] == ["faces.npz"]


def _missing(path):
    path.unlink()


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)


def _single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _pickled(path):
    np.savez(path, vectors=np.array([{"not": "numbers"}], dtype=object))


@pytest.mark.parametrize("damage", [_missing, _truncated, _flipped, _single_array, _pickled])
def test_a_damaged_archive_is_named_and_a_cache_is_empty(tmp_path, damage):
    path = tmp_path / "faces.npz"
    write_arrays(path, {"vectors": np.arange(64.0)})
    damage(path)
    with pytest.raises(ArtifactError, match=r"^faces\.npz of .* (cannot|is not an archive)"):
        read_arrays(path)
    assert cached_arrays(path) == {}


def test_a_lacking_array_is_named(tmp_path):
    path = tmp_path / "faces.npz"
    write_arrays(path, {"vectors": np.arange(3)})
    with pytest.raises(ArtifactError, match=r"^faces\.npz of .* lacks axes, mean\.$"):
        read_arrays(path, ("vectors", "mean", "axes"))
    assert cached_arrays(path, ("mean",)) == {}
