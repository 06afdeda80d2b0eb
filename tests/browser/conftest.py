"""A served dashboard on a toy benchmark, and a Chromium to look at it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.browser import FLAGS, settled
from tests.support.builders import Toy, toy_benchmark

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "test-screenshots"


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in Path(item.fspath).parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Toy:
    return toy_benchmark(tmp_path_factory.mktemp("served"), per_class=40)


@pytest.fixture(scope="session")
def address(served, tmp_path_factory):
    """Serves the dashboard from another working directory, as a user may."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "FERSCOPE_ARTIFACTS": str(served.artifacts),
        "FERSCOPE_DATA": str(served.data),
    }
    log = (tmp_path_factory.mktemp("log") / "streamlit.log").open("w+")
    command = [
        sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "Home.py"),
        "--server.headless", "true", "--server.port", str(port),
        "--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    server = subprocess.Popen(
        command, env=environment, cwd=log.name.rsplit("/", 1)[0], stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                break
            except OSError:
                assert server.poll() is None, Path(log.name).read_text()
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:  # a busy machine is no failure
            server.kill()


@pytest.fixture(scope="session")
def chromium():
    path = os.environ.get("FERSCOPE_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("There is no Chromium. Install it, or name one in FERSCOPE_CHROMIUM.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visitors(chromium):
    """A browser's profile by colour scheme: what Streamlit sends of itself is fetched once."""
    made = {
        scheme: chromium.new_context(viewport={"width": 1400, "height": 1300}, color_scheme=scheme)
        for scheme in ("light", "dark")
    }
    yield made
    for context in made.values():
        context.close()


@pytest.fixture
def watch(address):
    """What the pages of a test ask of other hosts, and what the browser's console says."""
    return faults.Watch(address)


@pytest.fixture
def visit(visitors, address, watch, request):
    """Returns a function that opens a page and waits until Streamlit is done."""
    opened = []

    def open_(path: str, scheme: str = "light"):
        page = visitors[scheme].new_page()
        page.set_default_timeout(60_000)
        watch.follow(page)
        opened.append(page)
        page.goto(f"{address}/{path}")
        settled(page)
        return page

    yield open_
    SCREENSHOTS.mkdir(exist_ok=True)
    for index, page in enumerate(opened):
        name = re.sub(r"[^\w-]+", "-", request.node.name)
        page.screenshot(path=SCREENSHOTS / f"{name}-{index}.png")
        page.close()
