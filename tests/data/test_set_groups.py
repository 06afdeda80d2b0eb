"""Whose pictures a set holds: persons by folder and by a table of labels."""

from pathlib import Path

import pytest

from fer_core.data.set_groups import any_folders, person_folders
from fer_core.data.transfer_source import PictureSet, SetOptions, open_set
from fer_core.errors import DataError
from tests.support.picture_folders import class_folders, picture


def opened(path: Path, **options) -> PictureSet:
    return open_set(str(path), None, SetOptions(**options))


@pytest.mark.parametrize("names", [("P01", "P02"), ("subject-1", "Subject-12"), ("s1", "s2")])
def test_folders_of_persons_hold_pictures_without_labels(tmp_path, names):
    root = class_folders(tmp_path / "set", *names)
    found = opened(root)
    assert not found.classes
    assert {item.label for item in found.items()} == {None}
    assert found.groups[f"{names[0]}/0.png"] == names[0]
    assert found.notes == (
        "No folder is named after an emotion, so the pictures have no labels.",
        f"Each folder is taken as a person: {', '.join(sorted(names))}.",
    )


def test_an_error_on_other_folders_names_the_options_for_pictures_without_labels(tmp_path):
    root = class_folders(tmp_path / "set", "anna", "ben")
    with pytest.raises(DataError, match=r"no labels, pass --unlabelled; .* --group folder\.$"):
        opened(root)
    assert not opened(root, unlabelled=True).groups
    found = opened(root, unlabelled=True, reader={"group": "folder"})
    assert set(found.groups.values()) == {"anna", "ben"}


def test_folders_of_emotions_are_no_persons(tmp_path):
    found = opened(class_folders(tmp_path / "set", "P01", "P02", "happy"))
    assert found.classes["happy"] == 2
    assert not found.groups


def test_ignored_labels_keep_the_persons_of_folders(tmp_path):
    root = class_folders(tmp_path / "set", "P01/day 1", "P02/day 1")
    assert set(opened(root, unlabelled=True).groups.values()) == {"P01", "P02"}


def test_a_table_of_labels_names_persons(tmp_path):
    root = class_folders(tmp_path / "set", "a", "b")
    table = tmp_path / "labels.csv"
    rows = ("a/0.png,happy,x,07", "a/1.png,,x,07", "b/0.png,sad,y,", "b/1.png,sad,y,8")
    table.write_text("\n".join(("image,label,team,subject", *rows)))
    usual = opened(root, labels=table)
    assert usual.groups == {"a/0.png": "07", "a/1.png": "07", "b/1.png": "8"}
    assert "2 persons are read from the column subject." in usual.notes
    asked = opened(root, labels=table, reader={"group": "team"})
    assert asked.groups == {"a/0.png": "x", "a/1.png": "x", "b/0.png": "y", "b/1.png": "y"}
    with pytest.raises(DataError, match="no column 'persom'"):
        opened(root, labels=table, reader={"group": "persom"})


def test_a_table_without_persons_leaves_them_to_the_folders(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("image,label\nP01/0.png,happy\nP02/0.png,sad\n")
    found = opened(class_folders(tmp_path / "set", "P01", "P02"), labels=table)
    assert set(found.groups.values()) == {"P01", "P02"}
    assert any("Each folder is taken as a person" in note for note in found.notes)


def test_a_column_of_persons_without_a_table_is_refused(tmp_path):
    root = class_folders(tmp_path / "set", "P01", "P02")
    with pytest.raises(DataError, match="no table of labels is read"):
        opened(root, reader={"group": "person"})
    picture(tmp_path / "flat" / "0.png")
    with pytest.raises(DataError, match="the pictures are in one folder"):
        opened(tmp_path / "flat", unlabelled=True, reader={"group": "folder"})


def test_folders_are_compared_on_the_level_where_they_differ():
    names = ["all/P01/a.png", "all/P02/b.png"]
    assert person_folders(names) == any_folders(names) == {names[0]: "P01", names[1]: "P02"}
    assert person_folders([*names, "all/c.png"]) == {}
    assert person_folders(["P01/a.png"]) == {}
