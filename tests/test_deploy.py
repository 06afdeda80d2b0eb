"""The files for containers: what they name exists, and what they promise is set."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from training.lazy import COMMANDS

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / "deploy" / "kubernetes" / "service.yaml"


def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def documents() -> list[dict]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def pod() -> dict:
    return documents()[0]["spec"]["template"]["spec"]


def test_the_image_copies_only_what_exists():
    for line in re.findall(r"^COPY (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source


def test_the_image_does_not_run_as_root_and_has_a_health_check():
    text = (ROOT / "Dockerfile").read_text()
    assert text.index("\nUSER 10001\n") < text.index("ENTRYPOINT")
    assert "HEALTHCHECK" in text


@pytest.mark.parametrize("name", ["dashboard-1", "dashboard-2", "service"])
def test_containers_have_read_only_artifacts_and_a_known_command(name):
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert "./artifacts:/app/artifacts:ro" in service["volumes"]
    assert service["command"][0] in COMMANDS


def test_the_proxy_keeps_visitors_on_one_of_the_dashboards():
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    upstreams = re.search(r"reverse_proxy (.+) \{", text).group(1).split()
    dashboards = [name for name in compose()["services"] if name.startswith("dashboard")]
    assert upstreams == [f"{name}:8501" for name in dashboards]
    assert "lb_policy cookie" in text


def test_a_pod_waits_for_its_models_and_ends_gracefully():
    container = pod()["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert {"name": "FERSCOPE_PRELOAD", "value": "1"} in container["env"]
    stop = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= stop + 30  # uvicorn's limit
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod()["securityContext"]["runAsNonRoot"] is True


def test_selectors_match_the_pods():
    labels = documents()[0]["spec"]["template"]["metadata"]["labels"]
    assert documents()[0]["spec"]["selector"]["matchLabels"] == labels
    assert documents()[1]["spec"]["selector"] == labels
    assert documents()[2]["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None,
    reason="pip install kubernetes-validate",
)
@pytest.mark.parametrize("index", range(3))
def test_the_manifest_fits_the_schema_of_kubernetes(index):
    import kubernetes_validate

    kubernetes_validate.validate(documents()[index], "1.31", strict=True)
