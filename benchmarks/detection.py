"""Recall and false positives of the face detector, on images that anyone can reproduce.

Drawn faces are pasted into photographs and plain backgrounds at known positions; photographs come
with matplotlib and scikit-learn. The images are not representative; untested cases are printed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks import photographs
from benchmarks.result import Result
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import DetectedFace, FaceDetector
from fer_core.data.imaging import open_picture
from fer_core.data.tracking import overlap
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import SyntheticFace, portrait, render

CANVAS = (800, 600)
PEOPLE = 40
WIDTHS = (20, 30, 40, 60, 80, 100, 140, 200, 280)
"""Face widths in pixels, on a canvas 800 pixels wide."""

LEAST_OVERLAP = 0.3
UNTESTED = (
    "children apart, sunglasses, infrared; without a folder of photographs also masks, profile "
    "views, skin tones of people, crowds and blur"
)


@dataclass
class Count:
    """Detection counts: faces, matches, false positives and images."""

    faces: int = 0
    matched: int = 0
    false: int = 0
    pictures: int = 0

    def add(self, truth: Sequence[DetectedFace], detected: Sequence[DetectedFace]) -> None:
        """Counts the detections of one image."""
        unmatched = list(detected)
        for face in truth:
            best = max(unmatched, key=lambda box: overlap(face, box), default=None)
            if best is not None and overlap(face, best) >= LEAST_OVERLAP:
                unmatched.remove(best)
                self.matched += 1
        self.faces += len(truth)
        self.false += len(unmatched)
        self.pictures += 1

    def result(self, what: str) -> Result:
        """Returns the row of the table."""
        false = f"{self.false} false positives in {self.pictures} images"
        if not self.faces:
            return Result(what, false)
        return Result(
            what, f"{self.matched} of {self.faces} ({self.matched / self.faces:.0%})", false
        )


def measure() -> Iterator[Result]:
    """Counts detected and missed faces, and false positives."""
    detector = CenterFaceDetector()
    random = np.random.default_rng(0)
    for width in WIDTHS:
        count = Count()
        for number in range(PEOPLE):
            picture, truth = scene(number, [width], random)
            count.add(truth, detector.detect(picture))
        yield count.result(f"one drawn face, {width} pixels wide, in {CANVAS[0]} x {CANVAS[1]}")
    count = Count()
    for number in range(PEOPLE // 2):
        picture, truth = scene(number, [80, 100, 120, 140], random)
        count.add(truth, detector.detect(picture))
    yield count.result("four drawn faces per image, 80 to 140 pixels wide")
    yield from _by_tone(detector)
    yield from _turned(detector)
    count = Count()
    emotions = list(PROTOTYPES)
    for number in range(3 * PEOPLE):
        face = render(number, emotions[number % len(emotions)], side=192)
        count.add([box_of(face)], detector.detect(Image.fromarray(face.image)))
    yield count.result("tight drawn crops: any pose and light, some occluded by a hand or hair")
    yield from _photographs(detector)
    count = Count()
    for picture in without_people():
        count.add([], detector.detect(picture))
    yield count.result("photographs, charts, noise and gradients without people")
    yield from photographs.measure()
    yield Result("not tested", UNTESTED)


@lru_cache(maxsize=PEOPLE)
def drawn_portrait(number: int) -> SyntheticFace:
    """Returns a drawn portrait of a person."""
    emotions = list(PROTOTYPES)
    return portrait(number, emotions[number % len(emotions)], 384)


def box_of(face: SyntheticFace, scale: float = 1.0, left: int = 0, top: int = 0) -> DetectedFace:
    """Returns the box from the brows to the chin, as face detectors define it."""
    rows, columns = np.nonzero(face.masks["face"])
    first = np.nonzero(face.masks["brows"])[0]
    upper = float(first.min() if len(first) else rows.min())
    return DetectedFace(
        left + columns.min() * scale,
        top + upper * scale,
        left + (columns.max() + 1) * scale,
        top + (rows.max() + 1) * scale,
        1.0,
    )


def scene(
    number: int, widths: Sequence[int], random: np.random.Generator
) -> tuple[Image.Image, list[DetectedFace]]:
    """Pastes portraits into a background, each in its own cell, so that they do not overlap.

    Args:
        number: Index of the first person and of the background.
        widths: Face widths in pixels.
        random: Random generator for the positions.

    Returns:
        The image and the boxes of the faces.
    """
    picture = backgrounds()[number % len(backgrounds())].copy()
    truth = []
    across = 1 if len(widths) == 1 else 2
    width_of, height_of = CANVAS[0] // across, CANVAS[1] // -(-len(widths) // across)
    for index, width in enumerate(widths):
        face = drawn_portrait((number + 7 * index) % PEOPLE)
        columns = np.nonzero(face.masks["face"])[1]
        scale = width / (columns.max() + 1 - columns.min())
        side = round(face.image.shape[0] * scale)
        tile = Image.fromarray(face.image).resize((side, side), Image.Resampling.LANCZOS)
        row, column = divmod(index, across)
        left = column * width_of + int(random.integers(0, max(1, width_of - side)))
        top = row * height_of + int(random.integers(0, max(1, height_of - side)))
        picture.paste(tile, (left, top))
        truth.append(box_of(face, scale, left, top))
    return picture, truth


@lru_cache(maxsize=1)
def backgrounds() -> tuple[Image.Image, ...]:
    """Returns two photographs without people, a plain background and smooth noise."""
    noise = np.random.default_rng(1).integers(60, 200, (30, 40, 3), dtype=np.uint8)
    return (
        *(photograph.resize(CANVAS) for photograph in sklearn_photographs()),
        Image.new("RGB", CANVAS, (150, 155, 160)),
        Image.fromarray(noise).resize(CANVAS, Image.Resampling.BICUBIC),
    )


def sklearn_photographs() -> list[Image.Image]:
    """Returns china.jpg and flower.jpg."""
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


def hopper() -> Image.Image:
    """Returns a public-domain portrait that comes with matplotlib."""
    return _matplotlib_picture("grace_hopper.jpg")


def _matplotlib_picture(name: str) -> Image.Image:
    from matplotlib.cbook import get_sample_data

    path = Path(str(get_sample_data(name, asfileobj=False)))
    return open_picture(path.read_bytes(), name)


def without_people() -> Iterator[Image.Image]:
    """Yields images without faces, in which every detection is a false positive."""
    for photograph in sklearn_photographs():
        yield photograph
        for row in range(3):  # enlarged crops
            for column in range(4):
                width, height = photograph.width // 4, photograph.height // 3
                box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
                yield photograph.crop(box)
        for angle in (90, 180, 270):
            yield photograph.rotate(angle, expand=True)
    for name in ("logo2.png", "Minduka_Present_Blue_Pack.png"):
        yield _matplotlib_picture(name)
    random = np.random.default_rng(2)
    for size in (6, 12, 25, 50, 100, 200):
        noise = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
        yield Image.fromarray(noise).resize((400, 400), Image.Resampling.BICUBIC)
    yield from backgrounds()[2:]


def _by_tone(detector: FaceDetector) -> Iterator[Result]:
    """Groups the drawn faces by brightness."""
    tones = [
        float(drawn_portrait(n).image[drawn_portrait(n).masks["face"]].mean() / 255)
        for n in range(PEOPLE)
    ]
    order = np.argsort(tones)
    for name, part in zip(
        ("darkest", "middle", "brightest"), np.array_split(order, 3), strict=True
    ):
        count, random = Count(), np.random.default_rng(3)
        for number in part:
            for width in (90, 120, 160):
                picture, truth = scene(int(number), [width], random)
                count.add(truth, detector.detect(picture))
        tone_range = f"{tones[part[0]]:.2f} to {tones[part[-1]]:.2f}"
        yield count.result(f"the {name} third of drawn faces (mean brightness {tone_range})")


def _turned(detector: FaceDetector) -> Iterator[Result]:
    for angle in (15, 30, 45):
        count = Count()
        for number in range(PEOPLE // 2):
            picture = Image.fromarray(drawn_portrait(number).image)
            side = picture.width
            for signed in (-angle, angle):
                turned = picture.rotate(signed, Image.Resampling.BICUBIC, fillcolor=(150, 150, 150))
                count.add(
                    [_turn(box_of(drawn_portrait(number)), signed, side)], detector.detect(turned)
                )
        yield count.result(f"drawn portraits rotated by {angle} degrees")


def _turn(box: DetectedFace, degrees: float, side: int) -> DetectedFace:
    """Rotates the centre of a box about the image centre; keeps its size."""
    angle = np.deg2rad(degrees)
    x = (box.left + box.right - side) / 2
    y = (box.top + box.bottom - side) / 2
    across = x * np.cos(angle) + y * np.sin(angle) + side / 2
    down = -x * np.sin(angle) + y * np.cos(angle) + side / 2
    half_width, half_height = box.width / 2, box.height / 2
    return DetectedFace(
        across - half_width, down - half_height, across + half_width, down + half_height, 1.0
    )


def _photographs(detector: FaceDetector) -> Iterator[Result]:
    """Tests variants of one portrait, whose box was annotated by hand."""
    picture = hopper()
    box = DetectedFace(165, 145, 370, 330, 1.0)
    versions = [picture, picture.convert("L").convert("RGB")]
    versions += [picture.filter(ImageFilter.GaussianBlur(radius)) for radius in (2, 4)]
    versions += [picture.point(lambda v, f=f: int(v * f)) for f in (0.15, 0.35, 0.6)]
    count = Count()
    for version in versions:
        count.add([box], detector.detect(version))
    for scale in (0.125, 0.25, 0.5, 2.0, 3.0):
        scaled = picture.resize((round(512 * scale), round(600 * scale)))
        left, top, right, bottom = (
            edge * scale for edge in (box.left, box.top, box.right, box.bottom)
        )
        count.add([DetectedFace(left, top, right, bottom, 1.0)], detector.detect(scaled))
    yield count.result("one photograph in 12 versions: sizes, grey, blurred, darkened")
