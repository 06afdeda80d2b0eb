"""Pictures as they are uploaded, and a detector that finds bright quarters of them."""

import asyncio
import io
import json
import struct
import zlib

import numpy as np
from PIL import Image

from fer_core.data.faces import DetectedFace


class QuarterDetector:
    """Takes each of the four quarters of a picture as a face if it is bright in the middle."""

    def detect(self, image):
        result = []
        half_width, half_height = image.width // 2, image.height // 2
        grey = np.asarray(image.convert("L"))
        for row in (0, 1):
            for column in (0, 1):
                left, top = column * half_width, row * half_height
                if grey[top + half_height // 2, left + half_width // 2] > 128:
                    inset = 1 + 2 * (row * 2 + column)  # later quarters give smaller faces
                    result.append(
                        DetectedFace(
                            left + inset, top + inset, left + half_width - inset,
                            top + half_height - inset, score=1.0,
                        )
                    )  # fmt: skip
        return tuple(reversed(result))  # the smallest first: putting them in order is not its job


def png(*bright: int, side: int = 96, seed: int = 0) -> bytes:
    """A noisy dark picture whose named quarters (0 to 3) are bright, as PNG."""
    pixels = np.random.default_rng(seed).integers(0, 90, (side, side), dtype=np.uint8)
    for quarter in bright:
        row, column = divmod(quarter, 2)
        half = side // 2
        pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] += 140
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(name, content):
    return (
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
    )  # fmt: skip


def png_claiming(width, height, depth=8, colour=2, rows=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def files(*contents: bytes, field: str = "files"):
    """A form of several files."""
    return [(field, (f"{index}.png", content)) for index, content in enumerate(contents)]


BOUNDARY = b"frontier"
HEAD = b'--frontier\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
TAIL = b"\r\n--frontier--\r\n"


def call(app, receive, headers=(), path="/predict"):
    """Sends one request below the level of HTTP clients; gives status and JSON."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http",
        "query_string": b"", "client": ("test", 1), "server": ("test", 80), "state": {},
        "headers": [
            (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY), *headers
        ],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else None
