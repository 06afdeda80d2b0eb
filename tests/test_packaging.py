"""What is installed: the list of requirements and the versions that were tested."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from fer_core import __version__, project
from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from tests.support import write_licenses, write_lock
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


def locked(name: str) -> dict[str, Requirement]:
    """The requirements of a lock and of those that it includes; each must have a hash."""
    result = {}
    for entry in "\n".join(lines(name)).replace(" \\\n", " ").splitlines():
        if entry.startswith("-r "):
            result |= locked(entry.removeprefix("-r "))
            continue
        pin, *hashes = re.split(r" +--hash=", entry)
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), entry
        requirement = Requirement(pin)
        result[requirement.name] = requirement
    return result


@pytest.mark.parametrize("name", ["requirements", "requirements-light"])
def test_a_lock_has_every_requirement_in_its_tested_version(name):
    versions = {key: str(each.specifier) for key, each in locked(f"{name}.lock").items()}
    assert len(versions) > 60
    needed = {canonicalize_name(Requirement(line).name) for line in lines(f"{name}.txt")}
    assert needed - set(versions) == set()  # after a change of either: make lock
    assert {key for key in versions if key in PINS and versions[key] != f"=={PINS[key]}"} == set()


@pytest.mark.parametrize("name", ["requirements", "requirements-light"])
def test_a_lock_is_closed_and_leaves_no_pin_out_without_a_marker(name):
    requirements = locked(f"{name}.lock")
    unpinned = {key for key, each in requirements.items() if key not in PINS and not each.marker}
    assert unpinned <= {"setuptools"}  # torch needs it; `make constraints` leaves it out
    missing = {
        needed.name
        for key in requirements
        if key in PINS
        for needed in map(Requirement, distribution(key).requires or ())
        if needed.marker is None and canonicalize_name(needed.name) not in requirements
    }
    assert missing == set()


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.lock")), ids=lambda path: path.name)
def test_a_lock_names_no_index(path):
    assert not re.search(r"://|index|find-links|trusted", path.read_text())


@pytest.mark.parametrize(
    ("interpreter", "abi", "platform", "expected"),
    [
        ("py3", "none", "any", True),
        ("py2", "none", "any", False),
        ("cp311", "cp311", "manylinux_2_28_x86_64", True),
        ("cp311", "cp311", "manylinux2014_aarch64", True),
        ("cp311", "cp311", "musllinux_1_2_x86_64", False),
        ("cp312", "cp312", "manylinux_2_28_x86_64", False),
        ("cp39", "abi3", "win_amd64", True),
        ("cp312", "abi3", "win_amd64", False),
        ("cp39", "cp39", "win_amd64", False),
        ("cp311", "cp311", "win32", False),
        ("cp311", "cp311", "macosx_11_0_arm64", True),
        ("cp311", "cp311", "macosx_10_9_x86_64", False),
        ("pp311", "pypy311_pp73", "manylinux_2_28_x86_64", False),
    ],
)
def test_which_wheels_a_lock_has(interpreter, abi, platform, expected):
    assert write_lock.fits(Tag(interpreter, abi, platform)) is expected


def test_a_lock_has_the_source_archive_only_of_a_package_without_a_wheel():
    def file(name: str, digest: str) -> dict[str, object]:
        return {"url": f"https://index.invalid/{name}", "hashes": {"sha256": digest * 64}}

    wheels = [file("a-1-py3-none-win_arm64.whl", "c"), file("a-1-py3-none-any.whl", "b")]
    package = {"name": "a", "version": "1", "sdist": file("a-1.tar.gz", "a"), "wheels": wheels}
    assert write_lock.requirement(package) == f"a==1 \\\n  --hash=sha256:{'b' * 64}\n"
    package |= {"wheels": wheels[:1], "marker": "sys_platform == 'linux'"}
    expected = f"a==1 ; sys_platform == 'linux' \\\n  --hash=sha256:{'a' * 64}\n"
    assert write_lock.requirement(package) == expected
    del package["sdist"]
    with pytest.raises(ValueError, match="a 1 has no file"):
        write_lock.requirement(package)


def test_the_page_of_licences_has_every_package_and_all_weights():
    text = (ROOT / "docs/licenses.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+) \|(?: [^|]+ \|)? ([^|]+) \|$", text, re.MULTILINE))
    assert set(PINS) - set(rows) == set()  # after a change of either: make licenses
    runs = {
        f"`{benchmark.name}/{run.run_id}`"
        for benchmark in ArtifactStore(ROOT / "artifacts").benchmarks()
        for run in benchmark.runs()
        if run.weights_path.exists()
    }
    assert runs
    assert runs - set(rows) == set()
    for name in ("timm", "torch"):
        assert rows[name] == write_licenses.package_licence(name)


def test_every_public_make_target_has_a_description():
    targets = re.findall(r"^[a-z-]+:(?!=).*", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 10
    assert [line for line in targets if " ## " not in line and "former name" not in line] == []


def test_citation_and_changelog_name_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_names_the_papers_and_the_source_of_the_face_network():
    references = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    notes = " ".join(item["notes"] for item in references)
    assert "arXiv:1307.0414" in notes  # FER2013
    assert "arXiv:1608.01041" in notes  # FER+
    read_me = (ROOT / "fer_core/models/starts/README.md").read_text()
    for key in ("repository-artifact", "repository-code"):
        (address,) = (item[key] for item in references if key in item)
        assert address in read_me


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
