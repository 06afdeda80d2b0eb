"""The sample viewer in Chromium: clicks, arrow keys, Back, and the space it takes."""

import re
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import expect

from tests.support.browser import settled

expect.set_options(timeout=60_000)

RUN = "efficientnet_lite0-cpu-s1"


def sample(page) -> str | None:
    return parse_qs(urlparse(page.url).query).get("sample", [None])[0]


def wait_for_another(page, before: str | None) -> str | None:
    """Waits until the address names another sample than before, and the viewer has followed."""
    page.wait_for_function(
        "before => new URLSearchParams(location.search).get('sample') !== before", arg=before
    )
    settled(page)
    return sample(page)


def viewer(page):
    return page.get_by_role("dialog")


def test_a_face_opens_arrow_keys_walk_and_back_returns_to_the_list(visit):
    page = visit(f"errors?run={RUN}")
    faces = page.locator(".fs-grid button")
    ids = [button.get_attribute("data-id") for button in faces.all()]
    faces.nth(1).click()
    assert wait_for_another(page, None) == ids[1]
    expect(viewer(page).get_by_text(ids[1], exact=True)).to_be_visible()
    expect(page.locator(".fs-grid button.fs-open")).to_have_attribute("data-id", ids[1])
    for key, expected in (("ArrowRight", ids[2]), ("ArrowRight", ids[3]), ("ArrowLeft", ids[2])):
        before = sample(page)
        page.keyboard.press(key)
        assert wait_for_another(page, before) == expected
        expect(viewer(page).get_by_text(expected, exact=True)).to_be_visible()
        # the list follows without running again
        expect(page.locator(".fs-grid button.fs-open").first).to_have_attribute("data-id", expected)
    viewer(page).get_by_role("link", name="Open in Saliency lab").click()
    expect(page.get_by_role("heading", name="Saliency lab")).to_be_visible()
    settled(page)
    expect(page.locator(".fs-grid button").first).to_have_attribute("data-id", ids[2])
    page.go_back()
    expect(page.get_by_role("heading", name="Error explorer")).to_be_visible()
    expect(viewer(page).get_by_text(ids[2], exact=True)).to_be_visible()
    settled(page)
    page.go_back()
    expect(viewer(page)).to_have_count(0)
    settled(page)
    assert "/errors" in page.url
    assert f"run={RUN}" in page.url
    page.go_forward()
    expect(viewer(page).get_by_text(ids[2], exact=True)).to_be_visible()


def test_escape_closes_the_viewer_and_its_address_opens_it(visit):
    page = visit(f"errors?run={RUN}")
    page.locator(".fs-grid button").first.click()
    opened = wait_for_another(page, None)
    again = visit(page.url.split("/", 3)[3])
    expect(viewer(again).get_by_text(opened, exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    wait_for_another(page, opened)
    expect(viewer(page)).to_have_count(0)
    assert sample(page) is None


def test_a_similar_picture_opens_in_the_same_viewer(visit):
    page = visit(f"errors?run={RUN}")
    page.locator(".fs-grid button").first.click()
    opened = wait_for_another(page, None)
    similar = viewer(page).locator(".fs-grid button").first
    expected = similar.get_attribute("data-id")
    similar.click()
    assert wait_for_another(page, opened) == expected
    expect(viewer(page).get_by_text(expected, exact=True)).to_be_visible()


def test_cells_of_the_matrix_are_steps_of_the_history(visit):
    page = visit(f"confusion?run={RUN}&show=Counts")
    chart = page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    addresses = [page.url]
    for x, y in ((0.35, 0.22), (0.62, 0.49)):
        box = chart.first.bounding_box()
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function("before => location.href !== before", arg=addresses[-1])
        settled(page)
        addresses.append(page.url)
    page.get_by_role("link", name="Error explorer").first.click()
    expect(page.get_by_role("heading", name="Error explorer")).to_be_visible()
    settled(page)
    for expected in reversed(addresses):
        page.go_back()
        page.wait_for_function("url => location.href === url", arg=expected)
        settled(page)
    expect(page.get_by_text(re.compile("Click a cell of the matrix"))).to_be_visible()
    # quick steps, while the scripts of the pages between are still running
    for _ in addresses:
        page.go_forward()
    expect(page.get_by_role("heading", name="Error explorer")).to_be_visible()
    for expected in reversed(addresses):
        page.go_back()
        page.wait_for_function("url => location.href === url", arg=expected)
    settled(page)
    expect(page.get_by_text(re.compile("Click a cell of the matrix"))).to_be_visible()
    assert page.url == addresses[0]


@pytest.mark.parametrize(("width", "widest"), [(1440, 560), (1024, 560), (390, 390)])
def test_the_viewer_is_in_sight_on_every_screen(visit, width, widest):
    page = visit(f"errors?run={RUN}")
    page.set_viewport_size({"width": width, "height": 800})
    face = page.locator(".fs-grid button").first
    face.scroll_into_view_if_needed()
    face.click()
    wait_for_another(page, None)
    box = viewer(page).bounding_box()
    assert box["y"] >= 0
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width + 1
    assert box["width"] <= widest + 1
    # nothing sticks out of it
    assert viewer(page).evaluate("element => element.scrollWidth - element.clientWidth") <= 1
    expect(viewer(page).get_by_role("button", name="Next")).to_be_in_viewport()


def test_a_row_of_the_leaderboard_opens_its_run(visit):
    page = visit("leaderboard")
    table = page.locator("[data-testid=stDataFrame]").first
    box = table.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 52)  # the first row's box
    expect(page.get_by_role("heading", name="Run", exact=True)).to_be_visible()
    settled(page)
    assert "run=" in page.url
    page.go_back()
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()


def test_one_step_back_leaves_a_page_that_has_filled_in_its_pickers(visit):
    page = visit("")
    page.get_by_role("link", name="Leaderboard").first.click()
    expect(page).to_have_title(re.compile("Leaderboard"))
    settled(page)
    assert "lineage=" in page.url
    page.go_back()
    expect(page).to_have_title(re.compile("Verdict"))
