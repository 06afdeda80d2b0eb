"""Labelling by keys in Chromium: upload, bars move, undo, export, and the link continues."""

import io
import re
import shutil
import zipfile

import pandas as pd
import pytest
from playwright.sync_api import expect

from tests.support.browser import settled
from tests.support.builders import drawn_face

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


@pytest.fixture
def no_sets_left(served):
    yield
    shutil.rmtree(served.benchmark.root / "transfers", ignore_errors=True)
    shutil.rmtree(served.data / "transfers", ignore_errors=True)


def zipped_faces(count: int) -> bytes:
    """Returns a zip of drawn faces without labels, each of another brightness."""
    face, content = drawn_face(96).convert("L"), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for index in range(count):
            picture = io.BytesIO()
            face.point(lambda value, index=index: value * (20 + index) // 36).save(picture, "PNG")
            archive.writestr(f"face{index:02d}.png", picture.getvalue())
    return content.getvalue()


def upload(page, name: str, content: bytes) -> None:
    """Adds a zip of cropped faces as a set, and waits until it is listed."""
    page.get_by_text("Add a set").click()
    page.get_by_role("region", name="A zip with pictures").locator("input").set_input_files(
        {"name": f"{name}.zip", "mimeType": "application/zip", "buffer": content}
    )
    expect(page.get_by_role("textbox", name="Name")).to_have_value(name)
    page.get_by_text("The pictures are cropped faces").click()
    settled(page)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Delete this set")).to_be_visible(timeout=150_000)
    settled(page)


def test_twelve_faces_by_keys_undo_export_and_reopen(visit, tmp_path, no_sets_left):
    upload(visit("your_faces"), "drawn", zipped_faces(16))
    page = visit("label?annotator=ann&benchmark=toy/transfers/drawn")
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
