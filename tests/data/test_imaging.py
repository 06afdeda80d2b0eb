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
from fer_core.data.imaging import (
    BACKGROUND,
    SampleFormat,
    animation_facts,
    open_frames,
    open_picture,
    printable_name,
)
from fer_core.errors import DataError, ImageError

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


# --- animations -------------------------------------------------------------------------------


def animation(kind: str = "GIF", count: int = 3, **options: object) -> bytes:
    """An animation of noise, so that half of the bytes are about half of the frames."""
    first, *others = (random_image(seed=seed) for seed in range(count))
    return encode(first, kind, save_all=True, append_images=others, **options)


def blank_gif(count: int, side: int) -> bytes:
    """A GIF written by hand: a large canvas with frames of a single pixel."""
    delay = b"\x21\xf9\x04" + struct.pack("<BHBB", 0, 10, 0, 0)
    pixel = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    palette = bytes([*RED, *BLUE])
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 128, 0, 0) + palette + (
        (delay + pixel) * count + b";"
    )  # fmt: skip


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the numbers of the frames that are decoded."""
    numbers: list[int] = []
    real = imaging._decoded
    monkeypatch.setattr(
        imaging, "_decoded", lambda image, *rest: numbers.append(image.tell()) or real(image, *rest)
    )
    return numbers


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_facts_of_an_animation_need_no_decoding(kind: str, decoded: list[int]) -> None:
    facts = animation_facts(animation(kind, duration=[100, 300, 2000]))
    assert (facts.frames, facts.width, facts.height, facts.delay) == (3, 40, 32, 0.2)
    assert animation_facts(encode(random_image(), kind)).frames == 1
    assert decoded == []


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_frames_are_decoded_when_they_are_asked_for(kind: str, decoded: list[int]) -> None:
    frames = open_frames(animation(kind, duration=[100, 300, 2000]))
    for number, duration in enumerate([0.1, 0.3, 2.0]):
        frame = next(frames)
        assert (frame.number, frame.duration) == (number, duration)
        assert decoded == list(range(number + 1))


def test_frames_with_too_many_pixels_in_all_are_refused(decoded: list[int]) -> None:
    data = blank_gif(79, 8000)
    assert len(data) < 2**11
    with pytest.raises(ImageError) as caught:
        next(open_frames(data, "bomb.gif"))
    assert str(caught.value) == (
        "bomb.gif has 79 frames of 8000 x 8000 pixels, 5.1 billion pixels in all; the limit is "
        "5 billion. Scale it down, or leave out frames."
    )
    assert decoded == []
    assert animation_facts(blank_gif(78, 8000)).frames == 78


def test_the_limit_of_pixels_in_all_frames_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imaging, "MAX_ANIMATION_PIXELS", 3 * 40 * 32)
    assert len(list(open_frames(animation()))) == 3
    with pytest.raises(ImageError, match="has 4 frames of 40 x 32 pixels"):
        animation_facts(animation(count=4))


@pytest.mark.parametrize(
    ("corner", "problem"), [(9000, "has 9001 x 9001 pixels"), (7999, "has 79 frames of 8000")]
)
def test_a_frame_that_extends_the_canvas_is_refused(
    corner: int, problem: str, decoded: list[int]
) -> None:
    data = bytearray(blank_gif(79, 16))
    second = [place for place in range(len(data)) if data[place : place + 1] == b","][1]
    data[second + 1 : second + 5] = struct.pack("<HH", corner, corner)
    frames = open_frames(bytes(data))
    next(frames)
    with pytest.raises(ImageError, match=problem):
        next(frames)
    assert decoded == [0]


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_cut_animation_gives_the_frames_before_the_cut(kind: str) -> None:
    data = animation(kind)
    frames = open_frames(data[: len(data) // 2], "cut")
    np.testing.assert_array_equal(next(frames).image, open_picture(data))
    with pytest.raises(ImageError, match=f"^cut {DAMAGED}"):
        list(frames)


def test_an_animation_that_is_cut_anywhere_gives_frames_or_an_image_error() -> None:
    flat = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, RED)]
    data = encode(flat[0], "GIF", save_all=True, append_images=flat[1:])
    for length in range(1, len(data)):
        try:
            numbers = [frame.number for frame in open_frames(data[:length])]
        except ImageError:
            continue
        assert numbers == list(range(len(numbers)))


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


def with_orientation(image: Image.Image, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(image, kind, exif=exif)


def cut_out() -> Image.Image:
    image = random_image(48, 48).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))))
    return image


OPENED = {
    "palette": lambda: encode(random_image(48, 48).quantize(16)),
    "palette with transparency": lambda: encode(random_image(48, 48).quantize(16), transparency=3),
    "gif": lambda: encode(random_image(48, 48), "GIF"),
    "alpha": lambda: encode(cut_out()),
    "grey with alpha": lambda: encode(cut_out().convert("LA")),
    "transparent colour": lambda: encode(Image.new("RGB", (48, 48), RED), transparency=RED),
    "invisible": lambda: encode(Image.new("RGBA", (48, 48), (*RED, 0))),
    "deep grey": lambda: encode(Image.fromarray(np.tile(RAMP * 257, (16, 1)))),
    "int32": lambda: encode(Image.fromarray(np.tile(RAMP.astype(np.int32), (16, 1))), "TIFF"),
    "float": lambda: encode(
        Image.fromarray(np.tile(RAMP.astype(np.float32) / 255, (16, 1))), "TIFF"
    ),
    "cmyk": lambda: encode(random_image(48, 48).convert("CMYK"), "JPEG"),
    "black and white": lambda: encode(random_image(48, 48).convert("1")),
    "turned jpeg": lambda: with_orientation(random_image(48, 48), "JPEG"),
    "turned grey jpeg": lambda: with_orientation(random_image(48, 48).convert("L"), "JPEG"),
    "turned tiff": lambda: with_orientation(random_image(48, 48), "TIFF"),
}


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("kind", OPENED)
def test_convert_reads_an_opened_image_as_an_upload(kind: str, colour: bool) -> None:
    data = OPENED[kind]()
    sample_format = SampleFormat(48, colour)
    expected = sample_format.convert(open_picture(data))
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(sample_format.convert(image), expected)


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB"])
def test_convert_reads_other_colour_spaces(mode: str) -> None:
    image = random_image(48, 48).convert(mode)
    result = SampleFormat(48, colour=True).convert(image)
    np.testing.assert_array_equal(result, image.convert("RGB"))


def test_convert_leaves_the_image_as_it_is() -> None:
    with Image.open(io.BytesIO(with_orientation(random_image(48, 48), "PNG"))) as image:
        before = image.copy()
        SampleFormat(48, colour=True).convert(image)
        assert image.info == before.info
        np.testing.assert_array_equal(image, before)


def test_convert_puts_transparent_pixels_of_an_array_on_the_background() -> None:
    rgba = np.full((48, 48, 4), 255, dtype=np.uint8)
    rgba[0, 0, 3] = 0
    result = SampleFormat(48, colour=True).convert(rgba)
    assert tuple(result[0, 0]) == BACKGROUND
    assert tuple(result[1, 1]) == (255, 255, 255)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint16, np.int64, np.bool_])
@pytest.mark.parametrize("side", [48, 96])
def test_convert_refuses_arrays_of_other_types(kind: type, side: int) -> None:
    with pytest.raises(DataError) as caught:
        SampleFormat(48, colour=False).convert(np.ones((side, side), dtype=kind))
    assert str(caught.value) == (
        f"A face array has values of type {np.dtype(kind)}; they must be 0 to 255 as uint8. "
        "Convert values from 0 to 1 with: (255 * face).round().astype('uint8')"
    )


@pytest.mark.parametrize("shape", [(), (48,), (48, 48, 1), (48, 48, 2), (2, 48, 48, 3), (0, 48)])
def test_convert_refuses_arrays_of_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"it must be \(height, width\), or"):
        SampleFormat(48, colour=False).convert(np.zeros(shape, dtype=np.uint8))


def test_convert_refuses_a_path() -> None:
    with pytest.raises(DataError, match=r"not str\. Open a file with PIL\.Image\.open\."):
        SampleFormat(48, colour=False).convert("face.png")
