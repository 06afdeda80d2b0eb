"""The script of the browser's history; its effect is tested in Chromium."""

from dashboard import address
from dashboard.state import Key
from tests.support.pages import texts


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
