"""The lasso, paging and links of the pages on data, in a real browser."""

import re
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import expect

from tests.support.browser import settled


def test_a_lasso_on_the_map_lists_its_faces_and_a_link_restores_it(visit):
    page = visit("explorer?view=Map")
    layer = page.locator("[data-testid=stPlotlyChart] .nsewdrag").first
    layer.wait_for()
    page.wait_for_timeout(1000)
    box = layer.bounding_box()

    def place(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*place(0.05, 0.05))
    page.mouse.down()
    for corner in ((0.95, 0.05), (0.95, 0.95), (0.05, 0.95), (0.05, 0.06)):
        page.mouse.move(*place(*corner), steps=8)
    page.mouse.up()
    page.wait_for_url(re.compile(r"region="))
    settled(page)
    heading = page.get_by_role("heading", name=re.compile(r"[\d,]+ images in the region"))
    expect(heading).to_be_visible()
    assert int(re.sub(r"\D", "", heading.inner_text())) > 100
    expect(page.locator(".fs-grid img").nth(20)).to_be_visible()

    region = parse_qs(urlparse(page.url).query)["region"][0]
    again = visit(f"explorer?view=Map&region={region}")
    expect(again.get_by_role("heading", name=heading.inner_text())).to_be_visible()
    again.get_by_role("button", name="Clear selection").click()
    expect(again.get_by_text("Select a region of the map")).to_be_visible()


def test_selected_classes_are_kept_in_the_address(visit):
    page = visit("explorer?view=Samples")
    page.get_by_role("button", name="happy", exact=True).click()
    page.wait_for_url(re.compile(r"emotions="))
    settled(page)
    again = visit(page.url.split("/", 3)[3])
    expect(again.get_by_text("40 images", exact=True)).to_be_visible()
    expect(again.locator(".fs-grid figure")).to_have_count(40)
