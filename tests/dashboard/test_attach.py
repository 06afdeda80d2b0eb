"""Attaching pictures on the pages that miss them, by upload and by path."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from dashboard.components.attach import is_local
from tests.support.pages import texts

PAGES = [
    ("explorer", {"view": "Samples"}),
    ("saliency", {}),
    ("errors", {}),
]


def zipped(toy, count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(count):
            png = io.BytesIO()
            Image.fromarray(np.asarray(toy.dataset.images[n])).save(png, "PNG")
            archive.writestr(f"{n:03d}.png", png.getvalue())
    return buffer.getvalue()


def attach_button(app):
    return next(button for button in app.button if button.label == "Attach")


def faces(app) -> int:
    return sum(str(element.proto).count("<figure>") for element in app.get("html"))


@pytest.mark.parametrize(("page", "query"), PAGES)
def test_a_page_without_pictures_offers_to_attach_them(page, query, open_page, toy):
    app = open_page(page, toy.artifacts, **query)
    assert not app.exception
    if page != "saliency":  # it takes other faces as well
        assert "are not on this machine" in texts(app)
    assert attach_button(app).disabled
    assert "python -m training attach toy" in texts(app)
    assert not [field for field in app.text_input if "path" in field.label]  # no root is named


def test_an_upload_shows_faces_to_its_visitor_only(open_page, toy):
    app = open_page("explorer", toy.artifacts, view="Samples")
    app.file_uploader[0].upload("any.zip", zipped(toy, 280), "application/zip").run()
    attach_button(app).click().run()
    assert not app.exception
    assert app.toast[0].value == "280 of 280 pictures are attached."
    assert "are not on this machine" not in texts(app)
    other = open_page("explorer", toy.artifacts, view="Samples")
    assert "are not on this machine" in texts(other)
    assert not (toy.artifacts / "no-data").exists()


def test_an_uploaded_csv_of_pixels_is_attached(open_page, toy):
    rows = ["emotion,pixels"]
    rows += [f"0,{' '.join(map(str, np.asarray(image).ravel()))}" for image in toy.dataset.images]
    app = open_page("explorer", toy.artifacts, view="Samples")
    app.file_uploader[0].upload("fer2013.csv", "\n".join(rows).encode(), "text/csv").run()
    attach_button(app).click().run()
    assert not app.exception
    assert app.toast[0].value == "280 of 280 pictures are attached."
    assert "are not on this machine" not in texts(app)


def test_an_upload_of_something_else_says_so(open_page, toy):
    app = open_page("explorer", toy.artifacts, view="Samples")
    png = io.BytesIO()
    Image.new("L", (48, 48), 90).save(png, "PNG")
    app.file_uploader[0].upload("x.png", png.getvalue(), "image/png").run()
    attach_button(app).click().run()
    assert not app.exception
    assert "None of the 1 pictures is one of this benchmark's 280" in texts(app)


def test_a_path_below_the_root_is_attached_and_none_outside(open_page, toy, tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    (root / "some.zip").write_bytes(zipped(toy, 30))
    (tmp_path / "outside.zip").write_bytes(zipped(toy, 30))
    monkeypatch.setenv("FERSCOPE_PICTURES", str(root))
    data = tmp_path / "data"
    app = open_page("explorer", toy.artifacts, data, view="Samples")
    (field,) = [field for field in app.text_input if "path" in field.label]
    field.set_value("../outside.zip").run()
    attach_button(app).click().run()
    assert "no such file or folder below" in texts(app)
    assert not data.exists()
    (field,) = [field for field in app.text_input if "path" in field.label]
    field.set_value("some.zip").run()
    attach_button(app).click().run()
    assert not app.exception
    assert app.toast[0].value == "30 of 280 pictures are attached."
    assert (data / "toy" / "attached" / "images.npy").is_file()


@pytest.mark.parametrize(
    ("address", "headers", "expected"),
    [
        ("localhost", {"Host": "localhost:8501"}, True),
        ("127.0.0.1", {"Host": "127.0.0.1:8501"}, True),
        ("::1", {"Host": "[::1]:8501"}, True),
        ("", {"Host": "localhost:8501"}, False),
        ("0.0.0.0", {"Host": "localhost:8501"}, False),
        ("localhost", {"Host": "faces.example"}, False),
        ("localhost", {}, False),
        ("localhost", {"Host": "localhost:8501", "X-Forwarded-For": "10.0.0.7"}, False),
    ],
)
def test_only_a_server_of_this_machine_alone_offers_a_path(address, headers, expected):
    assert is_local(address, headers) is expected
