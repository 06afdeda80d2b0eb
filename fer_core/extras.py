"""The light installation, without PyTorch, and what it says where PyTorch is needed."""

from importlib.util import find_spec

from fer_core.errors import MissingExtraError

INSTALL_FULL = "pip install 'ferscope[full]' (or make run without LIGHT=1)"

FULL_ONLY = frozenset(
    {
        "accelerate", "cleanlab", "fastapi", "matplotlib", "onnx", "onnxscript", "peft",
        "prometheus_client", "pytorch_grad_cam", "timm", "torch", "torchvision", "transformers",
    }
)  # fmt: skip
"""Packages, by the name they are imported with, that only the extra `full` installs."""


def installed(package: str) -> bool:
    """Whether a package can be imported, by the name it is imported with."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def torch_installed() -> bool:
    """Whether PyTorch is installed."""
    return installed("torch")


def require_torch(what: str) -> None:
    """Raises the error that names the extra to install, if PyTorch is not installed.

    Args:
        what: The feature that needs PyTorch, as the subject of a sentence in the singular.

    Raises:
        MissingExtraError: If PyTorch is not installed.
    """
    if not torch_installed():
        raise MissingExtraError(
            f"{what} needs PyTorch, which the light installation leaves out. Install it with: "
            f"{INSTALL_FULL}."
        )


def require_package(package: str) -> None:
    """Raises the error that names the extra to install, if a package of `FULL_ONLY` is missing.

    Raises:
        MissingExtraError: If the package is not installed.
    """
    if not installed(package):
        raise _missing(package)


def missing_extra(error: ImportError) -> MissingExtraError | None:
    """Returns what to install for an import that failed; None if no extra has the package."""
    package = (error.name or "").partition(".")[0]
    if package not in FULL_ONLY:
        return None
    return _missing(package)


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(
        f"This needs the package {package}, which the light installation leaves out. Install it "
        f"with: {INSTALL_FULL}."
    )
