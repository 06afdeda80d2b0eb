"""What is installed: the list of requirements and the versions that were tested."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from fer_core import __version__, project
from fer_core.errors import ArtifactError
from training import __main__ as cli

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


def test_every_public_make_target_has_a_description():
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names in a wheel that is built from a copy of the packages, and its entry points."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("fer_core", "training", "dashboard"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("*.txt"), *ROOT.glob("*.toml"), ROOT / "README.md", ROOT / "LICENSE"]:
        shutil.copy(path, copy)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        entries = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        return set(archive.namelist()), archive.read(entries).decode()


def test_the_wheel_has_every_module_recipe_view_and_example(wheel):
    names, _ = wheel
    packages = [ROOT / name for name in ("fer_core", "training", "dashboard")]
    files = [
        path
        for package in packages
        for pattern in ("**/*.py", "**/*.yaml", "**/*.jpg", "**/*.safetensors")
        for path in package.glob(pattern)
    ]
    expected = {path.relative_to(ROOT).as_posix() for path in files}
    assert len(expected) > 200
    assert expected - names == set()
    assert "dashboard/.streamlit/config.toml" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "artifacts"))]


def test_the_wheel_installs_the_command_ferscope(wheel):
    assert "ferscope = training.__main__:main" in wheel[1].splitlines()


@pytest.mark.parametrize("command", ["dashboard", "serve"])
def test_a_server_without_benchmarks_names_the_remedy(command, tmp_path):
    result = CliRunner().invoke(cli.app, [command, "--artifacts", str(tmp_path)])
    assert isinstance(result.exception, ArtifactError)
    assert re.search("no benchmark in .*--artifacts.*FERSCOPE_ARTIFACTS", str(result.exception))


def test_the_default_artifacts_are_those_of_the_working_directory_outside_a_checkout(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("FERSCOPE_ARTIFACTS", raising=False)
    assert project.artifacts_root() == ROOT / "artifacts"
    monkeypatch.setattr(project, "ROOT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert project.artifacts_root() == tmp_path / "artifacts"
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", "/elsewhere")
    assert project.artifacts_root() == Path("/elsewhere")
