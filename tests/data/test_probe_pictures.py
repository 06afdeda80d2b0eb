"""The pictures of a probe: drawn once, cached by their design."""

import numpy as np
import pytest

from fer_core.data import probe_pictures
from fer_core.data.image_changes import IMAGE_CHANGES
from fer_core.data.imaging import SampleFormat
from fer_core.data.probe_pictures import ProbePictures, draw_attribute
from fer_core.data.progress import silent
from fer_core.synthetic.probe_design import ProbeView, attribute_faces


class Executor:
    """Draws in this process, and counts the faces."""

    drawn = 0

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, function, chunks):
        for chunk in chunks:
            Executor.drawn += len(chunk)
            yield np.zeros((len(chunk), 32, 32), np.uint8)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(probe_pictures, "ProcessPoolExecutor", Executor)
    Executor.drawn = 0
    return ProbePictures(SampleFormat(32, colour=False), ProbeView(32), tmp_path)


def test_faces_are_drawn_once_and_damaged_blocks_again(pictures, tmp_path):
    pictures.draw_missing(silent)
    drawn = 5550 + 31 * 200
    assert Executor.drawn == drawn
    pictures.draw_missing(silent)
    assert Executor.drawn == drawn
    next(tmp_path.rglob("glasses.npy")).write_bytes(b"damaged")
    pictures.draw_missing(silent)
    assert Executor.drawn == drawn + 200
    assert pictures.images("glasses").shape == (200, 32, 32)


def test_another_format_is_another_design(pictures, tmp_path):
    other = ProbePictures(SampleFormat(32, colour=True), ProbeView(32), tmp_path)
    assert other.design != pictures.design


def test_a_face_alone_is_that_of_its_block():
    view, stored = ProbeView(32), SampleFormat(32, colour=False)
    block = attribute_faces("shadow")
    (face,) = draw_attribute(block[7:8], view, stored)
    base = draw_attribute(attribute_faces()[7:8], view, stored)
    np.testing.assert_array_equal(face, IMAGE_CHANGES["shadow"](base, [7])[0])
    assert (face != base[0]).any()
