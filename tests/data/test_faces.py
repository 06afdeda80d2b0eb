"""Where a face is cut out, which one is taken, and dlib on pictures with and without a face."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.data.faces import (
    FER2013,
    CropSquare,
    DetectedFace,
    DetectorError,
    DlibDetector,
    every_face,
    find_faces,
    smallest_face,
    whole_picture,
)
from fer_core.data.imaging import open_picture
from fer_core.errors import FerscopeError, ImageError
from fer_core.records import Framing

REPOSITORY = Path(__file__).parents[2]
CSV = Path(
    os.environ.get("FERSCOPE_FER2013")
    or REPOSITORY.parent / "shared" / "data" / "fer2013" / "fer2013.csv.gz"
)


def coordinates(width: int, height: int) -> Image.Image:
    """A picture whose every pixel tells its place: red is the row, green the column."""
    array = np.zeros((height, width, 3), dtype=np.uint8)
    array[..., 0] = np.arange(height)[:, None]
    array[..., 1] = np.arange(width)
    return Image.fromarray(array)


def rows_and_columns(crop: Image.Image) -> tuple[list[int], list[int]]:
    array = np.asarray(crop)
    assert (array[..., 0] == array[:, :1, 0]).all()
    assert (array[..., 1] == array[:1, :, 1]).all()
    return array[:, 0, 0].tolist(), array[0, :, 1].tolist()


def framed(margin: float, rise: float) -> Framing:
    """A framing that adds a margin around a box and raises it, both in sides of the box."""
    box = 1 / (1 + 2 * margin)
    return Framing(box=box, drop=rise * box, images=1, detected=1, spread=(box, box))


class FixedDetector:
    def __init__(self, *faces: DetectedFace) -> None:
        self.faces = faces

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        return self.faces


# --- cutting out ------------------------------------------------------------------------------


def test_crop_inside_the_picture() -> None:
    # The box is 20 wide around (50, 60); a quarter more on each side makes 30; its centre goes
    # up by a tenth of 20, to (50, 58).
    crop = CropSquare.around(DetectedFace(40, 50, 60, 70, 1), framed(0.25, 0.1)).cut(
        coordinates(100, 100)
    )
    assert rows_and_columns(crop) == (list(range(43, 73)), list(range(35, 65)))


def test_crop_over_the_top_left_corner_repeats_the_edge() -> None:
    crop = CropSquare.around(DetectedFace(0, 5, 20, 25, 1), framed(0.5, 0)).cut(
        coordinates(100, 100)
    )
    # 40 wide around (10, 15): columns -10 to 29, rows -5 to 34; the centre stays at (20, 20).
    assert rows_and_columns(crop) == ([0] * 5 + list(range(35)), [0] * 10 + list(range(30)))


def test_crop_over_the_bottom_right_corner_repeats_the_edge() -> None:
    crop = CropSquare.around(DetectedFace(64, 44, 84, 64, 1), framed(0, 0)).cut(coordinates(80, 60))
    assert rows_and_columns(crop) == (
        [*range(44, 60), *[59] * 4],
        [*range(64, 80), *[79] * 4],
    )


def test_crop_larger_than_the_picture() -> None:
    crop = CropSquare.around(DetectedFace(-2, -2, 6, 6, 1), framed(0, 0)).cut(coordinates(4, 3))
    assert rows_and_columns(crop) == ([0, 0, 0, 1, 2, 2, 2, 2], [0, 0, 0, 1, 2, 3, 3, 3])


def test_longer_side_of_the_box_counts() -> None:
    crop = CropSquare.around(DetectedFace(40, 20, 50, 50, 1), framed(0, 0)).cut(
        coordinates(100, 100)
    )
    assert rows_and_columns(crop) == (list(range(20, 50)), list(range(30, 60)))


def test_crop_keeps_grey() -> None:
    crop = CropSquare.around(DetectedFace(40, 40, 60, 60, 1), FER2013).cut(
        Image.new("L", (50, 50), 77)
    )
    assert crop.mode == "L"
    assert (np.asarray(crop) == 77).all()


def test_default_framing_undoes_what_was_measured() -> None:
    """A box 0.86 as wide as FER2013's frame, 0.067 of it below its centre, gives the frame."""
    side, left, top = 100, 50, 30
    x, y, half = left + side / 2, top + side / 2 + 6.7, 43
    face = DetectedFace(x - half, y - half, x + half, y + half, 1)
    crop = CropSquare.around(face, FER2013).cut(coordinates(200, 200))
    assert rows_and_columns(crop) == (list(range(30, 130)), list(range(50, 150)))


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9), (0, 0, float("nan"), 1)])
def test_empty_boxes_are_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="an empty box is no face"):
        DetectedFace(*box, score=1)


def test_a_frame_is_moved_and_zoomed_about_its_middle() -> None:
    frame = CropSquare(left=10, top=20, side=40)
    assert frame.moved() == frame
    assert frame.moved(zoom=2) == CropSquare(20, 30, 20)
    assert frame.moved(zoom=0.5) == CropSquare(-10, 0, 80)
    assert frame.moved(right=0.25, down=-0.5) == CropSquare(20, 0, 40)
    assert frame.moved(zoom=100).side == 1


# --- choosing ---------------------------------------------------------------------------------


def test_score_times_area_chooses() -> None:
    sharp_but_small = DetectedFace(0, 0, 20, 20, 2.0)  # 800
    nearest = DetectedFace(30, 30, 70, 70, 0.9)  # 1440
    large_false_alarm = DetectedFace(0, 0, 90, 90, 0.1)  # 810
    image = coordinates(100, 100)
    found = find_faces(image, FixedDetector(sharp_but_small, large_false_alarm, nearest))
    assert [crop.face for crop in found] == [nearest, large_false_alarm, sharp_but_small]
    np.testing.assert_array_equal(found[0].crop, CropSquare.around(nearest, FER2013).cut(image))


def test_faces_are_cut_out_in_the_framing_that_is_asked() -> None:
    wide = framed(0.5, 0.25)
    face = DetectedFace(40, 40, 60, 60, 1)
    (found,) = find_faces(coordinates(100, 100), FixedDetector(face), wide)
    assert rows_and_columns(found.crop) == (list(range(25, 65)), list(range(30, 70)))


@pytest.mark.parametrize(
    ("size", "pixels"),
    [((1600, 900), 160), ((900, 1601), 161), ((800, 600), 80), ((48, 48), 16), ((160, 100), 16)],
)
def test_no_face_tells_what_to_do(size: tuple[int, int], pixels: int) -> None:
    image = Image.new("RGB", size)
    assert smallest_face(image) == pixels
    with pytest.raises(ImageError) as caught:
        find_faces(image, FixedDetector(), name="holi\x00day.jpg")
    assert str(caught.value) == (
        "No face was found in holiday.jpg. Use a picture in which the face looks towards the "
        f"camera and is at least {pixels} pixels wide, "
        "or tick 'the picture is already a cropped face'."
    )


def test_no_face_in_a_nameless_picture() -> None:
    with pytest.raises(ImageError, match=r"^No face was found in the picture\. Use "):
        find_faces(Image.new("RGB", (20, 20)), FixedDetector())


def test_every_face_largest_first() -> None:
    image = coordinates(100, 100)
    small, large = DetectedFace(0, 0, 20, 20, 1.0), DetectedFace(30, 30, 70, 75, 1.0)
    found = every_face(image, FixedDetector(small, large))
    assert [crop.face for crop in found] == [large, small]
    np.testing.assert_array_equal(found[1].crop, CropSquare.around(small, FER2013).cut(image))
    assert every_face(image, FixedDetector()) == ()
    assert [crop.face for crop in every_face(image, None)] == [DetectedFace(0, 0, 100, 100, 1.0)]


# --- cropped already --------------------------------------------------------------------------


def test_whole_picture_is_the_central_square() -> None:
    wide = whole_picture(coordinates(50, 31))
    assert rows_and_columns(wide.crop) == (list(range(31)), list(range(9, 40)))
    assert (wide.frame, wide.face) == (CropSquare(9, 0, 31), DetectedFace(9, 0, 40, 31, score=1.0))
    tall = whole_picture(coordinates(30, 50))
    assert rows_and_columns(tall.crop) == (list(range(10, 40)), list(range(30)))


def test_a_square_stays_bit_for_bit() -> None:
    array = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(whole_picture(Image.fromarray(array)).crop, array)


# --- dlib -------------------------------------------------------------------------------------


def test_missing_dlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(DetectorError, match=r"pip install dlib-bin$") as caught:
        DlibDetector()
    assert isinstance(caught.value, FerscopeError)


@pytest.fixture(scope="module")
def detector() -> DlibDetector:
    return DlibDetector()


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """A public-domain photograph that comes with matplotlib: 512 x 600 pixels, one face."""
    cbook = pytest.importorskip("matplotlib.cbook")
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return open_picture(file.read(), "grace_hopper.jpg")


@pytest.mark.parametrize("size", [(16, 16), (48, 48), (400, 300), (16, 4000)])
def test_blank_pictures_have_no_face(detector: DlibDetector, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="No face was found in blank"):
        find_faces(Image.new("RGB", size, (200, 160, 140)), detector, name="blank")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_noise_has_no_face(detector: DlibDetector, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, len(mode)), dtype=np.uint8)
    with pytest.raises(ImageError, match="No face was found in noise"):
        find_faces(Image.fromarray(noise.squeeze()), detector, name="noise")


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_photographs_without_people_have_no_face(detector: DlibDetector, name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    assert detector.detect(Image.fromarray(datasets.load_sample_image(name))) == ()


@pytest.mark.parametrize("scale", [0.125, 0.5, 1.0, 3.0])
def test_a_portrait_at_any_size(
    detector: DlibDetector, portrait: Image.Image, scale: float
) -> None:
    """Boxes are in the picture's own pixels, whatever size they were sought at."""
    size = (round(portrait.width * scale), round(portrait.height * scale))
    (face,) = detector.detect(portrait.resize(size))
    # By eye: eyes at row 188, chin at row 325, nose at column 267, ears at columns 161 and 370.
    assert (face.left + face.right) / 2 / scale == pytest.approx(268, abs=20)
    assert (face.top + face.bottom) / 2 / scale == pytest.approx(245, abs=20)
    assert face.width / scale == pytest.approx(195, abs=25)
    assert face.score > 0.5


def test_faces_come_best_first(detector: DlibDetector, portrait: Image.Image) -> None:
    small = portrait.resize((256, 300))
    pair = Image.new("RGB", (768, 600))
    pair.paste(small.resize((50, 58)).resize(small.size), (512, 0))  # blurred
    pair.paste(portrait, (0, 0))
    first, second = detector.detect(pair)
    assert first.score > second.score
    assert first.right < 512 < second.left
    assert [found.face for found in find_faces(pair, detector)] == [first, second]


def test_a_tight_crop_is_found_too(detector: DlibDetector, portrait: Image.Image) -> None:
    """Found again in its own crop, where only the border gives the detector room."""
    crop = find_faces(portrait, detector)[0].crop.resize((48, 48))
    (again,) = find_faces(crop, detector)
    assert again.crop.width == pytest.approx(48, rel=0.25)


def test_threads_share_a_detector(detector: DlibDetector, portrait: Image.Image) -> None:
    pictures = [portrait, portrait.resize((256, 300)), portrait.crop((0, 0, 512, 400))] * 2
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, pictures))
    assert together == [detector.detect(picture) for picture in pictures]
    assert all(len(faces) == 1 for faces in together)


@pytest.mark.realdata
@pytest.mark.skipif(not CSV.is_file(), reason=f"FER2013 is not at {CSV}; set FERSCOPE_FER2013")
def test_rate_and_framing_on_fer2013(detector: DlibDetector) -> None:
    """Measured on 600 random images: 78% found. A found face's crop is about the whole image."""
    rows = pd.read_csv(CSV, nrows=200)["pixels"]
    images = [np.array(row.split(), dtype=np.uint8).reshape(48, 48) for row in rows]
    found = [faces[0] for faces in map(detector.detect, map(Image.fromarray, images)) if faces]
    assert len(found) >= 0.68 * len(images)

    corners = np.arange(48, dtype=np.uint8)
    place = Image.fromarray(np.dstack([*np.meshgrid(corners, corners), np.zeros((48, 48), "u1")]))
    crops = [CropSquare.around(face, FER2013).cut(place) for face in found]
    assert np.median([crop.width for crop in crops]) == pytest.approx(48, abs=4)
    middles = np.array([crop.getpixel((crop.width // 2, crop.height // 2))[:2] for crop in crops])
    np.testing.assert_allclose(np.median(middles, axis=0), [24, 24], atol=2.5)
