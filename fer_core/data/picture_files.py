"""Which files are pictures, and what helps with those that cannot be read.

There is one list of readable formats, and Pillow makes it: what this installation decodes and
calls an image. Whatever takes pictures in (`predict`, the service, the dashboard, `prepare`) asks
here, so a format is read everywhere or named everywhere.
"""

from contextlib import suppress
from functools import cache
from pathlib import PurePath

from PIL import Image

_RESIZED_INSIDE = frozenset({"ICO", "ICNS"})
"""Icons hold further files whose size their own header does not tell: no limit could be kept."""

_ADVICE = "Save it as a JPEG or PNG file."
_HEIF = (".heic", ".heif", ".hif", ".heics", ".heifs")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".k25", ".kdc"),
    *(".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2"),
    *(".srf", ".srw", ".x3f"),
)
_DRAWINGS = (".ai", ".emf", ".eps", ".ps", ".svg", ".svgz", ".wmf")
_OTHERS = (".icns", ".ico", ".jxl", ".jxr", ".xcf")


@cache
def readable_formats() -> tuple[str, ...]:
    """Returns Pillow's names of the formats that are tried.

    These are the formats that this Pillow opens and whose MIME type is an image's. That leaves
    out those that start other programs (EPS), that only a header is read of (MPEG, HDF5), and
    icons, whose header does not tell their size. HEIC joins them where `pillow-heif` is installed.
    """
    _add_heif()
    Image.init()
    images = (name for name in Image.OPEN if Image.MIME.get(name, "").startswith("image/"))
    return tuple(sorted(name for name in images if name not in _RESIZED_INSIDE))


@cache
def readable_suffixes() -> frozenset[str]:
    """Returns the endings, in lower case and with their dot, of files in a readable format."""
    formats = {*readable_formats(), "MPO"}  # the JPEG of several pictures is opened as JPEG
    return frozenset(end for end, name in Image.registered_extensions().items() if name in formats)


def is_readable(path: PurePath) -> bool:
    """Whether a file's ending is that of a readable picture; the content is not looked at."""
    return path.suffix.lower() in readable_suffixes()


def looks_like_picture(path: PurePath) -> bool:
    """Whether a file's ending is that of a picture, readable or not."""
    return is_readable(path) or unreadable_picture(path) is not None


def unreadable_picture(path: PurePath) -> str | None:
    """Returns why a file that looks like a picture cannot be read, and what helps.

    Returns:
        A sentence that follows on the file's name; None for readable pictures and other files.
    """
    suffix = path.suffix.lower()
    if suffix in readable_suffixes():
        return None
    if suffix in _HEIF:
        return heif_advice()
    if suffix in _RAW:
        return "is a camera's raw file. Export it as a JPEG or PNG file."
    if suffix in _DRAWINGS:
        return "is a drawing, not a photograph. Export it as a PNG file."
    if suffix in (".avif", ".avifs"):
        return (
            "is an AVIF picture, which this Pillow does not decode. Install a newer one with: "
            f"pip install --upgrade pillow. Or: {_ADVICE}"
        )
    if suffix in _OTHERS:
        return f"is a picture in a format that FERscope does not read. {_ADVICE}"
    return None


def heif_advice() -> str:
    """Returns what helps with a HEIC picture; the sentence follows on the file's name."""
    return (
        "is a HEIC picture, which needs a decoder. Install one with: pip install pillow-heif. "
        f"Or: {_ADVICE}"
    )


def is_heif(start: bytes) -> bool:
    """Whether a file that starts with these bytes (12 or more) is a HEIC picture."""
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS


def _add_heif() -> None:
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
