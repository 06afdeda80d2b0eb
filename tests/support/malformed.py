"""Over 500 uploads that are no proper pictures: cut, damaged, misnamed, bombs, polyglots."""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.uploads import chunk, png_claiming

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


def encoded(kind, size=(40, 40), **options):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation=None, tail=b""):
    """An EXIF block with one entry, whose next directory is itself."""
    block = b"II*\x00" + struct.pack("<I", 8) + struct.pack("<H", 1)
    block += struct.pack("<HHII", 0x0112, 3, 1, orientation or 0) + struct.pack("<I", 8)
    return b"Exif\x00\x00" + block + tail


def truncated(rng, sound):
    return [data[: rng.randrange(len(data))] for data in sound for _ in range(20)]


def flipped(rng, sound):
    result = []
    for data in sound:
        for count in (1, 3, 30):
            for _ in range(8):
                damaged = bytearray(data)
                for _ in range(count):
                    place = rng.randrange(min(len(damaged), 400) if count == 3 else len(damaged))
                    damaged[place] ^= 1 << rng.randrange(8)
                result.append(bytes(damaged))
    return result


def wrong_types(rng):
    texts = [b"", b"\x00", b"hello", b"%PDF-1.7\n%%EOF", b"PK\x03\x04" + bytes(30), b"<svg/>"]
    texts += [b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><svg>&a;</svg>", b"\x7fELF"]
    texts += [b"%!PS-Adobe\n", b"GIF89a", b"\xff\xd8", b"BM", b"P6\n99999 99999 255\n", b"RIFF"]
    texts += [rng.randbytes(rng.randrange(1, 3000)) for _ in range(60)]
    heads = (
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"BM",
        b"II*\x00",
        b"RIFF\xff\xff\x00\x00WEBP",
    )
    return texts + [head + rng.randbytes(rng.randrange(200)) for head in heads for _ in range(8)]


def bombs():
    sizes = ((60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 0), (0, 10), (15, 15))
    result = [png_claiming(width, height) for width, height in sizes]
    result.append(png_claiming(7_000, 7_200, colour=0, rows=bytes(1000)))  # claims more than it has
    result.append(
        encoded("PNG")[:-12]
        + chunk(b"iTXt", b"k\x00\x01\x00\x00\x00" + zlib.compress(bytes(2**22)))
    )
    result.append(
        encoded("PNG")[:33]
        + chunk(b"iCCP", b"n\x00\x00" + zlib.compress(bytes(2**24)))
        + encoded("PNG")[33:]
    )
    frames = [Image.new("L", (20, 20), n) for n in range(200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return [*result, buffer.getvalue()]


def polyglots(sound):
    tails = (
        b"PK\x03\x04" + bytes(50),
        b"<script>alert(1)</script>",
        b"%PDF-1.4",
        b"\x7fELF",
        b"MZ",
    )
    return [data + tail for data in sound for tail in tails] + [tail + sound[0] for tail in tails]


def absurd_exif():
    blocks = [exif(orientation) for orientation in (0, 1, 6, 8, 9, 255, 2**16 - 1, 2**32 - 1)]
    blocks += [
        exif(6, bytes(60_000)),
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"x" * 60_000,
    ]
    blocks += [b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x12\x00\x0c" * 40]
    return [encoded(kind, exif=block) for block in blocks for kind in ("JPEG", "PNG", "WEBP")]


def uploads():
    rng = random.Random(0)
    sound = [encoded(kind) for kind in FORMATS]
    return [
        *truncated(rng, sound), *flipped(rng, sound), *wrong_types(rng), *bombs(),
        *polyglots(sound), *absurd_exif(),
    ]  # fmt: skip
