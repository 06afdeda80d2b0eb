"""Finding the pictures that tables name."""

import unicodedata

import pytest

from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.tree import open_tree


def index(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return PictureIndex(open_tree(root))


@pytest.mark.parametrize(
    ("cell", "folder", "found"),
    [
        ("train/happy/1.png", "", "train/happy/1.png"),
        (r"C:\faces\train\Happy\1.png", "", "train/happy/1.png"),  # moved; other case
        ("/home/me/train/happy/1", "", "train/happy/1.png"),  # no suffix
        ("../train/happy/1.png", "lists", "train/happy/1.png"),
        ("2.png", "", "train/sad/2.png"),  # only one has this name
        ("1.png", "", None),  # two have it
        ("test/happy/1.png", "", None),  # of another split
        ("happy/2.png", "", None),  # in another folder, and this one exists
        ("faces/2.png", "", "train/sad/2.png"),  # a folder that was renamed
        ("3.png", "", None),
        ("", "", None),
        ("..", "", None),
    ],
)
def test_a_cell_names_one_picture_or_none(tmp_path, cell, folder, found):
    pictures = index(tmp_path, ["train/happy/1.png", "train/sad/1.png", "train/sad/2.png"])
    assert pictures.find(cell, folder) == found


def test_a_picture_that_a_path_names_is_not_given_to_other_rows(tmp_path):
    pictures = index(tmp_path, ["happy/1.png", "happy/2.png", "happy/3.png"])
    cells = ["happy/1.png", "angry/1.png", "old/2.png", "older/2.png", "older/3.png"]
    assert pictures.find_all(cells, "", [None] * 5) == [
        "happy/1.png",
        None,  # the first row names it by its path
        None,  # two rows claim it
        None,
        "happy/3.png",
    ]


def test_accents_are_compared_in_one_form(tmp_path):
    name = unicodedata.normalize("NFD", "müller.png")
    assert index(tmp_path, [f"a/{name}"]).find("b/m\u00fcller.png", "") == f"a/{name}"
