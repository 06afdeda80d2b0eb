"""Changes of finished pictures."""

import numpy as np
import pytest

from fer_core.data.image_changes import IMAGE_CHANGES
from fer_core.synthetic.attributes import ATTRIBUTES

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize("name", IMAGE_CHANGES)
def test_a_change_keeps_the_format_and_depends_on_the_key_only(name):
    changed = IMAGE_CHANGES[name](PICTURES, [0, 1, 2])
    assert (changed.shape, changed.dtype) == (PICTURES.shape, np.uint8)
    assert (changed != PICTURES).any()
    np.testing.assert_array_equal(IMAGE_CHANGES[name](PICTURES[2:], [2])[0], changed[2])


def test_mirroring_twice_is_the_picture():
    mirror = IMAGE_CHANGES["mirror"]
    np.testing.assert_array_equal(mirror(mirror(PICTURES, []), []), PICTURES)


def test_every_change_is_an_attribute_of_drawn_faces():
    assert {item.image_change for item in ATTRIBUTES.values()} - {""} == set(IMAGE_CHANGES)
