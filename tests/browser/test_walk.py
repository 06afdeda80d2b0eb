"""From the question to the report, as a user goes: one walk through the dashboard in Chromium."""

import re
from io import BytesIO
from urllib.parse import parse_qs, urlparse

import pypdf
import pytest
from playwright.sync_api import expect

from fer_core.evaluation import verdict_text
from fer_core.evaluation.constraints import Constraints, ModelKind
from fer_core.evaluation.verdict import read_verdict
from tests.support.browser import settled

expect.set_options(timeout=60_000)


def sample(page) -> str | None:
    return parse_qs(urlparse(page.url).query).get("sample", [None])[0]


def press(page, key: str) -> str | None:
    before = sample(page)
    page.keyboard.press(key)
    page.wait_for_function(
        "before => new URLSearchParams(location.search).get('sample') !== before", arg=before
    )
    settled(page)
    return sample(page)


def heading(page, name: str):
    return page.get_by_role("heading", name=name, exact=True)


def go_back(page, title: str) -> None:
    page.go_back()
    expect(heading(page, title)).to_be_visible()
    settled(page)


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_from_a_constraint_to_the_report(visit, served, width):
    page = visit("?kind=ensemble")
    page.set_viewport_size({"width": width, "height": 900})
    verdict = page.locator(".fs-verdict")
    ensemble = read_verdict(served.benchmark, Constraints.of(kind=ModelKind.ENSEMBLE))
    expect(verdict).to_have_text(verdict_text.headline(ensemble))

    # a constraint less: another model
    page.get_by_role("radio", name="any", exact=True).click()
    settled(page)
    free = read_verdict(served.benchmark)
    expect(verdict).to_have_text(verdict_text.headline(free))
    assert free.recommended.run_id != ensemble.recommended.run_id

    # where it fails: its most frequent confusion, and three faces of it
    page.get_by_role("link", name=re.compile("Open these .* images")).first.click()
    expect(heading(page, "Confusion matrix")).to_be_visible()
    settled(page)
    faces = page.locator(".fs-grid button")
    ids = [button.get_attribute("data-id") for button in faces.all()]
    faces.first.click()
    page.wait_for_function("() => new URLSearchParams(location.search).has('sample')")
    settled(page)
    assert [sample(page), press(page, "ArrowRight"), press(page, "ArrowRight")] == ids[:3]

    # one of them in the lab, and back to the list
    page.get_by_role("dialog").get_by_role("link", name="Open in Saliency lab").click()
    expect(heading(page, "Saliency lab")).to_be_visible()
    settled(page)
    go_back(page, "Confusion matrix")
    go_back(page, "Confusion matrix")
    expect(page.get_by_role("dialog")).to_have_count(0)

    # the list becomes a slice, and the slice a column
    name = f"walk {width}"
    page.get_by_role("button", name="Save as slice").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save slice", exact=True).click()
    expect(page.get_by_text(f"Saved the slice {name}")).to_be_visible()
    settled(page)
    page = visit(f"leaderboard?slices={name.replace(' ', '+')}")
    expect(page.get_by_test_id("stMultiSelect").filter(has_text=name)).to_be_visible()
    page.get_by_text("Manage slices").click()
    expect(page.get_by_text(f"{name}:")).to_be_visible()

    # the PDF has the numbers of the page
    page = visit("")
    shown = page.get_by_test_id("stMetricValue").first.inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="PDF").click()
    reader = pypdf.PdfReader(BytesIO(download.value.path().read_bytes()))
    text = " ".join(part.extract_text() for part in reader.pages)
    assert shown in text


def test_not_measured_fits_on_one_line_of_a_card(visit):
    page = visit("")
    page.set_viewport_size({"width": 390, "height": 900})
    value = page.locator(".st-key-verdict-cards p", has_text="not measured").first
    expect(value).to_be_visible()
    lines = """p => {
        const text = document.createRange();
        text.selectNodeContents(p);
        return new Set([...text.getClientRects()].map((line) => line.top)).size;
    }"""
    assert value.evaluate(lines) == 1
