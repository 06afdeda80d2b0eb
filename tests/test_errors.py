"""Lists of names in messages."""

from fer_core.errors import listed


def test_up_to_the_limit_all_names_are_listed():
    assert listed([], 2) == ""
    assert listed(iter(["angry", "happy"]), 2) == "angry, happy"


def test_beyond_the_limit_the_rest_is_counted():
    assert listed(["angry", "happy", "sad"], 2) == "angry, happy and 1 more"
    assert listed(map(str, range(2003)), 3) == "0, 1, 2 and 2,000 more"
