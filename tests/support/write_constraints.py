"""Writes the versions that are installed to constraints.txt, for `make constraints`.

NVIDIA's packages are left out: torch pins its own, and they differ by platform. A local version
(`+cpu`) is cut off, so that the pin holds for every build of the package.
"""

from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

FILE = Path(__file__).resolve().parents[2] / "constraints.txt"
HEADER = (
    "# The versions that were tested. Written by `make constraints`; `make setup` installs them.\n"
)
LEFT_OUT = {"ferscope", "pip", "setuptools", "wheel", "triton"}
LEFT_OUT_PREFIXES = ("nvidia-", "cuda-")


def pins(installed: list[Distribution]) -> dict[str, str]:
    """Returns the version of each package, by its canonical name, in alphabetical order."""
    result = {
        canonicalize_name(package.metadata["Name"]): Version(package.version).public
        for package in installed
    }
    return {
        name: version
        for name, version in sorted(result.items())
        if name not in LEFT_OUT and not name.startswith(LEFT_OUT_PREFIXES)
    }


if __name__ == "__main__":
    lines = (f"{name}=={version}\n" for name, version in pins(list(distributions())).items())
    FILE.write_text(HEADER + "".join(lines))
