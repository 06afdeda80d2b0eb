"""Reads frames of video files with their time stamps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from fer_core.errors import DataError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".ts"),
    *(".mts", ".m2ts", ".flv", ".ogv"),
)
"""Endings of files that are taken for videos."""

_USUAL_RATE = 25.0  # where a file names none, or nonsense
_MOST_PIXELS = 64_000_000
_STILLS = frozenset({"tty", "image2", "gif", "apng", "webp"})
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""Degrees against the clock by which a frame is to be turned -> how."""

Source = Path | BinaryIO


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself.

    Attributes:
        rate: Frames a second; 25 where the file names none.
        frames: How many there are, by its own word or by its length; 0 where neither is told. May
            be wrong in damaged files.
        width: In pixels, as stored: a rotation is not applied.
        height: In pixels.
    """

    rate: float
    frames: int
    width: int
    height: int

    @property
    def seconds(self) -> float:
        """Length in seconds; 0 where it is not told."""
        return self.frames / self.rate

    def taken(self, every: float | None) -> int:
        """Returns about how many frames `read_frames` gives; at least 1."""
        if every is None:
            return max(1, self.frames)
        return max(1, math.ceil(self.frames / max(1.0, every * self.rate)))


@dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Attributes:
        number: Counts from 0 over all frames of the file.
        seconds: Since the file's beginning.
        image: Upright, RGB.
    """

    number: int
    seconds: float
    image: Image.Image


def video_facts(source: Source, name: str = "") -> VideoFacts:
    """Reads what a video says of itself.

    Args:
        source: A path, or an open file such as an upload.
        name: What to call it in errors; a path's own name by default.

    Raises:
        DataError: If it is no video that can be read.
    """
    with _opened(source, name) as container:
        return _facts(container)


def read_frames(source: Source, every: float | None = None, name: str = "") -> Iterator[VideoFrame]:
    """Gives a video's frames in order, one in memory at a time, turned as the file says.

    Time stamps are the file's own where they grow from frame to frame, as in files of variable
    rate; else they follow from the rate. A damaged end is left out.

    Args:
        source: A path, or an open file such as an upload.
        every: Seconds between two frames: the first at or after each multiple; all if None.
        name: What to call it in errors; a path's own name by default.

    Raises:
        DataError: If it is no video that can be read, or its frames are too large.
    """
    import av

    with _opened(source, name) as container:
        facts = _facts(container)
        if facts.width * facts.height > _MOST_PIXELS:
            raise DataError(
                f"{_title(source, name)} has frames of {facts.width} x {facts.height} pixels; the "
                f"limit is {_MOST_PIXELS // 1_000_000} million. Scale it down."
            )
        first, before, due, half = None, -1.0, 0.0, 0.5 / facts.rate
        # what is damaged ends the video
        with suppress(av.error.FFmpegError):
            for number, frame in enumerate(container.decode(video=0)):
                stamp = frame.time
                first = stamp if first is None else first
                grown = None if stamp is None or first is None else stamp - first
                plain = number / facts.rate
                seconds = grown if grown is not None and grown > before else max(plain, before)
                before = seconds
                # stamps are rounded: a frame half a frame early is the one that is due
                if every is None or seconds + half > due:
                    yield VideoFrame(number, round(seconds, 6), _upright(frame))
                    while every is not None and due <= seconds + half:
                        due += every


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
        width=stream.width,
        height=stream.height,
    )


def _upright(frame: "av.VideoFrame") -> Image.Image:
    """Returns a frame as the file's rotation says (PyAV: degrees against the clock)."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
    return image if turn is None else image.transpose(turn)


@contextmanager
def _opened(source: Source, name: str) -> "Iterator[InputContainer]":
    """Opens a video; pictures, text and sound alone are refused."""
    import av

    unreadable = DataError(
        f"{_title(source, name)} is no video that can be read. Use MP4, MOV, AVI, MKV or WebM, or "
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
