"""What is installed: the list of requirements and the versions that were tested."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fer_core import __version__

ROOT = Path(__file__).resolve().parent.parent


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


PINS = dict(line.split("==") for line in lines("constraints.txt"))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_to_a_version_that_it_allows(name):
    requirements = [Requirement(line) for line in lines(name)]
    assert {each.name for each in requirements if canonicalize_name(each.name) not in PINS} == set()
    assert [
        str(each)
        for each in requirements
        if not each.specifier.contains(PINS[canonicalize_name(each.name)])
    ] == []


def test_pins_hold_on_every_platform():
    assert [name for name, version in PINS.items() if "+" in version] == []
    assert [name for name in PINS if name.startswith(("nvidia", "cuda", "triton"))] == []


def test_every_make_target_that_a_person_calls_says_what_it_does():
    targets = re.findall(r"^[a-z-]+:(?!=).*", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 10
    assert [line for line in targets if " ## " not in line and "former name" not in line] == []


def test_citation_and_changelog_name_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_calls_only_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {command.split()[0] for command in commands} == {"make"}
    called = {command.split()[1] for command in commands}
    assert called <= targets
    assert {"lint", "types", "test-unit", "test-browser", "wheel"} <= called
