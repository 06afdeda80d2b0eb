"""The one list of readable pictures, and what helps with the others."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from fer_core.data.imaging import open_frames, open_picture
from fer_core.data.picture_files import (
    is_readable,
    readable_formats,
    readable_suffixes,
    unreadable_picture,
)
from fer_core.errors import ImageError


def test_formats_and_suffixes_are_those_of_pillow() -> None:
    """Each format opens what Pillow itself saves in it, and each ending leads to a format."""
    assert {"JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"} <= set(readable_formats())
    image = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1)))
    for kind in set(readable_formats()) & set(Image.SAVE):
        buffer = io.BytesIO()
        image.convert("1" if kind == "XBM" else "L").save(buffer, kind)
        assert open_picture(buffer.getvalue()).size == (64, 64), kind
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in readable_suffixes()} <= {*readable_formats(), "MPO"}


@pytest.mark.parametrize("name", ["a.jpg", "a.JFIF", "a.jpe", "a.mpo", "a.webp", "a.apng", "a.tif"])
def test_suffixes_that_are_read(name: str) -> None:
    assert is_readable(Path(name))
    assert unreadable_picture(Path(name)) is None


def test_avif_is_read_where_pillow_decodes_it() -> None:
    assert is_readable(Path("a.avif")) == bool(features.check("avif"))


@pytest.mark.parametrize(
    ("name", "helps"),
    [("a.HEIC", "pip install pillow-heif"), ("a.nef", "raw file"), ("a.svg", "Export it as a PNG"),
     ("a.eps", "Export it"), ("a.jxl", "Save it as a JPEG"), ("a.ico", "Save it as a JPEG")],
)  # fmt: skip
def test_suffixes_of_unsupported_image_formats_are_reported(name: str, helps: str) -> None:
    assert not is_readable(Path(name))
    assert helps in str(unreadable_picture(Path(name)))


@pytest.mark.parametrize("name", ["a.txt", "a.mp4", "a.mpg", "a.csv", "a.h5", "a", ".jpg.swp"])
def test_other_files_are_not_images(name: str) -> None:
    assert not is_readable(Path(name))
    assert unreadable_picture(Path(name)) is None


def test_heic_is_recognised_by_its_content() -> None:
    data = b"\0\0\0\x18ftypheic" + bytes(64)
    with pytest.raises(ImageError, match="face is a HEIC picture, which needs a decoder"):
        open_picture(data, "face")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_values_are_scaled_by_their_real_range(bits: int) -> None:
    """Cameras write 10, 12 or 14 bits into 16."""
    white = 2**bits - 1
    ramp = np.linspace(0, white, 256).round().astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(ramp, (16, 1))).save(buffer, "PNG")
    result = np.asarray(open_picture(buffer.getvalue()))[0, :, 0].astype(int)
    assert np.abs(result - np.arange(256)).max() <= 1


def test_frames_of_an_animation_with_their_times() -> None:
    frames = [Image.new("RGB", (20, 16), (shade, 0, 0)) for shade in (10, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        lossless=True,
        save_all=True,
        append_images=frames[1:],
        duration=[100, 300, 50],
    )
    result = list(open_frames(buffer.getvalue()))
    assert [frame.seconds for frame in result] == pytest.approx([0, 0.1, 0.4])
    assert [np.asarray(frame.image)[0, 0, 0] for frame in result] == [10, 100, 200]


def test_a_still_picture_has_one_frame() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16)).save(buffer, "JPEG")
    assert len(list(open_frames(buffer.getvalue()))) == 1
