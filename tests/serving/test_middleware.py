"""Who may call: API keys, web origins, and both behind a path prefix."""

import hashlib
import logging

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from fer_core.serving.app import create_app
from fer_core.serving.middleware import ApiKeys, route_path
from fer_core.serving.settings import Settings
from tests.support.uploads import QuarterDetector, files, png

ORIGIN = "https://app.example"


def digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


KEY = "correct horse"
HASH = digest(KEY.encode())


def serve(toy, root_path="", **options):
    settings = Settings(artifacts=toy.artifacts, **options)
    return TestClient(create_app(settings, QuarterDetector()), root_path=root_path)


class TestKeys:
    def test_a_request_without_the_key_is_refused(self, toy):
        with serve(toy, api_keys=HASH) as client:
            answer = client.get("/v1/models")
            assert (answer.status_code, answer.json()["error"]) == (401, "unknown_key")
            for wrong in ("wrong", ""):
                assert client.get("/v1/models", headers={"X-API-Key": wrong}).status_code == 401
            assert client.get("/v1/models", headers={"X-API-Key": KEY}).status_code == 200
            assert client.get("/metrics").status_code == 401
            assert client.options("/v1/models").status_code == 401
            assert client.get("/v1/ready").status_code == 200

    def test_a_key_that_is_no_hash_is_refused_at_the_start(self, toy):
        with pytest.raises(ValueError, match="sha256sum"):
            Settings(artifacts=toy.artifacts, api_keys=KEY)

    @pytest.mark.parametrize("content", ["", ",", "\n", " , "])
    def test_a_variable_without_a_hash_is_refused_at_the_start(self, content):
        with pytest.raises(ValueError, match="FERSCOPE_API_KEYS is set but has no hash"):
            Settings.from_environment({"FERSCOPE_API_KEYS": content})

    def test_without_the_variable_there_are_no_keys(self):
        assert Settings.from_environment({}).api_keys == ()

    def test_the_hash_of_an_empty_key_is_refused_at_the_start(self):
        with pytest.raises(ValueError, match="hash of an empty key"):
            Settings.from_environment({"FERSCOPE_API_KEYS": f"{HASH},{digest(b'')}"})

    @pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}])
    def test_an_empty_key_is_refused_whatever_the_hashes(self, headers):
        app = ApiKeys(PlainTextResponse("secret"), hashes=[digest(b"")], public=())
        assert TestClient(app).get("/", headers=headers).status_code == 401

    def test_a_key_may_have_any_letters(self, toy):
        key = "schlüssel-ключ".encode()
        with serve(toy, api_keys=digest(key)) as client:
            assert client.get("/v1/models", headers={"X-API-Key": key}).status_code == 200
            assert client.get("/v1/models", headers={"X-API-Key": key[:-2]}).status_code == 401


class TestPathPrefix:
    """`uvicorn --root-path /fer`: the path of a request begins with the prefix."""

    @pytest.mark.parametrize(
        ("root", "path", "expected"),
        [
            ("", "/health", "/health"),
            ("/fer", "/fer/health", "/health"),
            ("/fer", "/fer/v1/health", "/v1/health"),
            ("/fer", "/ferret/health", "/ferret/health"),
            ("/fer", "/health", "/health"),
            ("/fer/", "/fer//health", "/health"),
        ],
    )
    def test_the_prefix_is_removed_as_the_routes_do(self, root, path, expected):
        assert route_path({"path": path, "root_path": root}) == expected

    def test_probes_and_docs_need_no_key(self, toy):
        with serve(toy, root_path="/fer", api_keys=HASH) as client:
            for path in ("/health", "/v1/health", "/ready", "/docs", "/openapi.json"):
                assert client.get(f"/fer{path}").status_code == 200, path
            for path in ("/v1/models", "/models", "/metrics"):
                assert client.get(f"/fer{path}").status_code == 401, path
                known = client.get(f"/fer{path}", headers={"X-API-Key": KEY})
                assert known.status_code == 200, path

    def test_metrics_and_deprecation_know_the_routes(self, toy):
        with serve(toy, root_path="/fer") as client:
            answer = client.get("/fer/models")
            text = client.get("/fer/metrics").text
        assert answer.headers["deprecation"].startswith("@")
        assert answer.headers["link"] == '</fer/v1/models>; rel="successor-version"'
        assert 'ferscope_requests_total{path="/models",status="200"} 1.0' in text
        assert 'path="other"' not in text


class TestOrigins:
    def test_only_listed_origins_may_call(self, toy):
        with serve(toy, cors_origins=f"{ORIGIN}, https://b.example") as client:
            for origin, allowed in (("https://b.example", True), ("https://evil.example", False)):
                answer = client.get("/v1/models", headers={"Origin": origin})
                assert (answer.headers.get("access-control-allow-origin") == origin) is allowed

    def test_a_browser_may_ask_without_the_key_and_read_the_refusal(self, toy):
        with serve(toy, api_keys=HASH, cors_origins=ORIGIN) as client:
            question = client.options(
                "/v1/predict",
                headers={
                    "Origin": ORIGIN,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "x-api-key",
                },
            )
            refused = client.get("/v1/models", headers={"Origin": ORIGIN})
        assert question.status_code == 200
        assert refused.status_code == 401
        for answer in (question, refused):
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert answer.headers["x-request-id"]

    def test_a_page_can_read_the_headers_that_the_docs_name(self, toy):
        with serve(toy, cors_origins=ORIGIN) as client:
            answer = client.get("/v1/models", headers={"Origin": ORIGIN})
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert exposed >= {"X-Request-ID", "Retry-After", "Deprecation", "Link", "X-Method"}

    def test_a_page_can_read_an_unexpected_error(self, toy, monkeypatch, caplog):
        from fer_core.serving.service import Service

        async def fail(*_, **__):
            raise ZeroDivisionError("a secret")

        monkeypatch.setattr(Service, "predict", fail)
        with serve(toy, cors_origins=ORIGIN) as client, caplog.at_level(logging.ERROR):
            answer = client.post("/predict", files=files(png(0)), headers={"Origin": ORIGIN})
        assert answer.status_code == 500
        assert answer.headers["access-control-allow-origin"] == ORIGIN


PROTECTED = {"/v1/metrics", "/v1/models", "/v1/predict", "/v1/explain"}


class TestDescription:
    def operations(self, client):
        paths = client.get("/openapi.json").json()["paths"]
        return {path: next(iter(methods.values())) for path, methods in paths.items()}

    def test_the_docs_ask_for_the_key_where_it_is_needed(self, toy):
        with serve(toy, api_keys=HASH) as client:
            description = client.get("/openapi.json").json()
            operations = self.operations(client)
            assert client.get("/v1/models", headers={"X-API-Key": KEY}).status_code == 200
        (scheme,) = description["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "X-API-Key")
        assert {path for path, item in operations.items() if "security" in item} == PROTECTED
        refusing = {path for path, item in operations.items() if "401" in item["responses"]}
        assert refusing == PROTECTED

    def test_without_keys_the_docs_ask_for_none(self, client):
        operations = self.operations(client)
        assert not any("security" in operation for operation in operations.values())
        assert "401" in operations["/v1/models"]["responses"]
