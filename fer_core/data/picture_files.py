"""Readable image formats, and advice for unreadable ones.

Readable formats are those that the installed Pillow decodes and whose MIME type is an image's.
`predict`, the service, the dashboard and `prepare` all use this list, so they accept the same
formats.
"""

from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath

from PIL import Image

_RESIZED_INSIDE = frozenset({"ICO", "ICNS"})
"""Icon formats: they contain files whose size is not in the header, so no limit can be enforced."""

_ADVICE = "Save it as a JPEG or PNG file."
_HEIF = (".heic", ".heif", ".hif", ".heics", ".heifs")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_SIGNED = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats that are known by their first bytes, so that no other file is mistaken for a picture."""

_RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".k25", ".kdc"),
    *(".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2"),
    *(".srf", ".srw", ".x3f"),
)
_DRAWINGS = (".ai", ".emf", ".eps", ".ps", ".svg", ".svgz", ".wmf")
_OTHERS = (".icns", ".ico", ".jxl", ".jxr", ".xcf")


@cache
def readable_formats() -> tuple[str, ...]:
    """Returns Pillow's names of the readable formats.

    Formats are excluded that start other programs (EPS), of which Pillow reads only a header (MPEG,
    HDF5), and icons, whose size is not in the header. HEIC is included if `pillow-heif` is
    installed.
    """
    _add_heif()
    Image.init()
    images = (name for name in Image.OPEN if Image.MIME.get(name, "").startswith("image/"))
    return tuple(sorted(name for name in images if name not in _RESIZED_INSIDE))


@cache
def readable_suffixes() -> frozenset[str]:
    """Returns the suffixes of readable formats, in lower case and with their dot."""
    formats = {*readable_formats(), "MPO"}  # MPO files are opened as JPEG
    return frozenset(end for end, name in Image.registered_extensions().items() if name in formats)


def is_readable(path: PurePath) -> bool:
    """Whether a file's suffix is that of a readable format; the content is not checked."""
    return path.suffix.lower() in readable_suffixes()


def looks_like_picture(path: PurePath) -> bool:
    """Whether a file's suffix is that of an image format, readable or not."""
    return is_readable(path) or unreadable_picture(path) is not None


def is_unnamed_picture(path: Path) -> bool:
    """Whether a file without a suffix is a BMP, GIF, JPEG, PNG, TIFF, WebP or HEIC picture."""
    if path.suffix:
        return False
    try:
        with Image.open(path, formats=_SIGNED):
            return True
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        with suppress(OSError), path.open("rb") as file:
            return is_heif(file.read(16))
    return False


def unreadable_picture(path: PurePath) -> str | None:
    """Returns why an image file cannot be read, and the remedy.

    Returns:
        The predicate of a sentence whose subject is the file; None for readable images and other
        files.
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
    """Returns how to read a HEIC image, as predicate of a sentence whose subject is the file."""
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
