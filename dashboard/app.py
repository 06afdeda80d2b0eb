"""The dashboard's server: `streamlit run dashboard/app.py`.

`streamlit run dashboard/Home.py` serves the same pages. Opened at another page than the first, such
as `/trust`, Streamlit's client then looks for the server under that page before it looks at the
root, which the browser's console shows as errors. This server tells the client where it is.
"""

import sys
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit.file_util import get_static_dir
from streamlit.starlette import App

# `streamlit run` puts this folder on the path, not the project's root
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dashboard.navigation import PAGES

_SERVER = '<script>window.__streamlit = {BACKEND_BASE_URL: new URL(".", location).href}</script>'
"""For a page's document, whose folder is the root, also behind a proxy with a prefix."""


def _document() -> str:
    """Returns Streamlit's document with the address of the server."""
    document = (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8")
    return document.replace("<head>", f"<head>{_SERVER}", 1)


async def page(_request: Request) -> HTMLResponse:
    """Returns the document of a page; the client then shows the page of its path."""
    return HTMLResponse(_document(), headers={"Cache-Control": "no-cache"})


app = App(
    Path(__file__).with_name("Home.py"),
    routes=[Route(f"/{spec.name}", page) for spec in PAGES[1:]],
)
