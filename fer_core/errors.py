"""Exceptions of FERscope.

Each message names the cause and ends with the remedy, so that the command line and the dashboard
can show it unchanged.
"""

from collections.abc import Iterable


class FerscopeError(Exception):
    """Base class of all errors that a user can cause and fix."""


class DataError(FerscopeError):
    """A data set file violates its format."""


class ImageError(FerscopeError):
    """An image cannot be used."""


class DetectorError(FerscopeError):
    """No face detector is available on this machine."""


class RecipeError(FerscopeError):
    """A recipe or one of its keys is unknown or invalid."""


class NoProfileError(RecipeError):
    """A recipe has no such profile, on purpose."""


class WeightsError(FerscopeError):
    """Initial weights or a checkpoint are missing, damaged or incompatible."""


class ArtifactError(FerscopeError):
    """A file under `artifacts/` is missing, corrupt, incomplete or of a newer version."""


class MissingExtraError(FerscopeError):
    """The requested function needs packages that the light installation leaves out."""


def listed(names: Iterable[str], most: int) -> str:
    """Returns names for a message; of more than `most`, the first ones and the number of the rest.

    >>> listed(["angry", "happy", "sad"], most=2)
    'angry, happy and 1 more'
    """
    shown = list(names)
    more = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {more:,} more" if more > 0 else "")
