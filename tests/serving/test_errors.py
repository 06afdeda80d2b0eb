"""Errors of the service itself: the response has no internals, and the log has the trace."""

import logging

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from fer_core.serving.app import create_app
from fer_core.serving.errors import UnexpectedErrors
from fer_core.serving.service import Service
from tests.support.uploads import QuarterDetector, files, png


class FailingDetector(QuarterDetector):
    """Fails on images that are 64 pixels wide."""

    def detect(self, image):
        if image.width == 64:
            raise RuntimeError("a secret")
        return super().detect(image)


@pytest.fixture
def failing(settings):
    with TestClient(create_app(settings, FailingDetector())) as client:
        yield client


class TestUnexpectedErrors:
    def test_the_response_is_a_problem_with_the_request_id(self, client, monkeypatch, caplog):
        async def fail(*_, **__):
            raise ZeroDivisionError("a secret")

        monkeypatch.setattr(Service, "predict", fail)
        with caplog.at_level(logging.ERROR, "fer_core.serving.errors"):
            answer = client.post("/predict", files=files(png(0)), headers={"X-Request-ID": "abc-1"})
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] == "abc-1"
        assert answer.json() == {
            "error": "internal_error",
            "detail": "The service failed unexpectedly. Give its operator the request id abc-1: "
            "the server's log has the cause.",
        }
        (record,) = caplog.records
        assert record.getMessage() == "request abc-1 failed"
        assert record.exc_info[0] is ZeroDivisionError

    def test_the_metrics_count_it(self, client, monkeypatch):
        def fail(*_):
            raise ZeroDivisionError

        before = client.get("/metrics").text
        monkeypatch.setattr(Service, "problems", fail)
        assert client.get("/ready").status_code == 500
        counter = 'ferscope_requests_total{path="/ready",status="500"} 1.0'
        assert counter not in before
        assert counter in client.get("/metrics").text

    def test_a_response_that_has_begun_is_not_followed_by_another(self):
        async def app(scope, receive, send):
            await PlainTextResponse("half")(scope, receive, send)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            TestClient(UnexpectedErrors(app)).get("/")


class TestOneImage:
    """An unexpected exception in the detection of faces."""

    def test_it_costs_only_that_image(self, failing, caplog):
        with caplog.at_level(logging.ERROR, "fer_core.serving.pictures"):
            answer = failing.post("/predict", files=files(png(0), png(0, side=64), png(1)))
        assert answer.status_code == 200
        images = answer.json()["images"]
        assert [len(image["faces"]) for image in images] == [1, 0, 1]
        assert [image["problem"] is None for image in images] == [True, False, True]
        assert images[1]["problem"].startswith("1.png could not be processed")
        assert "a secret" not in answer.text
        (record,) = caplog.records
        assert record.exc_info[0] is RuntimeError
        assert answer.headers["x-request-id"] in record.getMessage()
        assert "1.png" not in caplog.text  # file names are not logged

    def test_alone_it_is_an_error_of_the_service(self, failing):
        answer = failing.post("/predict", files=files(png(0, side=64)))
        assert (answer.status_code, answer.json()["error"]) == (500, "failed_picture")
        assert "could not be processed" in answer.json()["detail"]
        assert answer.headers["x-request-id"]
