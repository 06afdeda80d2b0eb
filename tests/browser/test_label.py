"""Labelling by keys in Chromium: bars move, undo, export, and the link continues."""

import re

import pandas as pd
from playwright.sync_api import expect

from tests.support.browser import settled

expect.set_options(timeout=60_000)


def labelled(page) -> int:
    text = page.get_by_text(re.compile(r"\d+ of \d+ faces labelled")).first.inner_text()
    return int(re.match(r"(\d+)", text).group(1))


def press(page, key, expected):
    page.keyboard.press(key)
    expect(
        page.get_by_text(re.compile(rf"^{expected} of \d+ faces labelled")).first
    ).to_be_visible()
    settled(page)


def bars(page) -> list[str]:
    return page.locator("[data-testid=stPlotlyChart] .bartext").all_text_contents()


def test_twelve_faces_by_keys_undo_export_and_reopen(visit, tmp_path):
    page = visit("label?annotator=ann")
    assert labelled(page) == 0
    before = bars(page)
    for count, key in enumerate("123456712340", 1):
        press(page, key, count)
    assert bars(page) != before
    press(page, "z", 11)
    press(page, "5", 12)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the labels (csv)").click()
    path = tmp_path / "labels.csv"
    download.value.save_as(path)
    table = pd.read_csv(path)
    assert len(table) == 12
    assert table["label"].tolist()[-1] == "neutral"
    again = visit(page.url.split("/", 3)[3])
    assert labelled(again) == 12
    assert again.get_by_role("textbox", name="Your name").input_value() == "ann"
