from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_source, recognise
from fer_core.errors import DataError
from fer_core.labels import FERPLUS_COLUMNS
from tests.support.layouts import USAGES, Pictures, splits_of


def ferplus(root: Path, folders: dict[str, str]) -> Path:
    """Writes `fer2013new.csv` with two images for each usage, below the folder given for it."""
    pictures = Pictures()
    lines = [",".join(["Usage", "Image name", *FERPLUS_COLUMNS])]
    for usage, folder in folders.items():
        for vote in range(2):
            name = f"fer{len(lines):07d}.png"
            pictures.save(root / folder / name)
            votes = [9 if place == vote else 0 for place in range(len(FERPLUS_COLUMNS))]
            lines.append(",".join([usage, name, *map(str, votes)]))
    (root / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    return root


def test_the_usage_of_the_csv_is_the_split_of_images_in_one_folder(tmp_path: Path) -> None:
    root = ferplus(tmp_path, dict.fromkeys(USAGES, "images"))
    assert recognise(str(root)) == "ferplus"
    source = open_source(str(root))
    assert splits_of(source) == {
        "images/fer0000001.png": "train",
        "images/fer0000002.png": "train",
        "images/fer0000003.png": "validation",
        "images/fer0000004.png": "validation",
        "images/fer0000005.png": "test",
        "images/fer0000006.png": "test",
    }
    assert "The split of 6 images is the Usage in fer2013new.csv." in source.notes


def test_the_csv_may_have_another_name(tmp_path: Path) -> None:
    root = ferplus(tmp_path, dict.fromkeys(USAGES, "images"))
    (root / "fer2013new.csv").rename(root / "labels.csv")
    (root / "other.csv").write_text("Usage,Image name,neutral\nTraining,fer0000001.png,1\n")
    source = open_source(str(root))
    first = next(iter(source))
    assert isinstance(first, Sample)
    assert (first.label, first.votes["neutral"], first.votes["unknown"]) == ("neutral", 9, 0)
    assert "The split of 6 images is the Usage in labels.csv." in source.notes


def test_the_usage_counts_if_test_holds_both_held_out_parts(tmp_path: Path) -> None:
    folders = dict(zip(USAGES, ("train", "test", "test"), strict=True))
    source = open_source(str(ferplus(tmp_path, folders)))
    assert [*splits_of(source).values()] == ["validation"] * 2 + ["test"] * 2 + ["train"] * 2
    assert any("2 images" in note and "not that of their folder" in note for note in source.notes)


def test_a_row_without_a_usage_keeps_the_split_of_its_folder(tmp_path: Path) -> None:
    source = open_source(str(ferplus(tmp_path, {"Training": "train", "": "val"})))
    assert set(splits_of(source).values()) == {"train", "validation"}
    assert len(source.notes) == 1


def test_an_unknown_usage_of_the_votes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fer2013new\.csv has the splits .*Holdout is not known"):
        open_source(str(ferplus(tmp_path, {"Training": "images", "Holdout": "images"})))
