"""Writes requirements.lock and requirements-light.lock, for `make lock`.

uv chooses the files for the versions of constraints.txt and reads their SHA-256 from the index,
without downloading them. A lock has the wheels for CPython 3.11 on Linux (x86-64, arm64), macOS
(arm64) and Windows (x86-64), and the source archive of a package that has no such wheel. It names
no index, so any mirror serves it.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[2]
LIGHT, FULL = "requirements-light", "requirements"
PYTHON = (3, 11)
PLATFORMS = re.compile(
    r"any|(manylinux\w*|linux)_(x86_64|aarch64)|macosx_\w+_(arm64|universal2)|win_amd64"
)
HEADER = (
    "# Written by `make lock` for CPython {}.{}; `make run LOCK=1` installs it, "
    "see docs/installation.md\n"
)


def fits(tag: Tag) -> bool:
    """Whether a wheel with this tag installs on one of the platforms of the lock."""
    if not PLATFORMS.fullmatch(tag.platform):
        return False
    if tag.interpreter.startswith("py"):
        return tag.interpreter == "py3"
    version = re.fullmatch(r"cp3(\d+)", tag.interpreter)
    if version is None:
        return False
    minor = int(version[1])
    return (
        minor <= PYTHON[1]
        if tag.abi == "abi3"
        else minor == PYTHON[1] and not tag.abi.endswith("t")
    )


def file_name(file: Mapping[str, Any]) -> str:
    """Returns the name of a file in a pylock.toml."""
    return str(file.get("name") or str(file["url"]).rsplit("/", 1)[1])


def requirement(package: Mapping[str, Any]) -> str:
    """Returns the lines of one package: version, marker, and the hash of each file.

    Raises:
        ValueError: If the package has neither a wheel for the platforms nor a source archive.
    """
    wheels = [
        wheel
        for wheel in package.get("wheels", ())
        if any(map(fits, parse_wheel_filename(file_name(wheel))[3]))
    ]
    files = wheels or [package[key] for key in ("sdist",) if key in package]
    if not files:
        raise ValueError(f"{package['name']} {package['version']} has no file for these platforms.")
    marker = f" ; {package['marker']}" if "marker" in package else ""
    hashes = sorted({file["hashes"]["sha256"] for file in files})
    pin = f"{package['name']}=={package['version']}{marker}"
    return " \\\n".join([pin, *(f"  --hash=sha256:{digest}" for digest in hashes)]) + "\n"


def requirements(packages: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the lines of each package, by its name."""
    return {str(package["name"]): requirement(package) for package in packages}


def resolve(name: str, uv: str) -> dict[str, str]:
    """Asks uv for the files of all that `<name>.txt` needs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pylock.toml"
        command = [uv, "pip", "compile", "-q", "--universal", "--generate-hashes"]
        command += ["--python-version", "{}.{}".format(*PYTHON), "-c", "constraints.txt"]
        command += [f"{name}.txt", "--format", "pylock.toml", "-o", str(path)]
        subprocess.run(command, cwd=ROOT, check=True)
        return requirements(tomllib.loads(path.read_text())["packages"])


def main(uv: str) -> None:
    """Writes both locks; the full one includes the light one, so that no line is there twice."""
    light, full = resolve(LIGHT, uv), resolve(FULL, uv)
    if changed := sorted(name for name in light if light[name] != full.get(name)):
        raise SystemExit(f"The two installations differ in {', '.join(changed)}.")
    header = HEADER.format(*PYTHON)
    (ROOT / f"{LIGHT}.lock").write_text(header + "".join(light.values()))
    rest = [lines for name, lines in full.items() if name not in light]
    (ROOT / f"{FULL}.lock").write_text(header + f"-r {LIGHT}.lock\n" + "".join(rest))


if __name__ == "__main__":
    main(*sys.argv[1:])
