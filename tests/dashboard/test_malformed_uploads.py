"""The pages' way to an upload's faces, under the same bad pictures as the service."""

from dashboard.cache import benchmarks, inference
from fer_core.data.centerface import CenterFaceDetector
from fer_core.errors import ImageError
from tests.support.malformed import uploads


def test_malformed_uploads_do_not_break_the_pages(toy, monkeypatch):
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    # what is damaged but can still be decoded need not be searched for faces, which takes long
    monkeypatch.setattr(CenterFaceDetector, "detect", lambda self, image: ())
    benchmark = benchmarks.benchmark(toy.benchmark)
    files = list(uploads())
    assert len(files) >= 500
    read, refusals = 0, []
    for number, data in enumerate(files):
        name = f"<b>{number}</b>\x00.png"
        try:
            picture = inference.picture.__wrapped__(data, name)
        except ImageError as error:
            refusals.append(str(error))
            continue
        read += 1
        assert picture.mode == "RGB"
        (whole,) = inference.picture_faces(benchmark, data, name, cropped=True).crops
        assert whole.crop.width == min(picture.size)
        assert inference.picture_faces(benchmark, data, name, cropped=False).crops == ()
    assert read < len(files) / 2
    assert not any("\x00" in message for message in refusals)
