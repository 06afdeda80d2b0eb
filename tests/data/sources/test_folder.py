import os
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data import imaging
from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.files import COLOUR_SAMPLE
from fer_core.data.sources.folder import FolderSource
from fer_core.data.sources.formats import open_dataset, open_source
from fer_core.errors import DataError
from tests.support.helpers import noise, write_images
from tests.support.layouts import Pictures

GREY = noise(6, side=20)


def two_classes(root: Path) -> Path:
    return write_images(root, {"happy": GREY[:2], "sad": GREY[2:4]})


def with_splits(root: Path, *splits: str) -> Path:
    for split in splits:
        two_classes(root / split)
    return root


def keys(source: FolderSource) -> list[str]:
    return [item.key for item in source]


def only_samples(source: FolderSource) -> list[Sample]:
    return [item for item in source if isinstance(item, Sample)]


def only_skipped(source: FolderSource) -> dict[str, str]:
    return {item.key: item.reason for item in source if isinstance(item, Skipped)}


def test_classes_without_splits(tmp_path: Path) -> None:
    source = FolderSource(two_classes(tmp_path / "faces"))
    read = only_samples(source)
    assert len(source) == 4
    assert [(item.key, item.label, item.split) for item in read] == [
        ("happy/000.png", "happy", None),
        ("happy/001.png", "happy", None),
        ("sad/000.png", "sad", None),
        ("sad/001.png", "sad", None),
    ]
    np.testing.assert_array_equal(np.stack([item.image for item in read]), GREY[:4])
    assert (source.origin.name, source.origin.title) == ("folder", "faces")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "validation"),
        ("Train_Aligned_Faces", "train"),
        ("01_train", "train"),
        ("valid", "validation"),
        ("VALIDATION", "validation"),
        ("PublicTest", "validation"),
        ("Test", "test"),
        ("testing", "test"),
        ("PrivateTest", "test"),
    ],
)
def test_each_split_name(tmp_path: Path, name: str, split: str) -> None:
    others = {"train": "train", "validation": "valid", "test": "test"}
    others[split] = name
    source = FolderSource(with_splits(tmp_path, *others.values()))
    result = {item.key.split("/")[0]: item.split for item in only_samples(source)}
    assert result == {others[key]: key for key in others}


def test_two_folders_of_one_split_are_joined(tmp_path: Path) -> None:
    source = FolderSource(with_splits(tmp_path, "train", "test", "PrivateTest"))
    assert [item.split for item in only_samples(source)] == ["test"] * 4 + ["test"] * 4 + [
        "train"
    ] * 4
    assert len(set(keys(source))) == 12


def test_validation_may_be_missing(tmp_path: Path) -> None:
    assert len(FolderSource(with_splits(tmp_path, "train", "test"))) == 8


def test_the_order_is_independent_of_file_creation(tmp_path: Path) -> None:
    write_images(tmp_path, {"sad": GREY[:1], "angry": GREY[1:2]})
    for name in ("b.png", "A.png", "a.png"):
        Image.fromarray(GREY[0]).save(tmp_path / "angry" / name)
    assert keys(FolderSource(tmp_path)) == [
        "angry/000.png",
        "angry/A.png",
        "angry/a.png",
        "angry/b.png",
        "sad/000.png",
    ]


def test_class_names_become_canonical_and_are_merged(tmp_path: Path) -> None:
    write_images(tmp_path, {"Anger": GREY[:1], "ANGRY": GREY[1:2], "Boredom": GREY[2:3]})
    source = FolderSource(tmp_path)
    assert "kept as classes of their own: boredom" in " ".join(source.notes)
    assert [item.label for item in only_samples(source)] == [
        "angry",
        "angry",
        "boredom",
    ]


def test_the_mapping_renames_merges_and_drops_classes(tmp_path: Path) -> None:
    write_images(tmp_path, {"0": GREY[:1], "Contempt": GREY[1:2], "Joy": GREY[2:3], "7": GREY[3:4]})
    source = FolderSource(
        tmp_path, mapping={"0": "Anger", "CONTEMPT": "", "7": "neutral", "happiness": "happy"}
    )
    assert [(item.key, item.label) for item in only_samples(source)] == [
        ("0/000.png", "angry"),
        ("7/000.png", "neutral"),
        ("Joy/000.png", "happy"),
    ]


def test_a_mapping_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--map-class names 'hapy'.*are happy, sad"):
        FolderSource(two_classes(tmp_path), mapping={"hapy": "happy"})


def test_other_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "happy" / "notes.txt").write_text("no image")
    (tmp_path / "happy" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "happy" / "._000.png").write_bytes(b"x")
    (tmp_path / "montage.png").write_bytes(b"x")
    write_images(tmp_path, {".cache": GREY[:1], "__MACOSX": GREY[:1]})
    assert keys(FolderSource(tmp_path)) == [
        "happy/000.png",
        "happy/001.png",
        "sad/000.png",
        "sad/001.png",
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp", ".gif", ".tif", ".webp", ".pgm"])
def test_each_image_suffix(tmp_path: Path, suffix: str) -> None:
    two_classes(tmp_path)
    Image.fromarray(GREY[0]).save(tmp_path / "happy" / f"x{suffix}")
    read = {item.key: item.image for item in only_samples(FolderSource(tmp_path))}
    assert read[f"happy/x{suffix}"].shape == (20, 20)


def test_unreadable_files_are_skipped_with_a_reason(tmp_path: Path) -> None:
    two_classes(tmp_path)
    whole = (tmp_path / "happy" / "000.png").read_bytes()
    (tmp_path / "happy" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "sad" / "page.jpg").write_text("<html>")
    (tmp_path / "sad" / "empty.png").touch()
    source = FolderSource(tmp_path)
    skipped = only_skipped(source)
    assert len(source) == 7
    assert sorted(skipped) == ["happy/cut.png", "sad/empty.png", "sad/page.jpg"]
    assert "damaged" in skipped["happy/cut.png"]
    assert "empty" in skipped["sad/empty.png"]
    assert "page.jpg" in skipped["sad/page.jpg"]
    assert len(only_samples(source)) == 4


def test_a_file_deleted_after_listing_is_skipped(tmp_path: Path) -> None:
    source = FolderSource(two_classes(tmp_path))
    (tmp_path / "sad" / "001.png").unlink()
    assert only_skipped(source) == {
        "sad/001.png": "001.png cannot be read (No such file or directory)."
    }


def test_a_huge_file_is_skipped_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_classes(tmp_path)
    with (tmp_path / "sad" / "film.png").open("wb") as file:
        file.truncate(imaging.MAX_BYTES + 1)
    read = Path.read_bytes

    def checked(path: Path) -> bytes:
        assert path.name != "film.png"
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", checked)
    assert only_skipped(FolderSource(tmp_path)) == {
        "sad/film.png": "film.png is 25 MiB large; the limit is 25 MiB."
    }


def test_a_class_of_unreadable_files_only_is_an_error(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "fear").mkdir()
    (tmp_path / "fear" / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"class 'fear' in .* could be read, such as fear/x\.png"):
        list(FolderSource(tmp_path))


def test_grey_pictures_saved_as_rgb_are_grey(tmp_path: Path) -> None:
    two_classes(tmp_path)
    Image.fromarray(GREY[4]).convert("RGB").save(tmp_path / "sad" / "rgb.png")
    Image.fromarray(GREY[5]).convert("RGB").save(tmp_path / "sad" / "rgb.jpg", quality=60)
    source = FolderSource(tmp_path)
    read = {item.key: item.image for item in only_samples(source)}
    assert source.colour is False
    np.testing.assert_array_equal(read["sad/rgb.png"], GREY[4])
    assert read["sad/rgb.jpg"].shape == (20, 20)


def test_one_colour_image_makes_the_dataset_colour(tmp_path: Path) -> None:
    write_images(two_classes(tmp_path), {"fear": noise(1, side=20, colour=True)})
    source = FolderSource(tmp_path)
    read = {item.key: item.image for item in only_samples(source)}
    assert source.colour is True
    np.testing.assert_array_equal(read["fear/000.png"], noise(1, side=20, colour=True)[0])
    np.testing.assert_array_equal(read["sad/000.png"], np.stack([GREY[2]] * 3, axis=-1))


@pytest.mark.parametrize(("difference", "colour"), [(8, False), (9, True)])
def test_grey_images_may_differ_between_channels_by_the_tolerance(
    tmp_path: Path, difference: int, colour: bool
) -> None:
    tinted = np.full((20, 20, 3), 100, dtype=np.uint8)
    tinted[7, 7, 2] += difference
    write_images(tmp_path, {"happy": [tinted], "sad": [tinted[..., 0]]})
    assert FolderSource(tmp_path).colour is colour


def test_colour_detection_samples_the_whole_folder_and_skips_unreadable_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, {"happy": [GREY[0]] * 100, "sad": [GREY[0]] * 100})
    # Each of the 50 parts holds four files; the first of this part cannot be read.
    (tmp_path / "sad" / "096.png").write_bytes(b"x")
    Image.fromarray(noise(1, side=20, colour=True)[0]).save(tmp_path / "sad" / "097.png")
    opened = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read(path))
    assert FolderSource(tmp_path).colour is True
    assert len(opened) == COLOUR_SAMPLE + 1


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = write_images(tmp_path / "outside", {"fear": GREY[:2]})
    root = two_classes(tmp_path / "faces")
    (root / "sad" / "link.png").symlink_to(outside / "fear" / "000.png")
    (root / "fear").symlink_to(outside / "fear")
    source = FolderSource(root)
    assert {item.label for item in only_samples(source)} == {"happy", "sad"}
    skipped = only_skipped(source)
    assert sorted(skipped) == ["fear", "sad/link.png"]
    assert all("points outside the folder" in reason for reason in skipped.values())
    assert len(source) == 6


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "sad" / "link.png").symlink_to(tmp_path / "happy" / "000.png")
    read = {item.key: item.image for item in only_samples(FolderSource(tmp_path))}
    np.testing.assert_array_equal(read["sad/link.png"], GREY[0])


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    two_classes(tmp_path / "faces")
    (tmp_path / "link").symlink_to(tmp_path / "faces")
    source = FolderSource(tmp_path / "link")
    assert keys(source)[0] == "happy/000.png"
    assert source.origin.title == "faces"


def test_broken_links_and_pipes_are_skipped(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "sad" / "loop.png").symlink_to(tmp_path / "sad" / "loop.png")
    (tmp_path / "sad" / "gone.png").symlink_to(tmp_path / "sad" / "nothing.png")
    os.mkfifo(tmp_path / "sad" / "pipe.png")
    assert only_skipped(FolderSource(tmp_path)) == {
        "sad/gone.png": "gone.png is not a regular file.",
        "sad/loop.png": "loop.png is not a regular file.",
        "sad/pipe.png": "pipe.png is not a regular file.",
    }


def test_a_file_name_that_is_not_utf8_gives_a_key_that_can_be_saved(tmp_path: Path) -> None:
    two_classes(tmp_path)
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Image.fromarray(GREY[0]).save(tmp_path / "sad" / name)
    except OSError:
        pytest.skip("this file system refuses such names")
    key = keys(FolderSource(tmp_path))[-1]
    assert key == "sad/caf\\udce9.png"
    assert key.encode("utf-8")


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_path_that_is_not_a_folder_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "faces"
    if kind == "file":
        path.touch()
    message = {"missing": "does not exist", "file": "is not a folder"}[kind]
    with pytest.raises(DataError, match=rf"faces {message}\. Give a folder"):
        FolderSource(path)


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("fer_core.data.sources.tree.os.scandir", refused)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)\. Check the rights"):
        FolderSource(tmp_path)


def test_no_class_folders(tmp_path: Path) -> None:
    write_images(tmp_path, {".": GREY[:2]})
    with pytest.raises(DataError, match="2 images without a class"):
        FolderSource(tmp_path)


def test_a_split_without_class_folders(tmp_path: Path) -> None:
    with_splits(tmp_path, "train", "test")
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"val holds no class folders"):
        FolderSource(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "fear").mkdir()
    (tmp_path / "fear" / "list.csv").touch()
    with pytest.raises(DataError, match=r"class folder .*fear has no image file.*Add images or"):
        FolderSource(tmp_path)


def test_an_empty_class_folder_that_is_left_out_does_not_matter(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "fear").mkdir()
    assert len(FolderSource(tmp_path, mapping={"fear": ""})) == 4


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    write_images(tmp_path, {"happy": GREY[:2]})
    with pytest.raises(DataError, match=r"too few classes \(happy\): at least two"):
        FolderSource(tmp_path)


def test_a_mapping_to_one_class_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"too few classes \(happy\)"):
        FolderSource(two_classes(tmp_path), mapping={"sad": "happy"})
    with pytest.raises(DataError, match=r"too few classes \(none\)"):
        FolderSource(tmp_path, mapping={"sad": "", "happy": ""})


def test_images_beside_split_folders_are_an_error(tmp_path: Path) -> None:
    with_splits(tmp_path, "train", "test")
    write_images(tmp_path, {"unsorted": GREY[:1]})
    (tmp_path / "docs").mkdir()
    with pytest.raises(DataError, match="unsorted stands beside split folders and holds images"):
        FolderSource(tmp_path)


def test_images_nested_in_a_class_are_an_error(tmp_path: Path) -> None:
    write_images(two_classes(tmp_path), {"sad/S001": GREY[:1]})
    with pytest.raises(DataError, match="S001 is a folder of images inside a class folder"):
        FolderSource(tmp_path)


def test_folders_of_persons_inside_the_classes_are_groups(tmp_path: Path) -> None:
    write_images(
        tmp_path, {f"{label}/{person}": GREY[:2] for label in ("sad", "happy") for person in "ab"}
    )
    source = FolderSource(tmp_path)
    groups = {(item.key, item.label, item.group) for item in only_samples(source)}
    assert len(groups) == 8
    assert {(label, group) for _, label, group in groups} == {
        (label, person) for label in ("sad", "happy") for person in "ab"
    }
    taken = "The 2 folders inside or above the class folders (a, b, ...) are read as persons"
    assert taken in " ".join(source.notes)


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    source = FolderSource(two_classes(tmp_path))
    first, second = only_samples(source), only_samples(source)
    assert [item.key for item in first] == [item.key for item in second]
    np.testing.assert_array_equal(first[0].image, second[0].image)


def test_one_image_in_memory_at_a_time(tmp_path: Path) -> None:
    """A reader that keeps images would grow with the folder; weak references see through it."""
    write_images(tmp_path, {"happy": noise(5, side=20), "sad": noise(5, side=20)})
    seen: list[weakref.ref[np.ndarray]] = []
    for item in FolderSource(tmp_path):
        assert isinstance(item, Sample)
        assert sum(reference() is not None for reference in seen) == 0
        seen.append(weakref.ref(item.image))
        del item
    assert len(seen) == 10


def test_folders_of_persons_above_the_class_folders_are_groups(tmp_path: Path) -> None:
    for person in ("P001", "P002", "P010"):
        two_classes(tmp_path / "Strong" / person)
    source = FolderSource(tmp_path)
    assert {(item.group, item.label) for item in only_samples(source)} == {
        (person, label) for person in ("P001", "P002", "P010") for label in ("happy", "sad")
    }
    assert len(source) == 12


def test_data_sets_side_by_side_are_no_persons(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        two_classes(tmp_path / name)
    with pytest.raises(DataError, match="holds 2 datasets"):
        FolderSource(tmp_path)


def test_lists_of_splits_beside_class_folders_are_read(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "train.txt").write_text("happy/000.png\nsad/000.png\n")
    (tmp_path / "test.txt").write_text("happy/001.png\n")
    source = open_source(str(tmp_path))
    assert isinstance(source, FolderSource)
    assert {item.key: item.split for item in only_samples(source)} == {
        "happy/000.png": "train",
        "happy/001.png": "test",
        "sad/000.png": "train",
    }
    assert list(source.left_out.values()) == [1]
    assert "The splits are read from test.txt, train.txt." in source.notes


def test_split_folders_win_over_lists(tmp_path: Path) -> None:
    with_splits(tmp_path, "train", "test")
    (tmp_path / "train.txt").write_text("test/happy/000.png\n")
    (tmp_path / "test.txt").write_text("train/happy/000.png\n")
    assert all(
        item.key.startswith(str(item.split)) for item in only_samples(FolderSource(tmp_path))
    )


def test_files_that_may_be_pictures_are_named(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for name in ("face", "face.jpg_large", "notes.txt", "Thumbs.db"):
        (tmp_path / "happy" / name).write_bytes(b"")
    (note,) = FolderSource(tmp_path).notes
    assert note.startswith("Not read: 2 files of the class folders without the suffix of a picture")


@pytest.mark.parametrize("folder", [".", "images"])
def test_emotions_in_names_of_files_are_pointed_out_with_a_pattern(tmp_path: Path, folder) -> None:
    names = ("F01-Anger-Face Forward", "F01-Joy-Face Forward", "M02-Anger-Turn", "M02-Pride-Turn")
    for name in names:
        Pictures().save(tmp_path / folder / f"{name}.png")
    with pytest.raises(DataError, match="The names of the files hold emotions") as refused:
        open_source(str(tmp_path))
    pattern = re.search(r"--pattern '(.*?)'", str(refused.value))
    assert pattern is not None
    assert pattern[1] == "(?<![A-Za-z])(?P<label>Anger|Joy)(?![A-Za-z])"
    opened = open_dataset(str(tmp_path), options={"pattern": pattern[1]})
    assert [item.label for item in opened.reader] == ["angry", "happy", "angry"]
    assert "Not read: 1 pictures that are named otherwise." in opened.notes


def test_names_of_files_without_emotions_give_no_pattern(tmp_path: Path) -> None:
    for name in ("sad_happy", "ambassador", "happy1", "happy2"):  # two, none, and one emotion
        Pictures().save(tmp_path / "images" / f"{name}.png")
    with pytest.raises(DataError) as refused:
        open_source(str(tmp_path))
    assert "hold emotions" not in str(refused.value)


def test_class_folders_of_tfeid_are_read_with_its_persons(tmp_path: Path) -> None:
    """Its folder of disgust is misspelt; other words beside an emotion are no class names."""
    folders = {"dfh_anger_x": "angry", "dfh_disguest_x": "disgust", "dfh_happiness_x": "happy"}
    for folder in folders:
        for person in ("f01", "m02", "f03"):
            Pictures().save(tmp_path / folder / f"{person}_dfh_1.jpg")
    opened = open_dataset(str(tmp_path))
    assert {(item.key, item.label, item.group) for item in opened.reader} == {
        (f"{folder}/{person}_dfh_1.jpg", label, person)
        for folder, label in folders.items()
        for person in ("f01", "m02", "f03")
    }
    for name in ("dfh_anger", "anger_x", "dfh_anger_or_fear_x"):
        assert emotion_of(name) is None


def test_codes_in_names_of_files_that_are_not_known_need_a_pattern(tmp_path: Path) -> None:
    for name in ("f01_ag_1", "f01_hg_1", "m02_ag_1", "m02_hg_1"):
        Pictures().save(tmp_path / f"{name}.jpg")
    with pytest.raises(DataError, match="describe them with --pattern"):
        open_source(str(tmp_path))
    pattern = r"(?P<person>[fm]\d+)_(?P<label>[a-z]+)"
    mapping = {"ag": "angry", "hg": "happy"}
    opened = open_dataset(str(tmp_path), options={"pattern": pattern}, mapping=mapping)
    assert [(item.label, item.group) for item in opened.reader] == [
        ("angry", "F01"),
        ("happy", "F01"),
        ("angry", "M02"),
        ("happy", "M02"),
    ]
