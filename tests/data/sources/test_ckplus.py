from pathlib import Path

import pytest

from fer_core.data.sources.files import ImageFile
from fer_core.data.sources.formats import open_source
from fer_core.errors import DataError
from tests.support.layouts import Pictures, ckplus


def copied(root: Path, start: Path, folder: str, frames: str = "*") -> Path:
    """Writes pictures of the same names below another folder."""
    pictures = Pictures()
    for path in sorted(start.rglob(f"*_{frames}.png")):
        pictures.save(root / folder / path.relative_to(start))
    return root


def read_from(source) -> set[str]:
    return {item.name.partition("/")[0] for item in source.listed() if isinstance(item, ImageFile)}


@pytest.mark.parametrize("other", ["masks", "aligned"])
def test_the_published_folder_is_read_and_the_other_one_named(tmp_path: Path, other: str) -> None:
    copied(ckplus(tmp_path), tmp_path / "cohn-kanade-images", other)
    source = open_source(str(tmp_path))
    assert read_from(source) == {"cohn-kanade-images"}
    assert len(source) == 16
    assert (
        f"Not read: 63 pictures in {other}, which have the names of those in cohn-kanade-images."
    ) in source.notes


def test_the_folder_that_has_most_labelled_frames_is_read(tmp_path: Path) -> None:
    (ckplus(tmp_path) / "cohn-kanade-images").rename(tmp_path / "faces")
    copied(tmp_path, tmp_path / "faces", "masks")
    for label in sorted((tmp_path / "masks/S005").rglob("*_00000003.png"))[:1]:
        label.unlink()
    source = open_source(str(tmp_path))
    assert read_from(source) == {"faces"}
    assert any("pictures in masks" in note for note in source.notes)


def test_two_equal_folders_are_refused(tmp_path: Path) -> None:
    (ckplus(tmp_path) / "cohn-kanade-images").rename(tmp_path / "faces")
    copied(tmp_path, tmp_path / "faces", "masks")
    with pytest.raises(DataError, match=r"same names in faces and masks.*cohn-kanade-images"):
        open_source(str(tmp_path))


def test_two_parts_of_the_images_are_both_read(tmp_path: Path) -> None:
    images = ckplus(tmp_path) / "cohn-kanade-images"
    (tmp_path / "more").mkdir()
    (images / "S010").rename(tmp_path / "more/S010")
    source = open_source(str(tmp_path))
    assert read_from(source) == {"cohn-kanade-images", "more"}
    assert len(source) == 16
