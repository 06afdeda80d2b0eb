"""The errors that FERscope raises on purpose.

Each message says what is wrong, names the thing, and ends with the remedy, so
that command line and dashboard can show it as it is.
"""


class FerscopeError(Exception):
    """Base of every error that a user can cause and mend."""


class DataError(FerscopeError):
    """A dataset file does not hold what its format promises."""


class ImageError(FerscopeError):
    """A picture cannot be used."""


class DetectorError(FerscopeError):
    """A face detector cannot be had on this machine."""


class RecipeError(FerscopeError):
    """A recipe is unknown, or one of its keys is."""


class WeightsError(FerscopeError):
    """The asked initial weights or checkpoint cannot be had, or do not fit."""


class ArtifactError(FerscopeError):
    """A file under `artifacts/` is missing, corrupt, half-written or newer than this code."""
