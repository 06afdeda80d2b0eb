"""Packed sets come back bit for bit, and damage is noticed."""

import json

import numpy as np
import pytest
from PIL import Image

from fer_core.data.packing import pack, packed_name, unpack
from fer_core.errors import ArtifactError, DataError
from tests.support.builders import toy_dataset


@pytest.fixture
def dataset(tmp_path):
    return toy_dataset(tmp_path / "data", per_class=60)  # more images than one strip holds


def test_a_dataset_is_unpacked_bit_for_bit(dataset, tmp_path):
    folder = pack(dataset, tmp_path / "packed")
    assert len(list(folder.glob("*.webp"))) == 2
    assert packed_name(folder) == "toy"
    assert not (folder / "images.npy").exists()
    again = unpack(folder, tmp_path / "other" / "toy")
    for path in dataset.folder.iterdir():
        assert (again.folder / path.name).read_bytes() == path.read_bytes(), path.name


def test_colour_images_are_unpacked_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_core.data.packing._STRIP_PIXELS", 100)
    random = np.random.default_rng(0)
    for name in ("Happy", "Sad"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(20):
            pixels = random.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{index}.png")
    from fer_core.data.prepare import prepare
    from fer_core.data.sources.folder import FolderSource

    made = prepare(FolderSource(tmp_path / "set"), tmp_path / "c", name="c", side=48)
    assert made.info.colour
    again = unpack(pack(made, tmp_path / "packed"), tmp_path / "again")
    np.testing.assert_array_equal(again.images, made.images)


def test_a_damaged_archive_is_refused_and_the_earlier_dataset_is_kept(dataset, tmp_path):
    folder = pack(dataset, tmp_path / "packed")
    target = tmp_path / "other"
    before = unpack(folder, target).info
    strip = folder / "000000000.webp"
    with Image.open(strip) as picture:
        pixels = np.array(picture)
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(strip, lossless=True)
    with pytest.raises(DataError, match=r"images\.npy differs from the packed file"):
        unpack(folder, target)
    strip.write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"000000000\.webp cannot be read"):
        unpack(folder, target)
    strip.unlink()
    with pytest.raises(DataError, match=r"000000000\.webp cannot be read"):
        unpack(folder, target)
    assert unpack(pack(dataset, folder), target).info == before


def test_a_folder_without_a_packed_dataset_is_refused(dataset, tmp_path):
    with pytest.raises(DataError, match="is not a packed set"):
        packed_name(tmp_path)
    folder = pack(dataset, tmp_path / "packed")
    facts = json.loads((folder / "pack.json").read_text())
    facts["hashes"]["../../escape"] = "0"
    (folder / "pack.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="which is not part of a dataset"):
        unpack(folder, tmp_path / "other")
    (folder / "pack.json").write_text("{}")
    with pytest.raises(DataError, match="lacks a key"):
        packed_name(folder)


def test_a_folder_that_cannot_be_written_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        pack(dataset, tmp_path / "file")


def test_only_files_of_an_earlier_pack_are_replaced(dataset, tmp_path):
    folder = pack(dataset, tmp_path / "packed")
    (folder / "000099999.webp").write_bytes(b"a strip of a larger set")
    (folder / "pictures.parquet").write_bytes(b"of a set that shipped its images")
    for name in ("holiday.webp", "1.webp", "notes.txt"):
        (folder / name).write_text("mine")
    pack(dataset, folder)
    assert not (folder / "000099999.webp").exists()
    assert not (folder / "pictures.parquet").exists()
    for name in ("holiday.webp", "1.webp", "notes.txt"):
        assert (folder / name).read_text() == "mine"
    assert unpack(folder, tmp_path / "other").info == dataset.info


@pytest.mark.parametrize("name", ["000000000.webp", "holiday.webp", "images.npy"])
def test_a_folder_with_other_files_is_refused(dataset, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    with pytest.raises(DataError, match=rf"contains files, such as {name}.*empty folder"):
        pack(dataset, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [name]
    assert (tmp_path / "mine" / name).read_text() == "mine"


def test_an_empty_folder_with_hidden_files_is_used(dataset, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".DS_Store").write_text("")
    assert packed_name(pack(dataset, tmp_path / "new")) == "toy"


def test_a_stopped_pack_is_refused_and_can_be_written_again(dataset, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fer_core.data.packing.content_hash", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(dataset, tmp_path / "packed")
    with pytest.raises(DataError, match=r"not a packed set.*lacks a key"):
        unpack(tmp_path / "packed", tmp_path / "other")
    assert unpack(pack(dataset, tmp_path / "packed"), tmp_path / "other").info == dataset.info
