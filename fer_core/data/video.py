"""Reads frames of video files, and of animated pictures, with their time stamps."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from fer_core.data.imaging import (
    MAX_BYTES,
    AnimationFacts,
    AnimationFrame,
    animation_facts,
    open_frames,
)
from fer_core.errors import DataError, ImageError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".ts"),
    *(".mts", ".m2ts", ".flv", ".ogv"),
)
"""Suffixes of video files."""

_USUAL_RATE = 25.0  # if the file has none or an invalid one
_MOST_ASPECT = 4.0
_BILINEAR = Image.Resampling.BILINEAR
_MOST_PIXELS = 64_000_000
_STILLS = frozenset({"tty", "image2", "gif", "apng", "webp"})
_PICTURES = (b"GIF8", b"\x89PNG")
_AVIF = (b"ftypavif", b"ftypavis")
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""Counterclockwise rotation in degrees -> operation that makes a frame upright."""

Source = Path | BinaryIO


@dataclass(frozen=True)
class VideoFacts:
    """Metadata of a video file.

    Attributes:
        rate: Frames per second, of an animation the mean; 25 if unknown.
        frames: Number of frames, from the metadata or the duration; 0 if unknown. May be wrong in
            damaged files.
        width: Width in square pixels, before rotation.
        height: Height in pixels, before rotation.
    """

    rate: float
    frames: int
    width: int
    height: int

    @property
    def seconds(self) -> float:
        """Duration in seconds; 0 if unknown."""
        return self.frames / self.rate

    def taken(self, every: float | None) -> int:
        """Returns the approximate number of frames that `read_frames` yields; at least 1."""
        if every is None:
            return max(1, self.frames)
        return max(1, math.ceil(self.frames / max(1.0, every * self.rate)))


@dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Attributes:
        number: Index from 0 over all frames of the file.
        seconds: Time since the beginning.
        image: Upright, RGB.
    """

    number: int
    seconds: float
    image: Image.Image


def video_facts(source: Source, name: str = "") -> VideoFacts:
    """Reads the metadata of a video.

    Args:
        source: A path, or an open file such as an upload.
        name: Name for error messages; by default the path's name.

    Raises:
        DataError: If it cannot be read as a video.
    """
    if (animation := _animation(source, name)) is not None:
        facts = animation.facts
        rate = 1 / facts.delay if facts.delay else _USUAL_RATE
        return VideoFacts(rate, facts.frames, facts.width, facts.height)
    with _opened(source, name) as container:
        return _facts(container)


def read_frames(source: Source, every: float | None = None, name: str = "") -> Iterator[VideoFrame]:
    """Yields a video's frames in order, one in memory at a time, rotated upright.

    Frames have the shape in which players show them: those of anamorphic video, whose pixels are
    not square, are stretched. Timestamps are the file's if they increase from frame to frame, as in
    files of variable rate; otherwise they follow from the rate. Damaged parts are left out.

    Args:
        source: A path, or an open file such as an upload.
        every: Seconds between two frames: the first at or after each multiple; all if None.
        name: Name for error messages; by default the path's name.

    Raises:
        DataError: If it cannot be read as a video, or its frames are too large; at the damaged
            frame of an animation, after the frames before it.
    """
    due = 0.0
    for frame, half in _all_frames(source, name):
        # timestamps are rounded, so a frame may come half a frame early
        if every is None or frame.seconds + half > due:
            yield VideoFrame(frame.number, round(frame.seconds, 6), frame.image())
            while every is not None and due <= frame.seconds + half:
                due += every


def read_frame(source: Source, number: int, name: str = "") -> VideoFrame | None:
    """Returns one frame; None if the video has no such frame.

    The frames before it are decoded, because the frame depends on them, but not converted.

    Args:
        source: A path, or an open file such as an upload.
        number: Index from 0 over all frames of the file.
        name: Name for error messages; by default the path's name.

    Raises:
        DataError: If it cannot be read as a video, or its frames are too large; if an animation is
            damaged before the frame.
    """
    for frame, _ in _all_frames(source, name):
        if frame.number == number:
            return VideoFrame(number, round(frame.seconds, 6), frame.image())
    return None


@dataclass(frozen=True)
class _Frame:
    """A frame whose image is converted on request."""

    number: int
    seconds: float
    image: Callable[[], Image.Image]


def _all_frames(source: Source, name: str) -> Iterator[tuple[_Frame, float]]:
    """Yields each frame, and half the time between two frames."""
    if (animation := _animation(source, name)) is not None:
        yield from _animated(animation.data, _title(source, name))
        return
    with _opened(source, name) as container:
        facts = _facts(container)
        if facts.width * facts.height > _MOST_PIXELS:
            raise DataError(
                f"{_title(source, name)} has frames of {facts.width} x {facts.height} pixels; the "
                f"limit is {_MOST_PIXELS // 1_000_000} million. Scale it down."
            )
        aspect = _pixel_aspect(container)
        first, before = None, -1.0
        for number, frame in enumerate(_decoded(container)):
            stamp = frame.time
            first = stamp if first is None else first
            grown = None if stamp is None or first is None else stamp - first
            plain = number / facts.rate
            before = grown if grown is not None and grown > before else max(plain, before)
            yield _Frame(number, before, partial(_upright, frame, aspect)), 0.5 / facts.rate


def _decoded(container: "InputContainer") -> "Iterator[av.VideoFrame]":
    """Yields the frames that can be decoded; damaged packets are left out."""
    import av

    with suppress(av.error.FFmpegError):  # the file ends in damaged data
        for packet in container.demux(video=0):
            with suppress(av.error.InvalidDataError):
                yield from packet.decode()


@dataclass(frozen=True)
class _Animation:
    """An animated picture, not decoded."""

    data: bytes
    facts: AnimationFacts


def _animation(source: Source, name: str) -> _Animation | None:
    """Returns an animated picture (GIF, WebP, PNG, AVIF); None for other files."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _animation(file, _title(source, name))
    source.seek(0)
    start = source.read(12)
    if not start.startswith(_PICTURES) and start[4:12] not in _AVIF and start[8:12] != b"WEBP":
        return None
    source.seek(0)
    data = source.read(MAX_BYTES + 1)
    with _as_data_errors():
        facts = animation_facts(data, _title(source, name))
    return _Animation(data, facts) if facts.frames > 1 else None


def _animated(data: bytes, title: str) -> Iterator[tuple[_Frame, float]]:
    """Yields the frames of an animation as they are decoded, and half the time between two."""
    half = 0.0
    with _as_data_errors():
        for shown in open_frames(data, title):
            half = half or shown.duration / 2
            yield _Frame(shown.number, shown.seconds, partial(_image_of, shown)), half


@contextmanager
def _as_data_errors() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise DataError(str(error)) from error


def _image_of(frame: AnimationFrame) -> Image.Image:
    return frame.image


def _facts(container: "InputContainer") -> VideoFacts:
    stream = container.streams.video[0]
    rate = float(stream.average_rate or 0) or float(stream.guessed_rate or 0)
    rate = rate if 0.1 <= rate <= 1000 else _USUAL_RATE
    length = 0.0
    if stream.duration is not None and stream.time_base is not None:
        length = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        length = container.duration / 1_000_000
    return VideoFacts(
        rate=rate,
        frames=stream.frames or max(0, round(length * rate)),
        width=round(stream.width * _pixel_aspect(container)),
        height=stream.height,
    )


def _pixel_aspect(container: "InputContainer") -> float:
    """Returns width by height of a pixel; 1 if the file does not state it, or not credibly."""
    ratio = container.streams.video[0].sample_aspect_ratio
    value = float(ratio) if ratio else 1.0
    return value if 1 / _MOST_ASPECT <= value <= _MOST_ASPECT else 1.0


def _upright(frame: "av.VideoFrame", aspect: float) -> Image.Image:
    """Returns a frame in its shown shape, rotated as specified (PyAV: counterclockwise degrees)."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    if aspect != 1:
        image = image.resize((round(image.width * aspect), image.height), _BILINEAR)
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
    return image if turn is None else image.transpose(turn)


@contextmanager
def _opened(source: Source, name: str) -> "Iterator[InputContainer]":
    """Opens a video; images, text and audio files are refused."""
    import av

    unreadable = DataError(
        f"{_title(source, name)} cannot be read as a video. Use MP4, MOV, AVI, MKV or WebM, or "
        "convert it with: ffmpeg -i input output.mp4"
    )
    if not isinstance(source, Path):
        source.seek(0)
    try:
        container = av.open(str(source) if isinstance(source, Path) else source, mode="r")
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise unreadable from error
    with container:
        # FFmpeg would also "play" pictures and text files (as ANSI art).
        form = container.format.name
        if not container.streams.video or form in _STILLS or form.endswith("_pipe"):
            raise unreadable
        container.streams.video[0].thread_type = "AUTO"
        yield container


def _title(source: Source, name: str) -> str:
    return name or (source.name if isinstance(source, Path) else "The file")
