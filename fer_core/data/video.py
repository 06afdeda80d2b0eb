"""Reads frames of video files with their time stamps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from fer_core.errors import DataError

if TYPE_CHECKING:
    import cv2

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp")
"""Endings of files that are taken for videos."""

_USUAL_RATE = 25.0  # where a file names none, or nonsense
_MOST_PIXELS = 50_000_000


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself.

    Attributes:
        rate: Frames a second; 25 where the file names none.
        frames: How many there are; 0 where the file does not tell. May be wrong in damaged files.
        width: In pixels.
        height: In pixels.
    """

    rate: float
    frames: int
    width: int
    height: int

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


def video_facts(path: Path) -> VideoFacts:
    """Reads what a video says of itself.

    Raises:
        DataError: If it is no video that can be read.
    """
    import cv2

    capture = _open(path)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        return VideoFacts(
            rate=rate if 0.1 <= rate <= 1000 else _USUAL_RATE,
            frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
    finally:
        capture.release()


def read_frames(path: Path, every: float | None = None) -> Iterator[VideoFrame]:
    """Gives a video's frames in order, one in memory at a time.

    Time stamps are the file's own where they grow from frame to frame, as in files of variable
    rate; else they follow from the rate. A damaged end is left out.

    Args:
        path: The file.
        every: Seconds between two frames: the first at or after each multiple; all if None.

    Raises:
        DataError: If it is no video that can be read, or its frames are too large.
    """
    import cv2

    facts = video_facts(path)
    if facts.width * facts.height > _MOST_PIXELS:
        raise DataError(
            f"{path.name} has frames of {facts.width} x {facts.height} pixels; the limit is "
            f"{_MOST_PIXELS // 1_000_000} million. Scale it down."
        )
    capture = _open(path)
    try:
        number, before, due = 0, -1.0, 0.0
        while capture.grab():
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            plain = number / facts.rate
            seconds = stamp if math.isfinite(stamp) and stamp > before else max(plain, before)
            before = seconds
            # stamps are rounded: a frame half a frame early is the one that is due
            if every is None or seconds + 0.5 / facts.rate > due:
                sound, pixels = capture.retrieve()
                if sound and pixels is not None:
                    rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
                    yield VideoFrame(number, round(seconds, 6), Image.fromarray(rgb))
                while every is not None and due <= seconds + 0.5 / facts.rate:
                    due += every
            number += 1
    finally:
        capture.release()


def _open(path: Path) -> "cv2.VideoCapture":
    """Opens a file with FFmpeg alone: other readers would take a picture's name for a sequence."""
    import cv2

    # It would print of damaged files what the error below says.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(
            f"{path.name} is no video that can be read. Use MP4 (H.264 or MPEG-4), AVI, MKV or "
            "WebM, or convert it with: ffmpeg -i input output.mp4"
        )
    return capture
