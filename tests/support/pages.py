"""Where the dashboard is, and what a page of it says."""

import json
import re
from pathlib import Path

from streamlit.testing.v1 import AppTest

HOME = Path(__file__).resolve().parents[2] / "dashboard" / "Home.py"


def texts(app: AppTest) -> str:
    """Returns all plain text of a page."""
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.error, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def contents(app: AppTest) -> list[str]:
    """Returns the sections that the list of contents of a long page links to."""
    (links,) = (item.value for item in app.markdown if item.value.startswith("On this page"))
    return re.findall(r"\[([^]]+)\]\(#", links)


def galleries(app: AppTest) -> list[str]:
    """Returns the HTML of each gallery whose pictures open, in the order of the page."""
    parts = (element.proto for element in app.get("bidi_component"))
    return [
        json.loads(part.json)["figures"]
        for part in parts
        if part.component_name == "ferscope-gallery"
    ]


def problems(app: AppTest) -> list[str]:
    """Returns the lines of the folded list of runs that have problems, unescaped."""
    return [
        line.removeprefix("- ").replace("\\", "")
        for folded in app.expander
        if "See which" in folded.label
        for element in folded.markdown
        for line in element.value.splitlines()
    ]


def raw_columns(app: AppTest) -> list[str]:
    """Returns the titles of table columns that are a file's column name, such as `p_happy`."""
    found = []
    for element in app.dataframe:
        config = json.loads(element.proto.columns or "{}")
        for name in map(str, element.value.columns):
            title = (config.get(name) or {}).get("label") or name
            hidden = (config.get(name) or {}).get("hidden", False)
            found += [title] if re.fullmatch(r"\w+", title) and "_" in title and not hidden else []
    return found
