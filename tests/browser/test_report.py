"""The HTML report on paper, in Chromium."""

from io import BytesIO

import pandas as pd
import pypdf

from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.leaderboard import read_results
from fer_core.figures import html_report
from fer_core.figures.html_report import render_report


def test_a_printed_report_shows_what_is_folded_on_the_screen(served, chromium):
    results = read_results(ArtifactStore(served.artifacts).benchmark("toy"))
    page = chromium.new_page()
    page.set_content(render_report(results))
    closed = page.locator("details:not([open])").count()
    heights = "() => charts().map((chart) => chart._fullLayout.height)"
    before = page.evaluate(heights)
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    matrices = page.locator("details .main-svg:first-child").all()
    widths = [matrix.bounding_box()["width"] for matrix in matrices]
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    printed = pypdf.PdfReader(BytesIO(page.pdf(prefer_css_page_size=True)))
    text = "\n".join(sheet.extract_text() for sheet in printed.pages)
    # an axis of each run's matrix, and the table of pairs
    assert text.count("predicted\n") >= len(results.entries)
    assert "corrected p" in text
    assert widths == [330] * len(results.entries)
    assert closed == len(results.entries) + 1
    assert page.locator("details:not([open])").count() == closed
    assert page.evaluate(heights) == before


def test_a_table_of_fifteen_columns_fits_the_paper(chromium):
    names = ["model", *(f"Jpeg compression {number}" for number in range(14))]
    table = pd.DataFrame([["EfficientNet-Lite0 + ResNet-34", *["88.8%"] * 14]], columns=names)
    page = chromium.new_page(viewport={"width": 688, "height": 900})
    page.emulate_media(media="print")
    page.set_content(f"<style>{html_report._STYLE}</style>{html_report._table(table)}")
    assert page.evaluate("document.documentElement.scrollWidth") == 688
