"""Finding the pictures that tables name."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.tree import FileTree, FolderStore, open_tree


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


FOLDERS = ["", "a", "b", "a/b", "b/a", "train/a", "test/a", "train/b/a"]
FILES = ["1.png", "2.png", "1_aligned.png", "A.png"]


@settings(max_examples=300, deadline=None)
@given(
    st.sets(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(FILES)), min_size=1, max_size=8),
    st.sampled_from(["", "x", "x/a", "b", "a/b", "train/a", "test/x/a"]),
    st.sampled_from(["1.png", "2", "1", "a.PNG", "3.png"]),
)
def test_the_lookup_by_folder_changes_no_result(pictures, folder, file):
    names = tuple(sorted(f"{place}/{name}".lstrip("/") for place, name in pictures))
    tree = FileTree(shown="set", title="set", store=FolderStore(Path()), files=names)
    fast, slow = PictureIndex(tree), PictureIndex(tree)
    slow._by_end = {end: found for end, found in slow._by_end.items() if "/" not in end}
    cell = f"/else/{folder}/{file}".replace("//", "/")
    assert fast.candidates(cell, "") == slow.candidates(cell, "")
