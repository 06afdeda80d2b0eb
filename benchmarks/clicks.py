"""Waiting times in a browser: changes of page, the sample viewer, Response curves and Compare.

A Chromium opens the dashboard with the published runs. The page itself takes the time, from the
click to the first animation frame in which the result is there.
Server and browser share this machine. `FERSCOPE_DATA` names the folder of a prepared benchmark,
if the faces are to be shown too.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import ElementHandle, Page, sync_playwright

from benchmarks.result import Result
from benchmarks.users import served
from dashboard.pages import BY_NAME

WARM_MS, FIRST_ROW_S, ALL_ROWS_S = 300, 2.0, 6.0
REPEATS = 5

_WALK = ("leaderboard", "confusion", "errors", "head_to_head", "trust", "response_curves")
"""Pages of results, opened one after the other through the navigation."""

_STILL = (
    "document.querySelector('[data-testid=stApp]')"
    ".getAttribute('data-test-script-state') === 'notRunning'"
)
_SHARE = "/\\u00b7 \\d+%$/"
_ROWS = f"[...document.querySelectorAll('h3')].filter(row => {_SHARE}.test(row.innerText.trim()))"
_TIMED = """async element => {{
    const frame = () => new Promise(requestAnimationFrame);
    const started = performance.now();
    {start};
    while (!({seen})) await frame();
    const first = performance.now() - started;
    while (!({done})) await frame();
    return [first, performance.now() - started];
}}"""


def measure() -> Iterator[Result]:
    """Measures Compare while no model is loaded, then warm pages, the viewer and Compare again."""
    with (
        tempfile.TemporaryDirectory() as state,
        served(Path(state)) as (address, _),
        _page() as page,
    ):
        yield from _compare(page, address, "no model loaded", (FIRST_ROW_S, ALL_ROWS_S))
        yield from _pages(page, address)
        yield from _viewer(page, address)
        yield from _compare(page, address, "models loaded", None)


@contextmanager
def _page() -> Iterator[Page]:
    path = os.environ.get("FERSCOPE_CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise RuntimeError("There is no Chromium. Install it, or name one in FERSCOPE_CHROMIUM.")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(120_000)
        yield page
        browser.close()


def _wait_until_drawn(page: Page) -> None:
    """Waits until no script runs and the browser has drawn everything."""
    page.wait_for_selector("h1")
    page.wait_for_function(_STILL)
    page.wait_for_timeout(500)
    page.evaluate("() => new Promise(requestIdleCallback)")


def _timed(
    page: Page, start: str, seen: str, done: str = _STILL, element: ElementHandle | None = None
) -> tuple[float, float]:
    """Returns the milliseconds until `seen` holds and until `done` holds after it.

    Args:
        page: The browser's page.
        start: JavaScript that starts the measurement; it can use `element`.
        seen: JavaScript condition.
        done: JavaScript condition.
        element: An element of the page.
    """
    script = _TIMED.format(start=start, seen=seen, done=done)
    first, complete = page.evaluate(script, element)
    return first, complete


def _row(what: str, times: Sequence[tuple[float, float]], target: float | None) -> Result:
    seen, complete = (median(column) for column in zip(*times, strict=True))
    return Result(
        what,
        f"{seen:.0f} ms",
        f"complete after {complete:.0f} ms",
        "" if target is None else f"{target:.0f} ms",
        None if target is None else seen < target,
    )


def _pages(page: Page, address: str) -> Iterator[Result]:
    page.goto(address)
    _wait_until_drawn(page)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in _WALK}
    for _ in range(REPEATS + 1):
        for name in _WALK:
            times[name].append(_open(page, name))
            _wait_until_drawn(page)
    for name, (first, *later) in times.items():
        title = BY_NAME[name].title
        yield _row(f"{title}, first visit of the server: click to page", [first], None)
        yield _row(f"{title}, warm: click to page", later, WARM_MS)


def _open(page: Page, name: str) -> tuple[float, float]:
    title = BY_NAME[name].title
    seen = f"document.querySelector('h1')?.innerText.trim() === '{title}'"
    return _timed(page, _click(name), seen)


def _click(name: str) -> str:
    """Returns JavaScript that clicks a page in the navigation."""
    title = BY_NAME[name].title
    links = "[...document.querySelectorAll('[data-testid=stSidebarNav] a')]"
    return f"{links}.find(link => link.innerText.includes('{title}')).click()"


def _viewer(page: Page, address: str) -> Iterator[Result]:
    page.goto(f"{address}/errors")
    times = []
    for index in range(REPEATS + 1):
        face = page.locator(".fs-grid button").nth(index)
        face.wait_for()
        _wait_until_drawn(page)
        shown = (
            "document.querySelector('[role=dialog]')?.innerText.includes"
            f"('{face.get_attribute('data-id')}')"
        )
        times.append(_timed(page, "element.click()", shown, element=face.element_handle()))
        _wait_until_drawn(page)
        page.locator("[role=dialog]").press("Escape")
        page.wait_for_function("!document.querySelector('[role=dialog]')")
    yield _row("click on a face to the viewer, warm", times[1:], WARM_MS)


def _compare(
    page: Page, address: str, models: str, targets: tuple[float, float] | None
) -> Iterator[Result]:
    """Opens Compare, with an example face, from the first page."""
    page.goto(address)
    _wait_until_drawn(page)
    first, complete = _timed(
        page, _click("compare"), f"{_ROWS}.length", "document.querySelector('h4')"
    )
    rows = page.evaluate(f"{_ROWS}.length")
    limits = (None, None) if targets is None else targets
    for what, spent, limit in (
        ("first prediction", first, limits[0]),
        (f"all {rows} predictions", complete, limits[1]),
    ):
        yield Result(
            f"Compare, {models}: click to {what}",
            f"{spent / 1000:.1f} s",
            "",
            "" if limit is None else f"{limit:.0f} s",
            None if limit is None else spent / 1000 < limit,
        )
