"""The pages' way to an upload's faces, under the same bad pictures as the service."""

import pytest

from dashboard.cache import benchmarks
from fer_core.data.faces import DlibDetector
from fer_core.errors import ImageError
from tests.support.malformed import uploads


def test_no_upload_breaks_the_pages(toy, monkeypatch):
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    # what is damaged but can still be decoded need not be searched for faces, which takes long
    monkeypatch.setattr(DlibDetector, "detect", lambda self, image: ())
    chosen = benchmarks.benchmark("toy")
    given = list(uploads())
    assert len(given) >= 500
    read, refusals = 0, []
    for number, data in enumerate(given):
        name = f"<b>{number}</b>\x00.png"
        try:
            picture = benchmarks.picture.__wrapped__(data, name)
        except ImageError as error:
            refusals.append(str(error))
            continue
        read += 1
        assert picture.mode == "RGB"
        (whole,) = benchmarks.face_crops(chosen, data, name, cropped=True)
        assert whole.crop.width == min(picture.size)
        with pytest.raises(ImageError, match="No face was found"):
            benchmarks.face_crops(chosen, data, name, cropped=False)
    assert read < len(given) / 2
    assert not any("\x00" in message for message in refusals)
