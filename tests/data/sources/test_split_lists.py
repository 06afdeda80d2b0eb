"""Lists of the pictures of each split."""

import pytest

from fer_core.data.sources.split_lists import SplitLists, read_split_lists
from fer_core.data.sources.tree import open_tree
from fer_core.errors import DataError


def tree(root, lists):
    for label in ("happy", "sad"):
        (root / label).mkdir()
        for number in range(4):
            (root / label / f"{label}{number}.png").write_bytes(b"")
    for name, lines in lists.items():
        (root / name).write_text("\n".join(lines))
    return open_tree(root)


def test_each_picture_has_the_split_of_its_list(tmp_path):
    lists = {"train.txt": ["happy/happy0.png", "sad/sad0.png"], "test.txt": ["happy1.png"]}
    assert read_split_lists(tree(tmp_path, lists)) == SplitLists(
        ("test.txt", "train.txt"),
        {
            "happy/happy0.png": "train",
            "sad/sad0.png": "train",
            "happy/happy1.png": "test",
        },
    )


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {"train.txt": ["happy/happy0.png"]},  # one alone is no division
        {"train.txt": ["the training set"], "test.txt": ["the test set"]},
    ],
)
def test_other_files_are_no_lists(tmp_path, lists):
    assert read_split_lists(tree(tmp_path, lists)) == SplitLists()


def test_a_picture_in_two_lists_is_refused(tmp_path):
    lists = {"train.txt": ["happy/happy0.png"], "test.txt": ["happy/happy0.png"]}
    with pytest.raises(DataError, match=r"give different splits to happy/happy0\.png"):
        read_split_lists(tree(tmp_path, lists))
