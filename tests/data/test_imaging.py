"""open_picture on sound, odd and hostile bytes; SampleFormat.convert."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from fer_core.data import imaging
from fer_core.data.imaging import BACKGROUND, SampleFormat, open_picture, printable_name
from fer_core.errors import ImageError

RED, BLUE = (255, 0, 0), (0, 0, 255)
UNREADABLE = (
    "is not a picture that FERscope can read. Use a JPEG, PNG, WebP, BMP, GIF or TIFF file."
)
DAMAGED = (
    "is damaged or cut off and cannot be decoded. "
    "Get the file again, or save it as a JPEG or PNG file."
)
TOO_MANY = (
    "pixels; the limit is 64 million in all. Scale it down to about 2000 pixels on its longer side."
)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    picture = open_picture(data)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width: int, height: int, bits: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG written by hand: for depths that Pillow does not write, and for lying headers."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(width: int, height: int) -> bytes:
    """A BMP's 54-byte header, with nothing behind it."""
    file_header = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
    return file_header + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def random_image(height: int = 32, width: int = 40, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


# --- what sound pictures become ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_rgb_is_read_bit_for_bit(kind: str) -> None:
    image = random_image()
    np.testing.assert_array_equal(pixels(encode(image, kind)), np.asarray(image))


STORED = {  # EXIF orientation -> how an upright array lies in the file (EXIF 2.32, 4.6.4 A)
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),  # to be turned right by a quarter
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),  # to be turned left by a quarter
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("TIFF", {}, 0),  # Pillow turns TIFF by itself: once is enough
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 100, "subsampling": 0}, 4),
    ],
)
def test_exif_orientation_is_applied_once(
    orientation: int, kind: str, options: dict[str, object], tolerance: int
) -> None:
    upright = np.full((24, 40, 3), 90, dtype=np.uint8)
    upright[:8, :8], upright[:8, -8:], upright[-8:, :8] = RED, BLUE, (0, 255, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))

    picture = open_picture(encode(stored, kind, exif=exif, **options))

    assert picture.size == (40, 24)
    difference = np.abs(np.asarray(picture).astype(int) - upright)
    assert difference.max() <= tolerance
    assert picture.info == {}
    assert not picture.getexif()


@pytest.mark.parametrize("exif", [b"Exif\x00\x00garbage", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"])
def test_an_image_with_damaged_exif_is_read(exif: bytes) -> None:
    assert open_picture(encode(random_image(), "JPEG", exif=exif)).size == (40, 32)


def test_cmyk_jpeg_is_converted() -> None:
    magenta_and_yellow = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    assert np.abs(pixels(encode(magenta_and_yellow, "JPEG")).astype(int) - RED).max() <= 3


def test_grey_is_repeated_over_three_channels() -> None:
    grey = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32).astype(np.uint8)
    result = pixels(encode(Image.fromarray(grey)))
    np.testing.assert_array_equal(result, np.repeat(grey[..., None], 3, axis=2))


RAMP = np.tile(np.arange(256, dtype=np.uint16), (16, 1))


def sixteen_bit_rgb_png() -> bytes:
    row = b"\x00" + np.repeat(RAMP[0] * 257, 3).astype(">u2").tobytes()
    return png(256, 16, 16, 2, row * 16)


DEEP = {
    "grey png": lambda: encode(Image.fromarray(RAMP * 257)),
    "grey tiff": lambda: encode(Image.fromarray(RAMP * 257), "TIFF"),
    "grey pgm": lambda: encode(Image.fromarray(RAMP * 257), "PPM"),
    "rgb png": sixteen_bit_rgb_png,
    "int32 tiff up to 65535": lambda: encode(Image.fromarray(RAMP.astype(np.int32) * 257), "TIFF"),
    "int32 tiff up to 255": lambda: encode(Image.fromarray(RAMP.astype(np.int32)), "TIFF"),
    "int32 tiff up to 255 million": lambda: encode(
        Image.fromarray(RAMP.astype(np.int32) * 1_000_000), "TIFF"
    ),
    "float tiff up to 1": lambda: encode(Image.fromarray(RAMP.astype(np.float32) / 255), "TIFF"),
    "float tiff up to 255": lambda: encode(Image.fromarray(RAMP.astype(np.float32)), "TIFF"),
}


@pytest.mark.parametrize("kind", DEEP)
def test_sixteen_bit_gradients_stay_monotonic(kind: str) -> None:
    result = pixels(DEEP[kind]())
    np.testing.assert_array_equal(result, np.repeat(RAMP[..., None], 3, axis=2))


def test_sixteen_bits_are_rounded() -> None:
    deep = np.zeros((16, 16), dtype=np.uint16)
    deep[0, :4] = 128, 129, 65406, 65407  # thresholds lie half way between multiples of 257
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(deep)))[0, :4, 0], [0, 1, 254, 255])


def deep_tiff(values: np.ndarray, order: str, *, packed: bool = False) -> bytes:
    """A TIFF with 16 bits per channel, written by hand; `order` is "<" or ">"."""
    height, width, channels = values.shape
    strip = values.astype(f"{order}u2").tobytes()
    strip = zlib.compress(strip) if packed else strip
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [16] * channels),
            (259, 3, [8 if packed else 1]), (262, 3, [2]), (273, 4, [200]),
            (277, 3, [channels]), (278, 4, [height]), (279, 4, [len(strip)])]  # fmt: skip
    tags += [(338, 3, [2])] if channels == 4 else []
    start = 8 + 2 + 12 * len(tags) + 4
    outside, entries = b"", []
    for tag, kind, content in tags:
        data = struct.pack(f"{order}{len(content)}{'H' if kind == 3 else 'I'}", *content)
        if len(data) > 4:
            position, outside = start + len(outside), outside + data
            data = struct.pack(f"{order}I", position)
        entries.append(struct.pack(f"{order}HHI", tag, kind, len(content)) + data.ljust(4, b"\0"))
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}IH", 8, len(tags)) + b"".join(entries) + bytes(4)
    return (magic + directory + outside).ljust(200, b"\0") + strip


def deep_png(values: np.ndarray) -> bytes:
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, 2 if channels == 3 else 6, rows)


DEEP_COLOUR = {
    "png": deep_png,
    "tiff": lambda values: deep_tiff(values, "<"),
    "tiff, most significant byte first": lambda values: deep_tiff(values, ">"),
    "deflated tiff": lambda values: deep_tiff(values, "<", packed=True),
    "deflated tiff, most significant byte first": lambda values: deep_tiff(
        values, ">", packed=True
    ),
}


@pytest.mark.parametrize("kind", DEEP_COLOUR)
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_colour_is_scaled_by_its_real_range(kind: str, bits: int) -> None:
    """Cameras write 10, 12 or 14 bits of each colour into 16."""
    share = np.linspace(0, 1, 256)
    colours = np.stack([share, share[::-1], share / 2], axis=-1)
    values = np.tile((colours * (2**bits - 1)).round().astype(np.uint16), (16, 1, 1))
    result = pixels(DEEP_COLOUR[kind](values))[0].astype(int)
    assert np.abs(result - colours * 255).max() <= 1


@pytest.mark.parametrize("opaque", [4095, 65535])
@pytest.mark.parametrize("kind", ["png", "tiff", "deflated tiff"])
def test_alpha_of_deep_colour_has_its_own_range(kind: str, opaque: int) -> None:
    values = np.full((16, 16, 4), opaque, dtype=np.uint16)
    values[..., :3] = 4095, 0, 2048
    values[0, 0, 3] = 0
    result = pixels(DEEP_COLOUR[kind](values))
    assert result[1, 1].tolist() == [255, 0, 128]
    assert tuple(result[0, 0].tolist()) == BACKGROUND


def test_grey_with_deep_alpha_is_not_dark() -> None:
    """Pillow unpacks its upper bytes only, so it is exact to a sixteenth."""
    rows = np.tile(np.array([4095, 65535], dtype=">u2"), 16).tobytes()
    result = pixels(png(16, 16, 16, 4, (b"\0" + rows) * 16))
    assert result.min() >= 240


def test_truncated_deep_colour_is_refused() -> None:
    data = deep_tiff(np.full((64, 64, 3), 4095, dtype=np.uint16), "<", packed=True)
    with pytest.raises(ImageError, match="damaged or cut off"):
        open_picture(data[: len(data) - 20])


def test_negative_and_non_finite_values_are_black() -> None:
    deep = np.full((16, 16), 0.5, dtype=np.float32)
    deep[0, :4] = -3, np.nan, np.inf, 1
    result = pixels(encode(Image.fromarray(deep), "TIFF"))[..., 0]
    np.testing.assert_array_equal(result[0, :5], [0, 0, 0, 255, 128])


def test_transparent_pixels_show_the_background() -> None:
    rgba = np.full((16, 16, 4), 255, dtype=np.uint8)
    rgba[:, :, :3] = RED
    rgba[0, 0, 3], rgba[0, 1, 3] = 0, 51  # 51 / 255 is a fifth
    result = pixels(encode(Image.fromarray(rgba)))
    assert tuple(result[0, 0]) == BACKGROUND
    np.testing.assert_allclose(result[0, 1], [153.4, 102.4, 102.4], atol=1)
    assert tuple(result[1, 1]) == RED


def test_grey_with_alpha() -> None:
    la = Image.new("LA", (16, 16), (200, 255))
    la.putpixel((0, 0), (200, 0))
    result = pixels(encode(la))
    assert tuple(result[0, 0]) == BACKGROUND
    assert tuple(result[5, 5]) == (200, 200, 200)


@pytest.mark.parametrize(
    ("kind", "transparency", "first"),
    [
        ("PNG", None, RED),
        ("PNG", 0, BACKGROUND),
        ("PNG", b"\x00\xff", BACKGROUND),
        ("GIF", None, RED),
        ("GIF", 0, BACKGROUND),
    ],
)
def test_palette(kind: str, transparency: int | bytes | None, first: tuple[int, ...]) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([*RED, *BLUE])
    image.putpixel((0, 0), 0)
    options = {} if transparency is None else {"transparency": transparency}
    result = pixels(encode(image, kind, **options))
    assert tuple(result[0, 0]) == first
    assert tuple(result[1, 1]) == BLUE


def test_single_transparent_colour_of_an_rgb_png() -> None:
    image = Image.new("RGB", (16, 16), BLUE)
    image.putpixel((0, 0), RED)
    result = pixels(encode(image, transparency=RED))
    assert tuple(result[0, 0]) == BACKGROUND
    assert tuple(result[1, 1]) == BLUE


@pytest.mark.parametrize(
    ("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_first_frame_of_several_is_taken(kind: str, options: dict[str, object]) -> None:
    frames = [Image.new("RGB", (20, 16), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as check:
        assert check.n_frames == 2
    assert (pixels(data) == RED).all()


def test_mpo_of_a_phone_is_read() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(pixels(data).astype(int) - RED).max() <= 3


# --- what is refused --------------------------------------------------------------------------


def refusal(data: bytes, name: str = "face.jpg") -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of Pillow's may leak
        with pytest.raises(ImageError) as caught:
            open_picture(data, name)
    return str(caught.value)


def test_text_is_refused() -> None:
    assert refusal(b"Dear diary, today", "notes.jpg") == f"notes.jpg {UNREADABLE}"


@pytest.mark.parametrize("kind", ["ICO", "ICNS", "PDF", "EPS"])
def test_other_formats_are_not_tried(kind: str) -> None:
    assert refusal(encode(random_image(), kind)) == f"face.jpg {UNREADABLE}"


def test_empty_file() -> None:
    assert refusal(b"") == (
        "face.jpg is an empty file. Use a JPEG, PNG, WebP, BMP, GIF or TIFF file."
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_truncated_files_are_refused(kind: str) -> None:
    data = encode(random_image(100, 100), kind)
    for share in (0.001, 0.01, 0.1, 0.5, 0.9):
        # Where the cut takes the header too, some kinds cannot be told any more.
        cut = data[: int(len(data) * share)] or data[:1]
        assert refusal(cut) in {f"face.jpg {DAMAGED}", f"face.jpg {UNREADABLE}"}


def test_a_truncated_jpeg_is_called_damaged() -> None:
    data = encode(random_image(100, 100), "JPEG")
    assert refusal(data[: len(data) // 2]) == f"face.jpg {DAMAGED}"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(60_000, 60_000, 8, 2), "far too many"),  # above Pillow's own error
        (bmp(60_000, 60_000), "far too many"),
        (png(10_000, 9_000, 8, 2), "10000 x 9000"),  # above Pillow's own warning
        (bmp(9_000, 8_000), "9000 x 8000"),  # above our limit only
    ],
)
def test_huge_header_is_refused_before_decoding(
    data: bytes, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self))
    assert refusal(data, "bomb.png") == f"bomb.png has {size} {TOO_MANY}"
    assert decoded == []


def test_pixel_limit_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imaging, "MAX_PIXELS", 400)
    assert open_picture(encode(random_image(20, 20))).size == (20, 20)
    assert "has 21 x 20 pixels" in refusal(encode(random_image(20, 21)))


def test_byte_limit_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(random_image())
    monkeypatch.setattr(imaging, "MAX_BYTES", len(data))
    assert open_picture(data).size == (40, 32)
    assert refusal(data + b"\x00") == (
        "face.jpg is 0.0 MiB large; the limit is 0 MiB. "
        "Save it with fewer pixels or as a JPEG file."
    )


def test_too_many_bytes() -> None:
    assert refusal(bytes(26 * 2**20)).startswith("face.jpg is 26.0 MiB large; the limit is 25 MiB.")


def test_smallest_side() -> None:
    assert open_picture(encode(random_image(16, 16))).size == (16, 16)
    assert refusal(encode(random_image(16, 15))) == (
        "face.jpg has only 15 x 16 pixels; at least 16 x 16 are needed. "
        "Use a larger picture of the face."
    )


@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM"]),
    changes=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 255)), min_size=1, max_size=9),
)
def test_damaged_bytes_give_a_picture_or_an_image_error(
    kind: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(random_image(16, 16), kind))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        picture = open_picture(bytes(data))
    except ImageError:
        return
    assert picture.mode == "RGB"
    assert picture.load() is not None


# --- names from outside -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("notes.txt", "notes.txt"),
        ("\x1b[31mred\x00\r\n.png", "[31mred.png"),
        ("gnp.\u202efdp\u2028.png", "gnp.fdp.png"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("a" * 60, "a" * 60),
        ("a" * 61, "a" * 59 + "…"),
        ("{0} %s \\", "{0} %s \\"),
        ("gesicht-\u00fc.png", "gesicht-\u00fc.png"),
        ("\ud800.png", ".png"),
    ],
)
def test_names_are_shown_short_and_printable(name: str, shown: str) -> None:
    assert printable_name(name) == shown
    assert refusal(b"text", name) == f"{shown} {UNREADABLE}"


@pytest.mark.parametrize("name", ["", "  ", "\x00\x07", "the picture"])
def test_unnamed_images_give_readable_errors(name: str) -> None:
    assert refusal(b"text", name) == f"The picture {UNREADABLE}"


# --- SampleFormat -----------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [False, True])
def test_convert_keeps_an_image_of_its_format_bit_for_bit(colour: bool) -> None:
    sample_format = SampleFormat(48, colour)
    array = np.random.default_rng(0).integers(0, 256, sample_format.shape, dtype=np.uint8)
    np.testing.assert_array_equal(sample_format.convert(array), array)
    np.testing.assert_array_equal(sample_format.convert(Image.fromarray(array)), array)
    np.testing.assert_array_equal(sample_format.convert(open_picture_of(array)), array)


def open_picture_of(array: np.ndarray) -> Image.Image:
    """An upload of a dataset's own image; grey ones come back as RGB."""
    return open_picture(encode(Image.fromarray(array)))


def test_convert_repeats_grey() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    result = SampleFormat(48, colour=True).convert(grey)
    np.testing.assert_array_equal(result, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("colour", "luma"), [(RED, 76), ((0, 255, 0), 150), (BLUE, 29)])
def test_convert_to_grey_weighs_as_bt601(
    colour: tuple[int, ...], luma: int
) -> None:  # 0.299 R + 0.587 G + 0.114 B
    result = SampleFormat(20, colour=False).convert(Image.new("RGB", (20, 20), colour))
    assert result.shape == (20, 20)
    assert (result == luma).all()


def test_convert_resizes() -> None:
    halves = np.zeros((40, 40), dtype=np.uint8)
    halves[:, 20:] = 200
    result = SampleFormat(20, colour=False).convert(halves)
    assert result.shape == (20, 20)
    assert (result[:, :9] == 0).all()
    assert (result[:, 11:] == 200).all()
