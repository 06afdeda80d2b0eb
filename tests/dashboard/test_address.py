"""The script of the browser's history; its effect is tested in Chromium."""

import ast
from collections.abc import Callable

from dashboard import address
from dashboard.state import Key
from tests.support.pages import HOME, texts


def test_the_script_names_every_key_and_the_event():
    script = address._script()
    for name in ("DEFAULTS", "WALKED", "CLEARED", "EVENT;", '"EVENT"'):
        assert name not in script
    assert f'"{Key.RUN}"' in script
    assert f'new Event("{address.EVENT}")' in script


def test_every_page_has_the_script_once(open_page, toy):
    for page in ("overview", "confusion"):
        app = open_page(page, toy.artifacts)
        scripts = [element for element in app.html if address.EVENT in element.proto.body]
        assert len(scripts) == 1
        assert not app.exception
        assert texts(app)


def keys_of(matches: Callable[[ast.Call], bool]) -> set[str]:
    """Returns the names of the keys that matching calls of the dashboard are given."""
    calls = (
        node
        for path in HOME.parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and matches(node)
    )
    return {
        value.attr
        for call in calls
        for value in (*call.args, *(keyword.value for keyword in call.keywords))
        if isinstance(value, ast.Attribute) and getattr(value.value, "id", "") == "Key"
    }


def name_of(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def test_what_pickers_fill_in_is_no_step_of_the_user():
    filled = keys_of(lambda call: name_of(call) in ("select_box", "run_picker"))
    assert {key.name for key in address._DEFAULTS} == filled | {"RUN"}  # run_picker's default


def test_a_key_is_filled_in_by_a_picker_or_bound_to_a_widget():
    """A bound widget leaves its default out of the address, so that a new key is the user's."""
    bound = keys_of(
        lambda call: name_of(call) == "switch" or any(word.arg == "bind" for word in call.keywords)
    )
    assert Key.SHOW.name in bound
    assert sorted({key.name for key in address._DEFAULTS} & bound) == []
