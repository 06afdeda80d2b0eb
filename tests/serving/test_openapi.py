"""The description is true: requests made up from it never break the service."""

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode, checks

from fer_core.serving.app import create_app
from tests.support.uploads import QuarterDetector


@pytest.fixture(scope="module")
def described(settings):
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(settings, QuarterDetector()))


RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        ("/v1/health", "GET", RIGHT),
        ("/v1/ready", "GET", RIGHT),
        ("/v1/metrics", "GET", RIGHT),
        ("/v1/models", "GET", RIGHT),
        ("/v1/predict", "POST", RIGHT),
        ("/v1/predict", "POST", WRONG),
        ("/v1/explain", "POST", RIGHT),
        ("/v1/explain", "POST", WRONG),
    ],
)
def test_generated_requests_match_the_openapi_schema(described, path, method, mode):
    operation = described[path][method]

    @hypothesis.settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def holds(case):
        # Bytes that the description allows need be no picture: a refusal is right.
        case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])

    holds()


def test_the_openapi_schema_has_examples(client):
    description = client.get("/openapi.json").json()
    names = ("health", "ready", "metrics", "models", "predict", "explain")
    assert set(description["paths"]) == {f"/v1/{name}" for name in names}
    shares = description["components"]["schemas"]["ModelPrediction"]["properties"]["calibrated"]
    assert sum(shares["examples"][0].values()) == pytest.approx(1)
    body = description["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert body["multipart/form-data"]["schema"]["properties"]["files"]["maxItems"] == 5
    assert client.get("/docs").status_code == 200
