"""Operating the service: readiness, metrics, request ids, slow clients."""

import json
import logging

from starlette.testclient import TestClient

from fer_core.serving import uploads
from fer_core.serving.app import create_app
from fer_core.serving.settings import Settings
from tests.support.uploads import HEAD, QuarterDetector, call, files, png


def serve(toy, **options):
    return TestClient(create_app(Settings(artifacts=toy.artifacts, **options), QuarterDetector()))


def test_metrics_count_requests_refusals_and_batches(toy):
    with serve(toy) as client:
        assert client.post("/v1/predict", files=files(png(0), png(1))).status_code == 200
        assert client.post("/v1/predict", files=files(b"")).status_code == 422
        client.get("/nowhere/at/all")
        text = client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert lines['ferscope_requests_total{path="/predict",status="200"}'] == "1.0"
    assert lines['ferscope_requests_total{path="/predict",status="422"}'] == "1.0"
    assert lines['ferscope_requests_total{path="other",status="404"}'] == "1.0"
    assert lines["ferscope_batch_faces_sum"] == "2.0"
    assert lines['ferscope_request_seconds_count{path="/predict"}'] == "2.0"
    assert float(lines["ferscope_models_loaded"]) >= 1
    assert float(lines["ferscope_models_bytes"]) > 0
    assert sum(float(value) for name, value in lines.items() if "refusals_total" in name) == 1


def test_the_request_id_is_the_clients_or_a_new_one(client, caplog):
    with caplog.at_level(logging.INFO, "fer_core.serving.access"):
        assert (
            client.get("/v1/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"]
            == "abc-1"
        )
        made = client.get("/v1/health", headers={"X-Request-ID": "a b\t<script>"})
    assert len(made.headers["x-request-id"]) == 32
    first = json.loads(caplog.records[0].message)
    assert first.pop("milliseconds") >= 0
    assert first == {"request_id": "abc-1", "method": "GET", "path": "/health", "status": 200}


def test_old_addresses_answer_and_name_the_new_one(client):
    old, new = client.get("/models"), client.get("/v1/models")
    assert old.json() == new.json()
    assert old.headers["link"] == '</v1/models>; rel="successor-version"'
    assert old.headers["deprecation"].startswith("@")
    assert "deprecation" not in new.headers
    assert "deprecation" not in client.get("/health").headers


class TestReadiness:
    def test_a_service_with_models_is_ready(self, client):
        assert client.get("/ready").json() == {"ready": True, "problems": []}

    def test_a_full_disk_and_an_old_copy_are_named(self, toy, monkeypatch):
        from fer_core.serving import service

        monkeypatch.setattr(service, "LEAST_FREE_BYTES", 2**80)
        monkeypatch.setattr(service, "_is_stale", lambda run: run.run_id == "resnet34-cpu-s0")
        with serve(toy) as client:
            answer = client.get("/ready")
        assert answer.status_code == 503
        disk, copy = answer.json()["problems"]
        assert disk.endswith("of disk are free")
        assert copy == "the ONNX copy of resnet34-cpu-s0 is older than its weights"

    def test_it_is_not_ready_before_models_are_loaded(self, toy, monkeypatch):
        import threading

        from fer_core.serving.service import BatchPredictor

        go, answer = threading.Event(), BatchPredictor.__call__

        def wait(self, *arguments):
            go.wait(30)
            return answer(self, *arguments)

        monkeypatch.setattr(BatchPredictor, "__call__", wait)
        with serve(toy, preload=True) as client:
            assert client.get("/ready").json()["problems"] == ["models are being loaded"]
            assert client.get("/health").status_code == 200
            go.set()
            for _ in range(600):
                if client.get("/ready").status_code == 200:
                    break
            assert client.get("/health").json()["models_loaded"] >= 1


def test_a_client_that_sends_almost_nothing_is_given_up(toy, monkeypatch):
    """At 1 KiB/s, 200 bytes buy a fifth of a second."""
    import asyncio
    import time

    from fer_core.serving.service import Service

    monkeypatch.setattr(uploads, "GRACE_SECONDS", 0.1)
    settings = Settings(artifacts=toy.artifacts, min_upload_kib_s=1, upload_seconds=30)
    app = create_app(settings, QuarterDetector())
    app.state.service = Service(settings, QuarterDetector())
    sent = []

    async def receive():
        if sent:
            await asyncio.sleep(10)
        sent.append(1)
        return {"type": "http.request", "body": HEAD + b"x" * 100, "more_body": True}

    start = time.perf_counter()
    status, answer = call(app, receive)
    assert (status, answer["error"]) == (408, "too_slow")
    assert "slower than 1 KiB per second" in answer["detail"]
    assert time.perf_counter() - start < 5
    app.state.service.close()
