"""Limits hold before much is read, say what to do, and nothing touches the disk."""

import asyncio
import os
import sys
import threading

import pytest
from starlette.testclient import TestClient

from fer_core.serving import uploads
from fer_core.serving.app import create_app
from fer_core.serving.settings import Settings
from tests.support.uploads import (
    BOUNDARY,
    HEAD,
    TAIL,
    QuarterDetector,
    call,
    files,
    png,
    png_claiming,
)


@pytest.fixture(scope="module")
def app(settings):
    """The application with its service, outside of any client."""
    from fer_core.serving.service import Service

    app = create_app(settings, QuarterDetector())
    app.state.service = Service(settings, QuarterDetector())
    yield app
    app.state.service.close()


def endless(chunk, read, first=HEAD):
    async def receive():
        read.append(len(chunk))
        body = first if len(read) == 1 else chunk
        return {"type": "http.request", "body": body, "more_body": True}

    return receive


def test_a_declared_length_is_refused_without_reading(app):
    read = []
    status, answer = call(app, endless(b"x", read), [(b"content-length", str(5 * 2**20).encode())])
    assert (status, answer["error"]) == (413, "body_too_large")
    assert "limit of 4 MiB" in answer["detail"]
    assert not read


def test_an_undeclared_length_is_refused_while_streaming(app):
    read = []
    status, answer = call(app, endless(bytes(2**16), read))
    assert (status, answer["error"]) == (413, "file_too_large")  # 1 MiB a file comes first
    assert sum(read) <= 2**20 + 2 * 2**16
    read = []
    part = HEAD + bytes(2**19) + b"\r\n"
    status, answer = call(app, endless(part, read, part))
    assert (status, answer["error"]) == (422, "too_many_files")
    read = []
    status, answer = call(app, endless(b"x" * 2**16, read, b"x" * 2**16))  # never a part at all
    assert status in (400, 413)
    assert sum(read) <= 4 * 2**20 + 2**17


def test_a_false_content_length_is_refused(app):
    status, answer = call(app, endless(bytes(2**16), []), [(b"content-length", b"10")])
    assert (status, answer["error"]) == (413, "file_too_large")
    for odd in (b"-5", b"9" * 400, b"\xb2", b"1e9"):
        status, _ = call(app, endless(bytes(2**18), []), [(b"content-length", odd)])
        assert status == 413


def test_a_slow_upload_times_out(toy):
    from fer_core.serving.service import Service

    settings = Settings(artifacts=toy.artifacts, upload_seconds=0.05)
    app = create_app(settings, QuarterDetector())
    app.state.service = Service(settings, QuarterDetector())

    async def receive():
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"", "more_body": True}

    status, answer = call(app, receive)
    assert (status, answer["error"]) == (408, "too_slow")
    assert "0.05 seconds" in answer["detail"]
    app.state.service.close()


def test_a_disconnected_client_frees_its_slot(app):
    messages = iter(
        [{"type": "http.request", "body": HEAD, "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive():
        return next(messages)

    assert call(app, receive)[0] == 400
    assert app.state.service.gate.inside == 0


def test_too_many_requests_get_retry_after(toy):
    settings = Settings(artifacts=toy.artifacts, max_requests=2)
    with TestClient(create_app(settings, QuarterDetector())) as client:
        gate = client.app.state.service.gate
        with gate.entered(), gate.entered():
            answer = client.post("/predict", files=files(png(0)))
            assert (answer.status_code, answer.json()["error"]) == (503, "busy")
            assert int(answer.headers["retry-after"]) >= 1
            assert client.get("/health").status_code == 200
        for _ in range(3):  # refused requests give their place back too
            assert client.post("/predict", files=files(b"")).status_code == 422
        assert gate.inside == 0


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({"content": b"abc"}, 415, "not_multipart"),
        ({"json": {"files": "abc"}}, 415, "not_multipart"),
        ({"data": {"files": "abc"}}, 415, "not_multipart"),
        ({"files": [("files", (None, "text"))]}, 422, "not_a_file"),
        ({"files": [("other", b"abc")]}, 422, "unknown_field"),
        ({"files": [("files", (f"{n}.png", b"x")) for n in range(6)]}, 422, "too_many_files"),
        ({"files": [("files", ("a.png", b""))]}, 422, "not_a_picture"),
        ({"files": [("files", ("a.png", bytes(2**20 + 1)))]}, 413, "file_too_large"),
    ],
)  # fmt: skip
def test_invalid_forms_are_refused(client, sent, status, error):
    answer = client.post("/predict", **sent)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--frontier--\r\n",
        HEAD + png(0),
        b"--other\r\n\r\n\r\n--other--\r\n",
        b"--frontier\r\n" * 50,
        b"--frontier\r\nX: " + b"y" * 100_000,
        HEAD[:40],
        HEAD.replace(b"name", b"nome") + b"x" + TAIL,
    ],
)
def test_malformed_forms_are_refused(client, body):
    content_type = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    answer = client.post("/predict", content=body, headers={"content-type": content_type})
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def with_header(name: bytes, value: bytes) -> bytes:
    """A form of one image whose part has a further header."""
    return HEAD[:-2] + name + b": " + value + b"\r\n\r\n" + png(0) + TAIL


class TestHeadersOfAPart:
    def send(self, app, body, size=2**16):
        chunks = [body[start : start + size] for start in range(0, len(body), size)]

        async def receive():
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

        return call(app, receive, path="/v1/predict")

    @pytest.mark.parametrize("size", [100, 2**16])
    def test_a_header_may_have_8_kib(self, app, size):
        body = with_header(b"X", b"y" * (uploads.MAX_HEADER - len("X: ")))
        assert self.send(app, body, size)[0] == 200

    @pytest.mark.parametrize("size", [100, 2**16])
    @pytest.mark.parametrize(
        ("name", "value"),
        [(b"X", b"y" * (8192 - 2)), (b"X" * 8192, b"y"), (b"X", b" " * 8192 + b"y")],
        ids=["value", "name", "spaces"],
    )
    def test_a_longer_one_is_refused(self, app, name, value, size):
        status, answer = self.send(app, with_header(name, value), size)
        assert (status, answer["error"]) == (400, "malformed_form")
        assert "longer than 8 KiB" in answer["detail"]

    def test_an_endless_header_is_not_collected(self, app):
        read = []
        first = b"--frontier\r\nX: "
        status, answer = call(app, endless(b"y" * 1024, read, first))
        assert (status, answer["error"]) == (400, "malformed_form")
        assert sum(read) <= uploads.MAX_HEADER + 2 * 1024

    def test_too_many_headers_are_refused(self, app):
        status, answer = self.send(app, with_header(b"X", b"y\r\nX: y" + b"\r\nX: y" * 8))
        assert (status, answer["error"]) == (400, "malformed_form")
        assert "more than 8 headers" in answer["detail"]


class TestFacesOfARequest:
    def test_more_faces_than_the_limit_are_refused(self, toy):
        settings = Settings(artifacts=toy.artifacts, max_faces=3)
        query = "?runs=resnet34-cpu-s0"
        with TestClient(create_app(settings, QuarterDetector())) as client:
            answer = client.post("/predict" + query, files=files(png(0, 1), png(2, 3)))
            assert (answer.status_code, answer.json()["error"]) == (422, "too_many_faces")
            assert "has 4 faces, more than the limit of 3" in answer.json()["detail"]
            fewer = client.post("/predict" + query, files=files(png(0, 1), png(2)))
            assert fewer.status_code == 200
            shown = client.post(
                "/explain?run=resnet34-cpu-s0&face=3", files=files(png(0, 1, 2, 3), field="file")
            )
            assert shown.status_code == 200  # it predicts one face only

    def test_the_limit_is_200_by_default(self):
        assert Settings.from_environment({}).max_faces == 200
        assert Settings.from_environment({"FERSCOPE_MAX_FACES": "7"}).max_faces == 7


@pytest.mark.parametrize("boundary", ["", "x" * 5000, '"', "\\", ";;=;", "a\tb"])
def test_unusual_boundaries_are_parsed(client, boundary):
    content_type = f"multipart/form-data; boundary={boundary}"
    answer = client.post("/predict", content=HEAD + TAIL, headers={"content-type": content_type})
    assert 400 <= answer.status_code < 500


def test_too_many_pixels_are_refused_by_the_header(client):
    answer = client.post("/predict", files=files(png_claiming(60_000, 60_000)))
    assert answer.status_code == 422
    assert "million" in answer.json()["detail"]


_opened: list[str] = []
_watched: set[int] = set()


def _note_writes(event, arguments):
    if event == "open" and _watched:
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _opened.append(str(path))


def test_nothing_is_written_to_disk(toy):
    """A file far above the size at which form parsers spool to disk."""
    import io

    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert len(buffer.getvalue()) > 2 * 2**20
    with TestClient(create_app(Settings(artifacts=toy.artifacts), QuarterDetector())) as client:
        address = "/predict?cropped=true&runs=resnet34-cpu-s0"
        assert client.post(address, files=files(png(0))).status_code == 200  # loads the model
        sys.addaudithook(_note_writes)
        _watched.add(threading.get_ident())
        try:
            answer = client.post(address, files=files(buffer.getvalue(), buffer.getvalue()))
            shown = client.post(
                "/explain?cropped=true&run=resnet34-cpu-s0",
                files=files(buffer.getvalue(), field="file"),
            )
        finally:
            _watched.clear()
    assert (answer.status_code, shown.status_code) == (200, 200)
    assert [path for path in _opened if path != os.devnull] == []
