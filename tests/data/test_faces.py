"""Where a face is cut out, which one is taken, and CenterFace on pictures with and without."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.centerface.network import CenterFaceNetwork
from fer_core.data.faces import (
    FER2013,
    CropSquare,
    DetectedFace,
    Landmarks,
    jittered,
    looks_cropped,
    no_face,
    picture_faces,
    whole_picture,
)
from fer_core.data.imaging import open_picture
from fer_core.errors import DetectorError, FerscopeError
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


def test_the_default_framing_inverts_the_measured_one() -> None:
    """A box 1.011 as wide as FER2013's frame, 0.01 of it below its centre, gives the frame."""
    side, left, top = 100, 50, 30
    x, y, half = left + side / 2, top + side / 2 + 1.0, 50.55
    face = DetectedFace(x - half, y - half, x + half, y + half, 1)
    crop = CropSquare.around(face, FER2013).cut(coordinates(200, 200))
    assert rows_and_columns(crop) == (list(range(30, 130)), list(range(50, 150)))


def test_the_square_follows_eyes_and_mouth() -> None:
    # Eyes 36 apart in row 50, the mouth 34.8 below: a mean of 35.4, a square of 100. The middle of
    # eyes and mouth, row 67.4, lies 6.7 below the square's.
    points = Landmarks((82, 50), (118, 50), (100, 70), (90, 84.8), (110, 84.8))
    square = DetectedFace(60, 20, 140, 100, 1, points).square
    assert (square.x, square.y, square.side) == pytest.approx((100, 60.7, 100))
    # In profile the eyes meet: their distance counts as 0.95 of that from eyes to mouth.
    turned = Landmarks((99, 50), (101, 50), (80, 70), (95, 84.8), (105, 84.8))
    side = DetectedFace(60, 20, 140, 100, 1, turned).square.side
    assert side == pytest.approx((0.95 * 34.8 + 34.8) / 2 / 0.354)
    # Landmarks that do not fit the box are not believed.
    assert DetectedFace(60, 20, 260, 220, 1, points).square.side == 200


class MeasuredDetector(FixedDetector):
    """Says where the face lies inside each crop."""

    def __init__(self, face: DetectedFace, within: DetectedFace | None) -> None:
        super().__init__(face)
        self.within = within

    def detect_batch(self, images):
        return [self.faces for _ in images]

    def inside(self, crops):
        return [self.within for _ in crops]


def test_a_crop_is_corrected_by_its_measured_framing() -> None:
    # The first square is 40 wide at (80, 80). The face in it is 33 wide and high around (22, 20):
    # a box of three quarters belongs into a square of 44 around (102, 100).
    framing = Framing(box=0.75, drop=0.0, images=1, found=1, spread=(0.75, 0.75))
    face = DetectedFace(85, 85, 115, 115, 1)
    within = DetectedFace(5.5, 3.5, 38.5, 36.5, 1)
    (crop,) = picture_faces(coordinates(200, 200), MeasuredDetector(face, within), framing).crops
    assert crop.frame == CropSquare(80, 78, 44)
    # Nothing measured, or something far off: the detector's box is all there is.
    for odd in (None, DetectedFace(0, 0, 10, 10, 1), DetectedFace(30, 30, 60, 60, 1)):
        (crop,) = picture_faces(coordinates(200, 200), MeasuredDetector(face, odd), framing).crops
        assert crop.frame == CropSquare(80, 80, 40)


def test_jitter_shifts_and_scales_the_crop() -> None:
    picture = coordinates(200, 200)
    crops = jittered(picture, CropSquare(50, 50, 100))
    assert [crop.width for crop in crops] == [100, 94, 106, 100, 100]
    assert [rows_and_columns(crop)[0][0] for crop in crops] == [50, 53, 47, 47, 53]


@pytest.mark.parametrize(
    ("size", "cropped"),
    [((48, 48), True), ((100, 112), True), ((256, 256), True), ((257, 257), False),
     ((31, 31), False), ((100, 116), False), ((16, 16), False)],
)  # fmt: skip
def test_which_images_may_be_cropped_faces(size: tuple[int, int], cropped: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8)
    assert looks_cropped(Image.fromarray(noise)) == cropped
    assert not looks_cropped(Image.new("L", size, 128))  # flat


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9), (0, 0, float("nan"), 1)])
def test_empty_boxes_are_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="an empty box is no face"):
        DetectedFace(*box, score=1)


def test_a_crop_is_shifted_and_zoomed_about_its_centre() -> None:
    frame = CropSquare(left=10, top=20, side=40)
    assert frame.moved() == frame
    assert frame.moved(zoom=2) == CropSquare(20, 30, 20)
    assert frame.moved(zoom=0.5) == CropSquare(-10, 0, 80)
    assert frame.moved(right=0.25, down=-0.5) == CropSquare(20, 0, 40)
    assert frame.moved(zoom=100).side == 1


# --- choosing ---------------------------------------------------------------------------------


def test_the_face_with_the_largest_score_times_area_is_chosen() -> None:
    sharp_but_small = DetectedFace(0, 0, 40, 40, 2.0)  # 3200
    nearest = DetectedFace(30, 30, 100, 100, 0.9)  # 4410
    large_false_alarm = DetectedFace(0, 0, 190, 190, 0.1)  # 3610
    image = coordinates(200, 200)
    detector = FixedDetector(sharp_but_small, large_false_alarm, nearest)
    result = picture_faces(image, detector).crops
    assert [crop.face for crop in result] == [nearest, large_false_alarm, sharp_but_small]
    np.testing.assert_array_equal(result[0].crop, CropSquare.around(nearest, FER2013).cut(image))


def test_faces_are_cropped_in_the_requested_framing() -> None:
    wide = framed(0.5, 0.25)
    face = DetectedFace(80, 80, 120, 120, 1)
    (result,) = picture_faces(coordinates(200, 200), FixedDetector(face), wide).crops
    assert rows_and_columns(result.crop) == (list(range(50, 130)), list(range(60, 140)))


def test_without_a_face_the_error_names_the_remedy() -> None:
    assert no_face("holiday.jpg", ()) == (
        "No face was found in holiday.jpg. Use a picture in which a face can be seen."
    )


def test_small_faces_are_reported_without_predictions() -> None:
    small, large = DetectedFace(0, 0, 20, 24, 1.0), DetectedFace(30, 30, 60, 60, 1.0)
    image = coordinates(100, 100)
    faces = picture_faces(image, FixedDetector(small, large))
    assert [crop.face for crop in faces.crops] == [large]
    assert faces.too_small == (small,)
    assert no_face("crowd", (small, DetectedFace(50, 50, 60, 60, 1.0))) == (
        "The largest of 2 faces in crowd is 22 pixels wide, too small to be read. Use a picture "
        "in which a face has at least 24 pixels."
    )


def test_faces_are_listed_largest_first() -> None:
    image = coordinates(100, 100)
    small, large = DetectedFace(0, 0, 25, 25, 1.0), DetectedFace(30, 30, 70, 75, 1.0)
    result = picture_faces(image, FixedDetector(small, large)).crops
    assert [crop.face for crop in result] == [large, small]
    np.testing.assert_array_equal(result[1].crop, CropSquare.around(small, FER2013).cut(image))
    assert picture_faces(image, FixedDetector()).crops == ()


# --- cropped already --------------------------------------------------------------------------


def test_a_cropped_image_uses_its_central_square() -> None:
    wide = whole_picture(coordinates(50, 31))
    assert rows_and_columns(wide.crop) == (list(range(31)), list(range(9, 40)))
    assert (wide.frame, wide.face) == (CropSquare(9, 0, 31), DetectedFace(9, 0, 40, 31, score=1.0))
    tall = whole_picture(coordinates(30, 50))
    assert rows_and_columns(tall.crop) == (list(range(10, 40)), list(range(30)))


def test_a_square_image_is_unchanged_bit_for_bit() -> None:
    array = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(whole_picture(Image.fromarray(array)).crop, array)


# --- CenterFace -------------------------------------------------------------------------------


def test_missing_detector_weights_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_core.data.centerface.network.WEIGHTS", "weights/none.onnx")
    with pytest.raises(DetectorError, match=r"pip install --force-reinstall") as caught:
        CenterFaceNetwork()
    assert isinstance(caught.value, FerscopeError)


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    return CenterFaceDetector()


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """A public-domain photograph that comes with matplotlib: 512 x 600 pixels, one face."""
    cbook = pytest.importorskip("matplotlib.cbook")
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return open_picture(file.read(), "grace_hopper.jpg")


@pytest.mark.parametrize("size", [(16, 16), (48, 48), (400, 300), (16, 4000)])
def test_blank_pictures_have_no_face(detector: CenterFaceDetector, size: tuple[int, int]) -> None:
    assert detector.detect(Image.new("RGB", size, (200, 160, 140))) == ()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_noise_has_no_face(detector: CenterFaceDetector, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, len(mode)), dtype=np.uint8)
    assert detector.detect(Image.fromarray(noise.squeeze())) == ()


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_photographs_without_people_have_no_face(detector: CenterFaceDetector, name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    result = detector.detect(Image.fromarray(datasets.load_sample_image(name)))
    assert [face for face in result if not face.too_small] == []


@pytest.mark.parametrize("scale", [0.125, 0.5, 1.0, 3.0])
def test_a_portrait_is_detected_at_any_size(
    detector: CenterFaceDetector, portrait: Image.Image, scale: float
) -> None:
    """Boxes are in the picture's own pixels, whatever size they were sought at."""
    size = (round(portrait.width * scale), round(portrait.height * scale))
    (face,) = detector.detect(portrait.resize(size))
    # By eye: forehead from row 110, chin at row 325, nose at (267, 240), eyes at row 188.
    assert (face.left + face.right) / 2 / scale == pytest.approx(268, abs=20)
    assert face.bottom / scale == pytest.approx(325, abs=25)
    assert face.height / scale == pytest.approx(215, abs=40)
    assert face.landmarks is not None
    np.testing.assert_allclose(np.array(face.landmarks.nose) / scale, [267, 240], atol=20)
    assert face.landmarks.left_eye[1] / scale == pytest.approx(188, abs=15)
    assert face.landmarks.left_eye[0] < face.landmarks.nose[0] < face.landmarks.right_eye[0]
    assert face.score > 0.6


def test_a_face_in_the_dark_is_detected(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    """Its brightest parts are at 3 of 255; without brightening nothing is detected."""
    (face,) = detector.detect(portrait.point(lambda value: value // 85))
    assert (face.left + face.right) / 2 == pytest.approx(268, abs=25)
    assert face.bottom == pytest.approx(325, abs=35)


def test_detections_are_sorted_by_score(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    pair = Image.new("RGB", (768, 600))
    pair.paste(portrait.resize((256, 300)), (512, 0))
    pair.paste(portrait, (0, 0))
    first, second = detector.detect(pair)
    assert first.score >= second.score
    assert {first.right < 512, second.right < 512} == {True, False}
    largest, smaller = picture_faces(pair, detector).crops
    assert largest.face.right < 512 < smaller.face.left


def test_a_face_that_fills_the_image_is_detected(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    """Found again in its own crop, where only the border gives the detector room."""
    crop = picture_faces(portrait, detector).crops[0].crop.resize((48, 48))
    (again,) = picture_faces(crop, detector).crops
    assert again.crop.width == pytest.approx(48, rel=0.1)


def test_small_faces_of_a_large_group_are_detected(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    """Faces of 22 and 44 pixels in a picture of 12 megapixels: found in tiles."""
    group = Image.new("RGB", (4000, 3000), (120, 140, 110))
    for index, height in enumerate([64, 64, 112, 112]):  # the face fills 0.36 of the height
        small = portrait.resize((round(height * 512 / 600), height))
        group.paste(small, (500 + 900 * index, 700 + 400 * (index % 2)))
    faces = detector.detect(group)
    assert len(faces) == 4
    assert sorted(face.too_small for face in faces) == [False, False, True, True]


def test_a_large_face_does_not_hide_small_ones(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    """The first pass sees the large face only: the others have 5 of its pixels."""
    scene = Image.new("RGB", (4000, 3000), (120, 140, 110))
    scene.paste(portrait.resize((949, 1112)), (2900, 1800))
    small = portrait.resize((96, 112))
    for index in range(8):
        scene.paste(small, (150 + 700 * (index % 4), 300 + 700 * (index // 4)))
    faces = detector.detect(scene)
    assert len(faces) == 9
    assert not any(face.too_small for face in faces)


def test_a_panorama_is_searched_at_full_resolution(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    """Within the number of tiles that a square of the same longer side would need."""
    scene = Image.new("RGB", (6000, 500), (120, 140, 110))
    small = portrait.resize((85, 100))  # faces of 35 pixels
    for index in range(8):
        scene.paste(small, (200 + 700 * index, 150))
    assert len(detector.detect(scene)) == 8


def test_batched_detection_equals_single_detection(
    detector: CenterFaceDetector, portrait: Image.Image
) -> None:
    pictures = [portrait, Image.new("L", (90, 700), 90), portrait.resize((256, 300)), portrait]
    together = detector.detect_batch(pictures)
    assert [len(faces) for faces in together] == [1, 0, 1, 1]
    for faces, picture in zip(together, pictures, strict=True):
        for face, alone in zip(faces, detector.detect(picture), strict=True):
            assert face.left == pytest.approx(alone.left, abs=0.01)
            assert face.score == pytest.approx(alone.score, abs=1e-4)


def test_threads_can_share_a_detector(detector: CenterFaceDetector, portrait: Image.Image) -> None:
    pictures = [portrait, portrait.resize((256, 300)), portrait.crop((0, 0, 512, 400))] * 2
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, pictures))
    for faces, picture in zip(together, pictures, strict=True):
        (face,), (alone,) = faces, detector.detect(picture)
        assert face.left == pytest.approx(alone.left, abs=0.01)


@pytest.mark.realdata
@pytest.mark.skipif(not CSV.is_file(), reason=f"FER2013 is not at {CSV}; set FERSCOPE_FER2013")
def test_detection_rate_and_framing_on_fer2013(detector: CenterFaceDetector) -> None:
    """Images of FER2013 set into a grey scene, enlarged: their own frame is found again."""
    rows = pd.read_csv(CSV, nrows=60)["pixels"]
    sides, middles, detected = [], [], 0
    for index, row in enumerate(rows):
        image = Image.fromarray(np.array(row.split(), dtype=np.uint8).reshape(48, 48))
        side = 60 + 4 * index
        scene = Image.new("RGB", (640, 480), (128, 128, 128))
        scene.paste(image.resize((side, side), Image.Resampling.BICUBIC), (150, 90))
        crops = picture_faces(scene, detector, FER2013).crops
        if crops:
            detected += 1
            frame = crops[0].frame
            sides.append(frame.side / side)
            middles.append(
                (
                    (frame.left + frame.side / 2 - 150) / side,
                    (frame.top + frame.side / 2 - 90) / side,
                )
            )
    assert detected >= 0.9 * len(rows)
    assert np.median(sides) == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(np.median(middles, axis=0), [0.5, 0.5], atol=0.03)
