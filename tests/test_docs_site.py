"""Pages of the site: links to pages stay, links to other files become text."""

import yaml

from tests.support.docs_site import ROOT, on_site, page_names


def test_links_are_those_of_the_site():
    names = page_names()
    text = "[a](docs/data.md#plans) [b](LICENSE) ![c](docs/compare.webp) [d](https://x.y) [e](#top)"
    assert on_site(text, ROOT, names) == (
        "[a](data.md#plans) b (`LICENSE`) ![c](compare.webp) [d](https://x.y) [e](#top)"
    )
    assert on_site("[r](../README.md)", ROOT / "docs", names) == "[r](index.md)"


def test_the_navigation_has_every_page():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = []
    for entry in nav:
        values = [entry] if isinstance(entry, str) else list(entry.values())
        for value in values:
            listed += value if isinstance(value, list) else [value]
    pages = {name for name in page_names().values() if name.endswith(".md")}
    assert set(listed) == pages
