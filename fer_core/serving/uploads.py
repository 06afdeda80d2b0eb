"""Reads multipart uploads in memory, within the limits.

Starlette's form parser spools large files to disk. Here each part stays in a byte array.
"""

import asyncio
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from fer_core.data.imaging import printable_name
from fer_core.serving.errors import RefusedError
from fer_core.serving.settings import Settings

GRACE_SECONDS = 5.0
"""Seconds before the minimum upload rate applies."""

MAX_HEADERS = 8
"""Largest number of headers of a part; browsers send two or three."""

_KIB = 1024
MAX_HEADER = 8 * _KIB
"""Largest size in bytes of one header of a part, with its name."""


@dataclass
class Upload:
    """One file of a request.

    Attributes:
        field_name: Name of the form field.
        name: File name from the client; never shown or logged unchanged.
        data: Content of the file.
    """

    field_name: str = ""
    name: str | None = None
    data: bytearray = field(default_factory=bytearray)


async def read_uploads(
    request: Request, settings: Settings, field_name: str, most: int
) -> list[Upload]:
    """Reads the files of a multipart request.

    Args:
        request: Request whose body has not been read.
        settings: Limits of the service.
        field_name: Name of the only allowed field.
        most: Largest number of files.

    Returns:
        At least one upload.

    Raises:
        RefusedError: If the request is not a multipart form, exceeds a limit, is incomplete, or
            takes too long.
    """
    _check_length(request, settings)
    content_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise RefusedError(
            415,
            "not_multipart",
            f"Send images as multipart/form-data, for example: curl -F {field_name}=@face.jpg "
            "<address>",
        )
    form = _Form(boundary, settings, field_name, most)
    await _receive(request, settings, form)
    return form.uploads()


async def _receive(request: Request, settings: Settings, form: "_Form") -> None:
    """Reads the body into a form, and refuses one that is too slow.

    The deadline moves with what has arrived: a client that stops sending is not waited for.
    """
    clock = asyncio.get_running_loop().time
    start, total = clock(), 0
    last = start + settings.upload_seconds
    try:
        async with asyncio.timeout_at(min(start + GRACE_SECONDS, last)) as limit:
            async for chunk in request.stream():
                total += len(chunk)
                if total > settings.max_body:
                    raise _body_too_large(settings)
                form.write(chunk)
                allowed = start + GRACE_SECONDS + total / settings.min_upload_rate
                limit.reschedule(min(allowed, last))
    except TimeoutError:
        if clock() >= last:
            cause = f"took longer than {settings.upload_seconds:g} seconds"
        else:
            cause = f"was slower than {settings.min_upload_kib_s:g} KiB per second"
        detail = f"The upload {cause}. Send smaller images, or fewer at once."
        raise RefusedError(408, "too_slow", detail) from None


def _check_length(request: Request, settings: Settings) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > settings.max_body:
        raise _body_too_large(settings)


def _body_too_large(settings: Settings) -> RefusedError:
    return RefusedError(
        413,
        "body_too_large",
        f"The request is larger than the limit of {settings.max_body_mib} MiB. Send fewer "
        "images at once, or scale them down to about 2000 pixels on the longer side.",
    )


def _malformed(why: str) -> RefusedError:
    return RefusedError(
        400, "malformed_form", f"The body is not a valid multipart form: {why}. Send it again."
    )


_BAD_HEADERS = (
    f"a part has an invalid header, one longer than {MAX_HEADER // _KIB} KiB, or more than "
    f"{MAX_HEADERS} headers"
)


class _Form:
    """Incremental parser of a multipart body."""

    def __init__(self, boundary: bytes, settings: Settings, field_name: str, most: int) -> None:
        self._settings, self._field_name, self._most = settings, field_name, most
        self._parts: list[Upload] = []
        self._ended = False
        self._in_headers = False
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_part_data": self._data,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_end": self._end,
                },
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER,
            )
        except FormParserError:
            raise _malformed("its boundary is invalid") from None

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            why = _BAD_HEADERS if self._in_headers else "its parts cannot be separated"
            raise _malformed(why) from None

    def uploads(self) -> list[Upload]:
        if not self._parts:
            raise RefusedError(
                422,
                "no_picture",
                f"The form has no file. Send one in the field {self._field_name!r}.",
            )
        if not self._ended:
            raise _malformed("it is incomplete")
        return self._parts

    def _begin(self) -> None:
        if len(self._parts) == self._most:
            raise RefusedError(
                422,
                "too_many_files",
                f"The request has more files than the limit of {self._most}. Send the rest in "
                "further requests.",
            )
        self._parts.append(Upload())
        self._in_headers = True
        self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        self._in_headers = False
        _, options = parse_options_header(self._disposition)
        part = self._parts[-1]
        part.field_name = options.get(b"name", b"").decode("utf-8", "replace")
        if part.field_name != self._field_name:
            raise RefusedError(
                422,
                "unknown_field",
                f"The form has a field {printable_name(part.field_name)!r}. Send files in the "
                f"field {self._field_name!r} and parameters in the query string.",
            )
        if b"filename" not in options:
            raise RefusedError(
                422,
                "not_a_file",
                f"The field {self._field_name!r} has text. Send a file, for example: "
                f"curl -F {self._field_name}=@face.jpg <address>",
            )
        part.name = options[b"filename"].decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._parts[-1]
        if len(part.data) + end - start > self._settings.max_file:
            raise RefusedError(
                413,
                "file_too_large",
                f"{printable_name(part.name or '')} is larger than the limit of "
                f"{self._settings.max_file_mib} MiB per file. Save it with fewer pixels or as a "
                "JPEG file.",
            )
        part.data += data[start:end]

    def _end(self) -> None:
        self._ended = True
