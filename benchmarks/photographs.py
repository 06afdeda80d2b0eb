"""Face detection on photographs of people, with known boxes.

The project includes no photographs, but `photographs.csv.gz` has the boxes of 302 of them in public
repositories. `FERSCOPE_PHOTOGRAPHS` is a folder with checkouts of these repositories as
`<owner>/<name>`. Or it is a folder of your images with a table `boxes.csv`: file, left, top, right,
bottom (pixels) and `kind`. The kind is `face`, `mask` (a face with a mask), `unclear` (blurred,
covered or from behind; ignored) or `none` (an image without faces). The column `turned` marks faces
in profile, `tone` is `darker` for faces with darker skin (tagged among the 200 darkest faces).
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.result import Result, seconds
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import SMALLEST_READABLE, DetectedFace, FaceDetector
from fer_core.data.imaging import open_picture
from fer_core.data.picture_files import is_readable
from fer_core.data.tracking import overlap

FOLDER = "FERSCOPE_PHOTOGRAPHS"
_TABLE = Path(__file__).with_name("photographs.csv.gz")
_LEAST_OVERLAP = 0.3
_EDGES = ("left", "top", "right", "bottom")
_DARK = 60  # mean brightness of a face, 0 to 255
_SIZES = ((0, 24), (24, 48), (48, 100), (100, 10_000))


def measure() -> Iterator[Result]:
    """Measures recall by size, mask, profile and darkness, and counts false positives."""
    folder = os.environ.get(FOLDER)
    if not folder:
        yield Result("photographs of people", f"not measured: {FOLDER} is not set")
        return
    counts: dict[str, list[bool]] = defaultdict(list)
    times, false, pictures = [], 0, 0
    boxes, files = _photographs(Path(folder))
    if not files:
        yield Result("photographs of people", f"not measured: {folder} has none of the table")
        return
    detector = CenterFaceDetector()
    for path in files:
        image = open_picture(path.read_bytes(), path.name)
        started = time.perf_counter()
        detected = detector.detect(image)
        times.append(time.perf_counter() - started)
        pictures += 1
        false += _count(image, detected, boxes[boxes["file"] == path], counts)
    for name, hits in counts.items():
        yield Result(name, f"{sum(hits)} of {len(hits)} ({np.mean(hits):.1%})")
    yield Result(
        f"false positives of {SMALLEST_READABLE} pixels and more",
        f"{false} in {pictures} photographs",
        target="at most 2 in 100",
        reached=false <= 0.02 * pictures,
    )
    yield Result("median time for a photograph", f"{1000 * median(times):.0f} ms")
    yield from _against_dlib(files[0], detector)


def _photographs(folder: Path) -> tuple[pd.DataFrame, list[Path]]:
    """Returns the boxes, with the path of each image in `file`, and the images that exist."""
    if (folder / "boxes.csv").is_file():
        boxes = pd.read_csv(folder / "boxes.csv")
        boxes["file"] = [folder / name for name in boxes["file"]]
        return boxes, sorted(file for file in folder.iterdir() if is_readable(file))
    boxes = pd.read_csv(_TABLE)
    places = zip(boxes["repository"], boxes["path"], strict=True)
    boxes["file"] = [folder / repository / path for repository, path in places]
    return boxes, [file for file in boxes["file"].unique() if file.is_file()]


def _count(
    image: Image.Image,
    detected: tuple[DetectedFace, ...],
    truth: pd.DataFrame,
    counts: dict[str, list[bool]],
) -> int:
    """Adds the faces of an image to the counts; returns its number of false positives."""
    left = list(detected)
    faces = truth[truth["kind"] != "none"]
    order = faces.sort_values("kind", key=lambda kind: kind == "unclear")
    for row in order.to_dict("records"):
        left_edge, top, right, bottom = (float(row[name]) for name in _EDGES)
        box = DetectedFace(left_edge, top, right, bottom, 1.0)
        best = max(left, key=lambda face: overlap(box, face), default=None)
        hit = best is not None and overlap(box, best) >= _LEAST_OVERLAP
        if best is not None and hit:
            left.remove(best)
        if row["kind"] == "unclear":
            continue
        low, high = next((low, high) for low, high in _SIZES if low <= box.size < high)
        name = f"{low} to {high} pixels" if high < 10_000 else f"{low} pixels and more"
        counts[name].append(hit)
        if box.size >= SMALLEST_READABLE:
            counts["all of 24 pixels and more"].append(hit)
            for kind in _kinds(image, box, row):
                counts[kind].append(hit)
    return sum(face.size >= SMALLEST_READABLE for face in left)


def _kinds(image: Image.Image, box: DetectedFace, row: Mapping[Hashable, object]) -> Iterator[str]:
    """Yields the groups that a face belongs to."""
    if row["kind"] == "mask":
        yield "with a mask"
    part = image.crop((int(box.left), int(box.top), int(box.right), int(box.bottom))).convert("L")
    if np.asarray(part).mean() < _DARK:
        yield "dark (mean brightness of the face below 60)"
    if row.get("turned") is True:
        yield "turned away, up to profile"
    if row.get("tone") == "darker":
        yield "with darker skin"


def _against_dlib(path: Path, detector: FaceDetector) -> Iterator[Result]:
    """Compares the time for 1 megapixel with dlib's detector, if it is installed."""
    image = open_picture(path.read_bytes(), path.name).resize((1200, 833))
    ours = _milliseconds(lambda: detector.detect(image))
    try:
        import dlib  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        yield Result("time for 1 megapixel", f"{ours:.0f} ms", target="30 ms", reached=ours <= 30)
        return
    hog = dlib.get_frontal_face_detector()

    def old() -> None:
        hog.run(np.asarray(image.resize((800, 555))), 0, 0.0)

    theirs = _milliseconds(old)
    yield Result(
        "time for 1 megapixel",
        f"{ours:.0f} ms",
        against=f"dlib HOG at 800 px, same run: {theirs:.0f} ms",
        target="30 ms",
        reached=ours <= 30,
    )


def _milliseconds(call: Callable[[], object]) -> float:
    return 1000 * seconds(call, 9)
