"""The service on a toy benchmark, with a detector that needs no real face."""

import pytest
from starlette.testclient import TestClient

from fer_core.serving.app import create_app
from fer_core.serving.settings import Settings
from tests.support.uploads import QuarterDetector


@pytest.fixture(scope="package")
def settings(toy) -> Settings:
    return Settings(artifacts=toy.artifacts, max_body_mib=4, max_file_mib=1, max_files=5)


@pytest.fixture(scope="package")
def client(settings):
    with TestClient(create_app(settings, QuarterDetector())) as client:
        yield client
