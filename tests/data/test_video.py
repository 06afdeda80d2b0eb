"""Frames of tiny videos that are written here, and persons followed through them."""

import io
import re
import weakref
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from fer_core.data import imaging, video
from fer_core.data.faces import DetectedFace
from fer_core.data.tracking import overlap, track
from fer_core.data.video import read_frame, read_frames, video_facts
from fer_core.errors import DataError
from tests.support.video import write_video


def grey_frames(count, side=32):
    return [np.full((side, side, 3), 10 * n, np.uint8) for n in range(count)]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.mp4", "mpeg4")])
def test_every_frame_with_its_time(tmp_path, name, codec):
    path = write_video(tmp_path / name, grey_frames(12), codec=codec)
    facts = video_facts(path)
    assert (facts.rate, facts.frames, facts.width, facts.height) == (10, 12, 32, 32)
    frames = list(read_frames(path))
    assert [frame.number for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(12) / 10, atol=1e-3)
    means = [np.asarray(frame.image).mean() for frame in frames]
    np.testing.assert_allclose(means, np.arange(12) * 10, atol=4)


@pytest.mark.parametrize(
    ("every", "numbers"),
    [(0.5, [0, 5, 10, 15]), (0.25, [0, 3, 5, 8, 10, 13, 15, 18]), (9.0, [0]), (0.01, range(20))],
)
def test_frames_at_an_interval(tmp_path, every, numbers):
    path = write_video(tmp_path / "a.avi", grey_frames(20))
    taken = [frame.number for frame in read_frames(path, every)]
    np.testing.assert_allclose(taken, list(numbers), atol=1)
    assert len(taken) == len(numbers)
    assert video_facts(path).taken(every) == pytest.approx(len(numbers), abs=1)


def test_one_frame_is_found_without_converting_those_before_it(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", grey_frames(12))
    converted = []
    upright = video._upright
    monkeypatch.setattr(video, "_upright", lambda *args: converted.append(args) or upright(*args))
    frame = read_frame(path, 9)
    assert (frame.number, frame.seconds) == (9, 0.9)
    assert np.asarray(frame.image).mean() == pytest.approx(90, abs=4)
    assert len(converted) == 1
    assert read_frame(path, 12) is None


def test_colours_are_not_swapped(tmp_path):
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 220
    (frame,) = read_frames(write_video(tmp_path / "a.avi", [red]))
    pixel = np.asarray(frame.image)[16, 16]
    assert pixel[0] > 180
    assert pixel[2] < 60


@pytest.mark.parametrize(("rotation", "size"), [(0, (90, 48)), (90, (48, 90))])
def test_frames_of_anamorphic_video_have_their_shown_shape(tmp_path, rotation, size):
    path = write_video(
        tmp_path / "wide.mp4",
        [np.full((48, 64, 3), 100, dtype=np.uint8)] * 3,
        codec="mpeg4",
        rotation=rotation,
        aspect=Fraction(45, 32),
    )
    facts = video_facts(path)
    assert (facts.width, facts.height) == (90, 48)
    assert [frame.image.size for frame in read_frames(path)] == [size] * 3


def test_files_that_are_not_videos_are_refused(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("nothing to see")
    with pytest.raises(DataError, match=r"notes\.mp4 cannot be read as a video\. Use MP4"):
        list(read_frames(text))
    empty = tmp_path / "empty.avi"
    empty.touch()
    with pytest.raises(DataError):
        video_facts(empty)


def test_a_truncated_video_gives_its_readable_frames(tmp_path):
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(20)]
    path = write_video(tmp_path / "a.avi", frames)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0 < len(list(read_frames(path))) < 20


def box(left, top, side=10):
    return DetectedFace(left, top, left + side, top + side, 1.0)


def test_intersection_over_union_by_hand():
    assert overlap(box(0, 0), box(0, 0)) == 1
    assert overlap(box(0, 0), box(10, 0)) == 0
    # 5 x 10 shared, 100 + 100 - 50 covered
    assert overlap(box(0, 0), box(5, 0)) == pytest.approx(50 / 150)


def test_tracked_faces_keep_their_numbers():
    frames = [
        [box(0, 0), box(50, 0)],
        [box(51, 1), box(1, 1)],  # the other order
        [box(2, 2)],  # the second one is not found
        [box(53, 1), box(3, 3), box(80, 80)],  # back again, and somebody new
    ]
    assert track(frames) == [[0, 1], [1, 0], [0], [1, 0, 2]]


def test_a_face_that_reappears_late_gets_a_new_number():
    frames = [[box(0, 0)], [], [], [], [box(0, 0)], [], [], [], [], [box(0, 0)]]
    assert track(frames, patience=3) == [[0], [], [], [], [0], [], [], [], [], [1]]


def test_a_face_is_matched_to_the_largest_overlap():
    # the new face overlaps both: 90/110 with the second, 60/140 with the first
    assert track([[box(0, 0), box(5, 0)], [box(4, 0)]]) == [[0, 1], [1]]


def test_two_faces_never_share_a_number():
    assert track([[box(0, 0)], [box(1, 0), box(2, 0)]]) == [[0], [0, 1]]


def test_a_face_keeps_its_number_for_half_a_second():
    frames = [[box(0, 0)], *[[]] * 10, [box(0, 0)]]
    assert track(frames, [number / 25 for number in range(12)])[-1] == [0]  # after 0.44 s
    assert track(frames, [number / 22 for number in range(12)])[-1] == [0]  # after just 0.5 s
    assert track(frames, [number / 10 for number in range(12)])[-1] == [1]  # after 1.1 s
    slow = [[box(0, 0)], [], [], [], [box(0, 0)]]
    assert track(slow, [0, 1, 2, 3, 4])[-1] == [0]  # three frames, however long
    assert track(frames, [float("nan")] * 12)[-1] == [1]


def test_frames_are_rgb_images(tmp_path):
    (frame, *_) = read_frames(write_video(tmp_path / "a.avi", grey_frames(2)))
    assert isinstance(frame.image, Image.Image)
    assert frame.image.mode == "RGB"


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("libx264", ""), ("libx265", ""), ("libx265", "yuv420p10le"), ("libsvtav1", "yuv420p10le"),
     ("libvpx-vp9", "")],
)  # fmt: skip
def test_codecs_of_phones_and_browsers_are_read(tmp_path, codec, pixel_format):
    frames = [np.full((64, 96, 3), 20 * n, np.uint8) for n in range(6)]
    path = write_video(tmp_path / "a.mkv", frames, codec=codec, pixel_format=pixel_format)
    means = [np.asarray(frame.image).mean() for frame in read_frames(path)]
    np.testing.assert_allclose(means, [0, 20, 40, 60, 80, 100], atol=6)


def test_frames_of_a_variable_rate_have_their_times(tmp_path):
    times = [0.0, 0.1, 0.5, 0.6, 2.0]
    path = write_video(tmp_path / "a.mkv", grey_frames(5, 64), codec="libx264", times=times)
    frames = list(read_frames(path))
    np.testing.assert_allclose([frame.seconds for frame in frames], times, atol=2e-3)
    half = [frame.number for frame in read_frames(path, every=0.5)]
    assert half == [0, 2, 4]


@pytest.mark.parametrize(("turn", "corner"), [(90, (0, 0)), (180, (-1, 0)), (270, (-1, -1))])
def test_the_rotation_of_a_video_is_applied(tmp_path, turn, corner):
    """A file turned by so many degrees against the clock: the bright corner moves with it."""
    pixels = np.full((64, 96, 3), 20, np.uint8)
    pixels[:16, -16:] = 230  # top right
    path = write_video(tmp_path / "a.mp4", [pixels] * 2, codec="libx264", rotation=turn)
    (frame, *_) = read_frames(path)
    grey = np.asarray(frame.image.convert("L"))
    assert frame.image.size == ((64, 96) if turn != 180 else (96, 64))
    assert grey[corner] > 180
    assert sorted(int(grey[c] > 180) for c in ((0, 0), (0, -1), (-1, 0), (-1, -1))) == [0, 0, 0, 1]


def test_an_upload_is_read_from_memory(tmp_path):
    path = write_video(tmp_path / "a.mp4", grey_frames(4), codec="mpeg4")
    upload = io.BytesIO(path.read_bytes())
    assert [frame.number for frame in read_frames(upload, name="mine.mp4")] == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"^mine\.mp4 cannot be read as a video"):
        video_facts(io.BytesIO(b"nothing"), name="mine.mp4")


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_images_are_not_videos(tmp_path, kind):
    path = tmp_path / "a.mp4"
    Image.new("RGB", (64, 64), (200, 100, 50)).save(path, kind)
    with pytest.raises(DataError, match="cannot be read as a video"):
        list(read_frames(path))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animated_pictures_are_videos(tmp_path, kind):
    frames = [Image.new("RGB", (64, 48), (value, 60, 60)) for value in (40, 120, 200)]
    path = tmp_path / "a.mp4"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=200)
    facts = video_facts(path)
    assert (facts.frames, facts.width, facts.height, facts.rate) == (3, 64, 48, 5)
    upload = io.BytesIO(path.read_bytes())
    read = list(read_frames(upload, name="a.gif"))
    assert [(frame.number, frame.seconds) for frame in read] == [(0, 0), (1, 0.2), (2, 0.4)]
    assert [frame.number for frame in read_frames(upload, 0.4)] == [0, 2]


@pytest.fixture
def decoded(monkeypatch):
    """Collects weak references to the frames that are decoded."""
    references, real = [], imaging._decoded

    def decode(*arguments):
        image = real(*arguments)
        references.append(weakref.ref(image))
        return image

    monkeypatch.setattr(imaging, "_decoded", decode)
    return references


def animation(path, count, kind="GIF", duration=200):
    """Noise, so that half of the bytes are about half of the frames."""
    random = np.random.default_rng(0)
    frames = [
        Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(count)
    ]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=duration)
    return path


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_one_frame_of_an_animation_is_in_memory_at_a_time(tmp_path, decoded, kind):
    path = animation(tmp_path / "a.mp4", 12, kind)
    assert video_facts(path).frames == 12
    assert not decoded
    for frame in read_frames(path):
        assert len(decoded) == frame.number + 1
        # the previous one is this loop's until the next is here
        assert sum(image() is not None for image in decoded) <= 2
    assert len(decoded) == 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_rate_of_an_animation_is_that_of_its_delays(tmp_path, kind):
    path = animation(tmp_path / "a.mp4", 3, kind, [100, 300, 4000])
    assert video_facts(path).rate == 5  # two steps in 0.4 seconds
    assert [frame.seconds for frame in read_frames(path)] == [0, 0.1, 0.4]


def test_an_animation_with_too_many_pixels_is_refused_before_decoding(
    tmp_path, decoded, monkeypatch
):
    monkeypatch.setattr(imaging, "MAX_ANIMATION_PIXELS", 11 * 48 * 64)
    path = animation(tmp_path / "a.gif", 12)
    for read in (video_facts, lambda source: next(read_frames(source))):
        with pytest.raises(DataError, match=r"^a\.gif has 12 frames of 64 x 48 .* Scale it down"):
            read(path)
    assert not decoded


def test_a_cut_animation_gives_its_frames_before_the_error(tmp_path):
    path = animation(tmp_path / "a.gif", 10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = read_frames(path)
    assert [next(frames).number for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"a\.gif is damaged or cut off"):
        list(frames)


def test_a_damaged_part_of_a_video_is_left_out(tmp_path):
    path = write_video(tmp_path / "a.avi", grey_frames(12))
    data = bytearray(path.read_bytes())
    start = [match.start() for match in re.finditer(b"00dc", bytes(data))][5] + 8
    data[start : start + 60] = bytes(60)
    path.write_bytes(bytes(data))
    numbers = [frame.number for frame in read_frames(path)]
    assert 10 <= len(numbers) <= 12
    assert numbers == sorted(numbers)
