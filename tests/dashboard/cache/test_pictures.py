"""Pictures as data URLs."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dashboard.cache import pictures
from dashboard.cache.pictures import data_url


def opened(url: str) -> Image.Image:
    head, _, content = url.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("side", [48, 200])
def test_a_url_holds_the_picture(mode, side):
    ramp = np.linspace(0, 255, side * side).reshape(side, side).astype(np.uint8)
    picture = Image.fromarray(ramp).convert(mode)
    shown = opened(data_url(picture))
    assert shown.size == (side, side)
    np.testing.assert_allclose(
        np.asarray(shown.convert("L"), float), np.asarray(picture.convert("L"), float), atol=12
    )


def test_a_small_picture_is_encoded_once_and_others_differ(monkeypatch):
    calls = []
    encode = pictures._encoded
    monkeypatch.setattr(pictures, "_encoded", lambda one: calls.append(1) or encode(one))
    pictures._kept.cache_clear()
    grey = Image.new("L", (48, 48), 9)
    assert data_url(grey) == data_url(grey.copy())
    assert len(calls) == 1
    for other in (Image.new("L", (48, 48), 99), Image.new("L", (24, 96), 9)):
        assert data_url(other) != data_url(grey)
    assert len(calls) == 3
