"""Decoding and conversion of images.

Preparation and uploads share this code, so an uploaded face becomes the same array as the same face
in the dataset.
"""

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as ExifTag

from fer_core.data import deep_colour
from fer_core.data.picture_files import (
    heif_advice,
    is_heif,
    readable_formats,
    unreadable_picture,
)
from fer_core.errors import DataError, ImageError
from fer_core.records import BenchmarkInfo

MAX_BYTES = 25 * 2**20
"""Maximum file size; JPEG files of cameras and phones are mostly below half of it."""

MAX_PIXELS = 64_000_000
"""Maximum number of pixels (256 MB in memory), checked in the header before decoding. Phones
and cameras of "50 megapixels" take up to 52 million."""

MAX_FRAMES = 2_000
"""Maximum number of frames read from an animation."""

MAX_ANIMATION_PIXELS = 5_000_000_000
"""Maximum number of pixels in all frames of an animation, because each frame is composed in full
and a small file can hold thousands of large ones. 2000 frames of 1920 x 1080 have 4.1 billion."""

MIN_SIDE = 16
"""Minimum height and width in pixels that can show an expression."""

BACKGROUND = (128, 128, 128)
"""Background of transparent pixels. Mid grey is about the mean of face crops (129.5 in FER2013's
training split) and zero after normalisation, so a cut-out face gets no bright or dark border."""

NAMELESS = "the picture"
_NAME_LENGTH = 60
_READABLE = "a JPEG, PNG, WebP, BMP, GIF or TIFF file"

_ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")

_GIF_DELAY = re.compile(rb"\x21\xf9\x04.(..).\x00", re.DOTALL)
_PNG_DELAY = re.compile(rb"fcTL.{20}(..)(..)", re.DOTALL)
_WEBP_DELAY = re.compile(rb"ANMF.{16}(...)", re.DOTALL)
_USUAL_DELAY, _NO_DELAY = 100.0, 10.0  # milliseconds; browsers show 10 and less as 100

_FLOAT_WHITES = (1.0, 255.0, 65535.0)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> operations that make the image upright. Pillow's `exif_transpose` also
rewrites the EXIF block, which fails on invalid tags that real cameras write."""

_Result = TypeVar("_Result")

# `warnings.catch_warnings` is not thread-safe, and decoding one picture at a time bounds memory.
_decoding = threading.Lock()


@dataclass(frozen=True)
class SampleFormat:
    """Format in which a benchmark stores its images.

    Attributes:
        side: Height and width in pixels.
        colour: RGB if true, grey otherwise.
    """

    side: int
    colour: bool

    @classmethod
    def of(cls, info: BenchmarkInfo) -> "SampleFormat":
        """Returns the format of a benchmark's images."""
        return cls(info.side, info.colour)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored image: (side, side), or (side, side, 3) in colour."""
        return (self.side, self.side, 3) if self.colour else (self.side, self.side)

    def convert(self, image: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Converts an image to this format; an array that already has it is returned unchanged.

        Images of any mode are read as uploads are: upright, transparent pixels on `BACKGROUND`, and
        deep grey scaled to 8 bits.

        Args:
            image: An image, or an array with values from 0 to 255 as uint8, of shape (H, W),
                (H, W, 3) or (H, W, 4).

        Raises:
            DataError: If it is neither, or an array of another type or shape.
        """
        if not isinstance(image, Image.Image):
            _check_array(image)
            if image.shape == self.shape:
                return image
            image = Image.fromarray(image)
        picture = _shown(image)
        mode = "RGB" if self.colour else "L"
        if picture.mode != mode:
            picture = picture.convert(mode)
        if picture.size != (self.side, self.side):
            picture = picture.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return np.asarray(picture, dtype=np.uint8)


@dataclass(frozen=True)
class AnimationFacts:
    """Metadata of an animation, from its headers.

    Attributes:
        frames: Number of frames that `open_frames` yields; 1 for a still image.
        width: Width in pixels, before rotation.
        height: Height in pixels, before rotation.
        delay: Mean seconds from one frame to the next; 0 if the headers do not state it.
    """

    frames: int
    width: int
    height: int
    delay: float


@dataclass(frozen=True)
class AnimationFrame:
    """One frame of an animation.

    Attributes:
        number: Index from 0.
        seconds: Time since the first frame.
        duration: Seconds until the next frame.
        image: Upright, in mode RGB.
    """

    number: int
    seconds: float
    duration: float
    image: Image.Image


def open_picture(data: bytes, name: str = NAMELESS) -> Image.Image:
    """Decodes an untrusted image, in memory only.

    Values of more than 8 bits are scaled by their actual range; transparent pixels become
    `BACKGROUND`; of an animation the first frame is read. Colour profiles are ignored, as in the
    training datasets.

    Args:
        data: Content of a file in one of `readable_formats()`; the suffix is ignored.
        name: Name for error messages, such as the file's name; it is untrusted.

    Returns:
        An upright image in mode RGB, at least `MIN_SIDE` pixels in height and width, without
        metadata (such as location or orientation).

    Raises:
        ImageError: If the content is not a readable image, is damaged or truncated, or exceeds a
            limit of this module. The message is plain text and must be escaped in HTML or Markdown.
    """
    _check_bytes(data, name)

    def first() -> Image.Image:
        return _decoded(_opened(data, name), lambda: _opened(data, name))

    return _guarded(first, data, name)


def animation_facts(data: bytes, name: str = NAMELESS) -> AnimationFacts:
    """Reads the metadata of an animation (GIF, WebP, PNG, AVIF) without decoding its frames.

    Args:
        data: The file's content.
        name: Name for error messages; it is untrusted.

    Raises:
        ImageError: If the content is not a readable image or exceeds a limit of this module.
    """
    _check_bytes(data, name)

    def read() -> AnimationFacts:
        source = _opened(data, name)
        # TIFF and MPO contain several images, which are not frames.
        count = min(_count_frames(source), MAX_FRAMES) if source.format in _ANIMATED else 1
        _check_animation(source, count, name)
        return AnimationFacts(count, *source.size, _mean_delay(data, source.format))

    return _guarded(read, data, name)


def open_frames(data: bytes, name: str = NAMELESS) -> Iterator[AnimationFrame]:
    """Decodes the frames of an animation (GIF, WebP, PNG, AVIF) one by one, as `open_picture` does.

    A still image has one frame. Frames after `MAX_FRAMES` are ignored.

    Args:
        data: The file's content.
        name: Name for error messages; it is untrusted.

    Raises:
        ImageError: As `open_picture`, at the damaged frame; or if all frames together have more
            than `MAX_ANIMATION_PIXELS` pixels.
    """
    count = animation_facts(data, name).frames
    source = _guarded(lambda: _opened(data, name), data, name)
    seconds = 0.0
    for number in range(count):

        def frame(number: int = number) -> Image.Image:
            source.seek(number)
            _check_size(source, name)  # a frame of a GIF may extend the canvas
            _check_animation(source, count, name)
            return _decoded(source, lambda: _opened(data, name))

        image = _guarded(frame, data, name)
        duration = _shown_delay(float(source.info.get("duration") or 0)) / 1000
        yield AnimationFrame(number, seconds, duration, image)
        seconds += duration


def printable_name(name: str) -> str:
    """Returns an untrusted name in printable form for messages.

    Control, bidirectional and other invisible characters are removed; names of more than 60
    characters are shortened with an ellipsis. Nothing is escaped.
    """
    plain = "".join(character for character in name if character.isprintable()).strip()
    if len(plain) > _NAME_LENGTH:
        plain = plain[: _NAME_LENGTH - 1] + "…"
    return plain or NAMELESS


def _check_bytes(data: bytes, name: str) -> None:
    if not data:
        raise _refusal(name, f"is an empty file. Use {_READABLE}.")
    if len(data) > MAX_BYTES:
        raise _refusal(
            name,
            f"is {len(data) / 2**20:.1f} MiB large; the limit is {MAX_BYTES // 2**20} MiB. "
            "Save it with fewer pixels or as a JPEG file.",
        )


def _guarded(decode: Callable[[], _Result], data: bytes, name: str) -> _Result:
    """Converts all exceptions of a decoder to an `ImageError` that names the remedy."""
    with _decoding, warnings.catch_warnings():
        # Pillow warns of large images, for which this module has its own limit, and of invalid
        # metadata, which is not used.
        warnings.simplefilter("ignore")
        try:
            return decode()
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_many_pixels(name) from error
        except UnidentifiedImageError as error:
            raise _refusal(name, _why_unidentified(data, name)) from error
        # Decoders raise many exception types on damaged bytes (OSError, SyntaxError, struct.error
        # ...), and Pillow documents no complete list.
        except Exception as error:
            raise _refusal(
                name,
                "is damaged or cut off and cannot be decoded. Get the file again, or save it as a "
                "JPEG or PNG file.",
            ) from error


def _opened(data: bytes, name: str) -> Image.Image:
    """Reads an image's header and checks its size against the limits."""
    image = Image.open(io.BytesIO(data), formats=readable_formats())
    _check_size(image, name)
    return image


def _decoded(image: Image.Image, reopen: Callable[[], Image.Image]) -> Image.Image:
    """Loads an image, or the current frame of an animation, as an upright RGB image."""
    deep = deep_colour.is_deep(image)
    image.load()
    values = deep_colour.scaled(image, reopen) if deep else image
    return _upright(_to_rgb(values), image)


def _why_unidentified(data: bytes, name: str) -> str:
    if is_heif(data[:12]):
        return heif_advice()
    by_name = unreadable_picture(PurePath(name))
    return by_name or f"is not a picture that FERscope can read. Use {_READABLE}."


def _refusal(name: str, problem: str) -> ImageError:
    subject = printable_name(name)
    if subject == NAMELESS:
        subject = subject.capitalize()
    return ImageError(f"{subject} {problem}")


def _too_many_pixels(name: str, size: str = "far too many") -> ImageError:
    return _refusal(
        name,
        f"has {size} pixels; the limit is {MAX_PIXELS // 1_000_000} million in all. "
        "Scale it down to about 2000 pixels on its longer side.",
    )


def _check_size(image: Image.Image, name: str) -> None:
    """Checks the size in an image's header against the limits."""
    size = f"{image.width} x {image.height}"
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(name, size)
    if min(image.size) < MIN_SIDE:
        raise _refusal(
            name,
            f"has only {size} pixels; at least {MIN_SIDE} x {MIN_SIDE} are needed. Use a larger "
            "picture of the face.",
        )


def _check_animation(source: Image.Image, count: int, name: str) -> None:
    """Checks the pixels of all frames against the limit."""
    pixels = count * source.width * source.height
    if count > 1 and pixels > MAX_ANIMATION_PIXELS:
        raise _refusal(
            name,
            f"has {count} frames of {source.width} x {source.height} pixels, "
            f"{pixels / 1e9:.1f} billion pixels in all; the limit is "
            f"{MAX_ANIMATION_PIXELS / 1e9:g} billion. Scale it down, or leave out frames.",
        )


def _count_frames(source: Image.Image) -> int:
    """Returns the number of frames; in a damaged GIF up to and with the damaged one."""
    try:
        return int(getattr(source, "n_frames", 1))
    except Exception:  # Pillow raises many types; decoding will name the damage at its frame
        return source.tell() + 2


def _mean_delay(data: bytes, form: str | None) -> float:
    """Returns the mean seconds from one frame to the next; 0 if unknown.

    The headers of frames are searched for in the file's bytes: their pixels need not be decoded.
    """
    milliseconds: list[float] = []
    if form == "GIF":
        milliseconds = [10 * int.from_bytes(delay, "little") for delay in _GIF_DELAY.findall(data)]
    elif form == "WEBP":
        milliseconds = [int.from_bytes(delay, "little") for delay in _WEBP_DELAY.findall(data)]
    elif form == "PNG":
        milliseconds = [
            1000 * int.from_bytes(delay, "big") / (int.from_bytes(unit, "big") or 100)
            for delay, unit in _PNG_DELAY.findall(data)
        ]
    if form == "GIF" and not milliseconds:
        return _USUAL_DELAY / 1000
    between = milliseconds[:-1] or milliseconds
    delays = list(map(_shown_delay, between))
    return sum(delays) / len(delays) / 1000 if delays else 0.0


def _shown_delay(milliseconds: float) -> float:
    """Returns the time for which browsers show a frame, in milliseconds."""
    return milliseconds if milliseconds > _NO_DELAY else _USUAL_DELAY


def _check_array(values: NDArray[np.generic]) -> None:
    """Refuses arrays whose values or axes would have to be guessed."""
    if not isinstance(values, np.ndarray):
        raise DataError(
            f"A face is a PIL image or an array of uint8, not {type(values).__name__}. Open a file "
            "with PIL.Image.open."
        )
    if values.dtype != np.uint8:
        raise DataError(
            f"A face array has values of type {values.dtype}; they must be 0 to 255 as uint8. "
            "Convert values from 0 to 1 with: (255 * face).round().astype('uint8')"
        )
    if values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,), (4,)) or not values.size:
        raise DataError(
            f"A face array has the shape {values.shape}; it must be (height, width), or (height, "
            "width, 3) in RGB. Pass several faces as a list."
        )


def _shown(image: Image.Image) -> Image.Image:
    """Returns an image as it is displayed: upright and opaque, in mode L or RGB."""
    image.load()
    plain = image.mode in ("L", "RGB") and not image.has_transparency_data
    return _turned(image if plain else _to_rgb(image), image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        cut_out = image.convert("RGBA")
        ground = Image.new("RGBA", cut_out.size, (*BACKGROUND, 255))
        return Image.alpha_composite(ground, cut_out).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scales deep grey values (uint16, int32 or float32, any shape) to 0 to 255.

    Files rarely define white: cameras store 10, 12 or 14 bits in 16. White is the lowest
    of the usual values (1 for floats; 8, 10, 12, 14 or 16 bits, all set) that no value exceeds,
    else the largest value. Negative and non-finite values are black.
    """
    finite = np.nan_to_num(values.astype(np.float32), nan=0, posinf=0, neginf=0)
    brightest = float(finite.max())
    usual = _FLOAT_WHITES if values.dtype.kind == "f" else deep_colour.WHITES
    white = deep_colour.white_of(brightest, usual)
    finite *= np.float32(255 / white)
    finite += np.float32(0.5)
    return finite.clip(0, 255, out=finite).astype(np.uint8)


def _upright(picture: Image.Image, source: Image.Image) -> Image.Image:
    """Applies the EXIF orientation of the source, and drops the metadata."""
    upright = _turned(picture, source)
    upright.info = {}
    return upright


def _turned(picture: Image.Image, source: Image.Image) -> Image.Image:
    """Applies the EXIF orientation of the source; an upright image is returned itself."""
    try:
        orientation = source.getexif().get(ExifTag.Orientation)
    except Exception:  # an image with a damaged EXIF block is still readable
        orientation = None
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if method is None else picture.transpose(method)
