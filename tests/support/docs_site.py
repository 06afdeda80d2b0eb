"""Collects the pages of the site: `python -m tests.support.docs_site`, then `mkdocs build`.

README.md becomes the first page. Links to pages stay links; links to other files of the checkout
become plain text, because the site does not contain them.
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "build" / "docs-source"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:)([^)\s#]*)(#[^)\s]*)?\)")


def page_names() -> dict[Path, str]:
    """Returns the name on the site of each page and picture, by its path in the checkout."""
    names = {ROOT / source: name for source, name in PAGES.items()}
    return names | {path: path.name for path in sorted((ROOT / "docs").glob("*.*"))}


def on_site(text: str, folder: Path, names: dict[Path, str]) -> str:
    """Returns a page with links as the site needs them.

    Args:
        text: The page.
        folder: Folder of the page in the checkout.
        names: As `page_names` gives them.
    """

    def link(match: re.Match[str]) -> str:
        mark, shown, target, anchor = match.groups()
        if not target:
            return match[0]
        path = (folder / target).resolve()
        if path in names:
            return f"{mark}[{shown}]({names[path]}{anchor or ''})"
        return f"{shown} (`{path.relative_to(ROOT)}`)"

    return _LINK.sub(link, text)


def collect() -> None:
    """Writes all pages into `OUT`."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    names = page_names()
    for path, name in names.items():
        if path.suffix == ".md":
            text = on_site(path.read_text(encoding="utf-8"), path.parent, names)
            (OUT / name).write_text(text, encoding="utf-8")
        else:
            shutil.copy(path, OUT / name)


if __name__ == "__main__":
    collect()
