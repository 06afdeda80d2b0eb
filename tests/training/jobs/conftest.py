"""A Ray cluster for the tests of commands that run on one."""

import pytest


@pytest.fixture(scope="session")
def cluster():
    """Two workers on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed; `make test-ray` installs it")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
