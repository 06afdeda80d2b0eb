"""The script of the browser's history, on an empty page of Chromium."""

import pytest

from dashboard import address

HOST = "http://history.test"
APP = '<div data-testid="stApp" data-test-script-state="notRunning"></div>'
LATE = 2500
"""Milliseconds; how late a busy server answers."""


@pytest.fixture
def page(visitors):
    page = visitors["light"].new_page()
    page.route("**", lambda route: route.fulfill(body=APP, content_type="text/html"))
    page.clock.install()
    page.goto(f"{HOST}/trust?run=a&slice=dark")
    page.evaluate(address._script().replace("<script>", "").replace("</script>", ""))
    yield page
    page.close()


def write(page, address: str) -> None:
    """Writes an address as Streamlit does."""
    page.evaluate("url => history.pushState({}, '', url)", address)


def back(page) -> str:
    page.evaluate(
        "() => new Promise(done => { addEventListener('popstate', done, {once: true}); "
        "history.back(); })"
    )
    return page.url.removeprefix(HOST)


@pytest.mark.parametrize("wait", [0, LATE])
def test_back_from_another_page_keeps_the_slice(page, wait):
    write(page, "/trust?run=a&where=dark")  # cleared for the other page, and its link written
    page.clock.fast_forward(wait)
    write(page, "/errors?run=a&where=dark")
    assert back(page) == "/trust?run=a&slice=dark"


def test_parameters_of_a_link_that_are_written_one_by_one_are_no_steps(page):
    write(page, "/trust")
    write(page, "/trust?benchmark=toy")
    write(page, "/trust?benchmark=toy&run=a")
    write(page, "/errors?benchmark=toy&run=a")
    assert back(page) == "/trust?run=a&slice=dark"


def test_a_click_while_the_other_page_is_awaited_changes_nothing(page):
    page.evaluate("document.querySelector('div').dataset.testScriptState = 'running'")
    write(page, "/trust")
    page.mouse.click(5, 5)
    write(page, "/errors")
    assert back(page) == "/trust?run=a&slice=dark"


def test_a_cleared_filter_is_a_step(page):
    write(page, "/trust?run=a")
    page.mouse.click(5, 5)
    write(page, "/errors")
    assert back(page) == "/trust?run=a"
    assert back(page) == "/trust?run=a&slice=dark"


def test_defaults_and_walks_are_no_steps(page):
    write(page, "/trust?run=a&slice=dark&benchmark=toy")
    write(page, "/trust?run=a&slice=dark&benchmark=toy&sample=1")
    write(page, "/trust?run=a&slice=dark&benchmark=toy&sample=2")
    assert back(page) == "/trust?run=a&slice=dark&benchmark=toy"
