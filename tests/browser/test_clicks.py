"""What only a real browser shows: clicks, uploads, links, both colour schemes."""

import io
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboard import pages
from fer_core.evaluation import metrics
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.predictions import Predictions
from fer_core.figures.html_report import write_report
from tests.support import faults
from tests.support.browser import settled
from tests.support.builders import drawn_face

expect.set_options(timeout=60_000)

PAPER = 688
"""Width of A4 without the report's margins, in CSS pixels."""
PAGES = tuple(page.name for page in pages.PAGES)


# Pages where axe runs in the dark, too: colours are all that differs there.
SCHEMES = [(path, "light") for path in PAGES] + [
    (path, "dark") for path in ("overview", "confusion", "trust", "explorer", "quality")
]


@pytest.mark.parametrize(("path", "scheme"), SCHEMES)
def test_every_page_opens_without_an_error(visit, watch, path, scheme):
    page = visit("" if path == "overview" else path, scheme)
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stAlertContentError]").count() == 0
    assert page.locator("h1").count() == 1
    assert page.title() == f"{pages.BY_NAME[path].title} · FERscope"
    assert watch.elsewhere == []
    assert watch.console == []
    assert faults.serious(page) == []
    assert faults.labels_outside(page) == []
    assert faults.faint_ticks(page) == []


def matrix_of(served, run_id: str) -> np.ndarray:
    labels = served.dataset.labels
    test = Predictions.read(served.benchmark.run(run_id).predictions_path, labels).split("test")
    return metrics.confusion_matrix(test.truth, test.predicted, len(labels))


def cell(page) -> tuple[str, str]:
    query = parse_qs(urlparse(page.url).query)
    return query["true"][0], query["predicted"][0]


def click_chart(page, x: float, y: float) -> None:
    """Clicks a place of the matrix, in shares of the chart, and waits for the list."""
    before = page.url
    chart = page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    box = chart.first.bounding_box()
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_function("before => location.href !== before", arg=before)
    settled(page)


def in_address(page, text: str) -> None:
    """Waits until the address holds a text, and the page has followed."""
    page.wait_for_function("text => location.href.includes(text)", arg=text)
    settled(page)


def test_a_click_on_a_cell_lists_exactly_its_samples(visit, served):
    page = visit("confusion?run=efficientnet_lite0-cpu-s1&show=Counts")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("EfficientNet-Lite0 number 1")
    labels = served.dataset.labels
    matrix = matrix_of(served, "efficientnet_lite0-cpu-s1")
    seen = set()
    for x, y in ((0.35, 0.22), (0.62, 0.49), (0.62, 0.22)):
        click_chart(page, x, y)
        true, predicted = cell(page)
        seen.add((true, predicted))
        count = matrix[labels.index(true), labels.index(predicted)]
        heading = f"{true}, correct" if true == predicted else f"{true} predicted as {predicted}"
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.get_by_text(f"{count} samples, most confident first")).to_be_visible()
    assert len(seen) == 3


def test_a_click_on_a_header_lists_its_row_or_column(visit, served):
    page = visit("confusion?run=efficientnet_lite0-cpu-s1&show=Counts")
    labels = served.dataset.labels
    matrix = matrix_of(served, "efficientnet_lite0-cpu-s1")
    click_chart(page, 0.08, 0.49)
    true, predicted = cell(page)
    assert predicted == "any"
    expect(page.get_by_role("heading", name=f"All labelled {true}")).to_be_visible()
    count = matrix[labels.index(true)].sum()
    expect(page.get_by_text(f"{count} samples, most confident first")).to_be_visible()
    click_chart(page, 0.62, 0.08)
    true, predicted = cell(page)
    assert true == "any"
    expect(page.get_by_role("heading", name=f"All predicted {predicted}")).to_be_visible()
    count = matrix[:, labels.index(predicted)].sum()
    expect(page.get_by_text(f"{count} samples, most confident first")).to_be_visible()


def test_the_class_filter_is_kept_across_pages(visit):
    page = visit("leaderboard")
    page.get_by_role("combobox", name="Classes", exact=True).click()
    page.get_by_role("option", name="Angry, happy, sad").click()
    in_address(page, "classes=")
    expect(page.get_by_text("30 images of angry, happy, sad").first).to_be_visible()
    page.get_by_role("link", name="Confusion matrix").first.click()
    expect(page.get_by_role("heading", name="Confusion matrix")).to_be_visible()
    settled(page)
    assert "classes=" in page.url
    expect(page.get_by_text(re.compile(r"^30 images, "))).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_html_report_opens_offline(chromium, served, tmp_path, scheme):
    target = tmp_path / "report.html"
    write_report(target, read_results(served.benchmark))
    context = chromium.new_context(offline=True, color_scheme=scheme)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(target.as_uri())
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    assert page.locator(".js-plotly-plot .main-svg").count() >= 5
    page.locator("summary").first.click()  # a chart in it gets its width
    assert faults.labels_outside(page) == []
    assert faults.serious(page) == []
    page.emulate_media(media="print", color_scheme=scheme)
    page.set_viewport_size({"width": PAPER, "height": 970})
    page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    assert faults.labels_outside(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
    assert not errors
    context.close()


def test_a_link_restores_the_selected_cell(visit):
    page = visit("confusion?true=happy&predicted=neutral")
    assert page.get_by_role("heading", name="happy predicted as neutral").count() == 1
    expect(page.locator(".fs-grid img")).to_have_count(3)


def test_a_model_selection_is_kept_in_the_address(visit):
    page = visit("confusion")
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="EfficientNet-Lite0 number 1").click()
    page.wait_for_url(re.compile(r"run="))
    settled(page)
    again = visit(page.url.split("/", 3)[3])
    expect(again.get_by_role("combobox", name="Model")).to_have_value("EfficientNet-Lite0 number 1")


def upload(page, name: str, data: bytes) -> None:
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": data}
    )
    page.get_by_text(name).first.wait_for()
    settled(page)


def png(side: int = 240) -> bytes:
    buffer = io.BytesIO()
    drawn_face(side).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_model_predicts_an_uploaded_photograph(visit):
    page = visit("compare?face=Upload")
    page.get_by_text("The picture is already a cropped face").click()
    settled(page)
    upload(page, "me.png", png())
    # all answers at a glance, and each by itself
    expect(page.locator("[data-testid=stPlotlyChart]")).to_have_count(5)
    # the picture, what models see, and an overlay for each of the three networks and the ensemble
    expect(page.locator("[data-testid=stImage] img")).to_have_count(6)


def test_every_model_predicts_an_example_face(visit):
    page = visit("compare?face=Example")
    expect(page.locator("[data-testid=stPlotlyChart]")).to_have_count(5)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("notes.png", b"these are only words", "not a picture"),
        ("cut.png", png()[:400], "cut.png"),
        ("wall.png", None, "No face"),
    ],
)
def test_an_unreadable_image_shows_one_error_and_the_page_stays_usable(visit, name, data, message):
    if data is None:
        buffer = io.BytesIO()
        drawn_face().crop((0, 0, 20, 20)).resize((200, 200)).save(buffer, "PNG")
        data = buffer.getvalue()
    page = visit("compare?face=Upload")
    upload(page, name, data)
    alert = page.locator("[data-testid=stAlert]")
    alert.first.wait_for()
    assert message in alert.first.inner_text()
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("input[type=file]").count() == 1


def test_a_click_on_the_outline_selects_the_layer(visit):
    page = visit("features")
    chart = page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    box = chart.first.bounding_box()
    for share, layer in ((0.06, "1: bn1"), (0.94, "6: blocks.4")):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        settled(page)
        expect(page.get_by_role("combobox", name="Layer")).to_have_value(re.compile(layer))
    assert "layer=" in page.url
    again = visit(page.url.split("/", 3)[3])
    expect(again.get_by_role("combobox", name="Layer")).to_have_value(re.compile("6: blocks.4"))


def test_a_click_on_a_channel_enlarges_it(visit):
    page = visit("features")
    button = page.get_by_role("button", name=re.compile(r"^\d+ \([+-]")).nth(5)
    number = button.inner_text().split()[0]
    button.click()
    settled(page)
    expect(page.get_by_text(f"channel {number}", exact=True)).to_be_visible()


def test_two_quick_downloads_arrive_whole(visit):
    page = visit("leaderboard")
    files = {}
    page.on("download", lambda file: files.update({file.suggested_filename: file}))
    for name in ("Report (html)", "Table (csv)"):
        page.get_by_role("button", name=name).click()
    deadline = time.monotonic() + 60
    while len(files) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert {Path(name).suffix for name in files} == {".html", ".csv"}
    texts = {Path(name).suffix: file.path().read_text() for name, file in files.items()}
    assert texts[".html"].rstrip().endswith("</html>")
    assert texts[".csv"].startswith("rank,")
