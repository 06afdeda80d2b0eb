"""Pictures as data URLs; a small picture that is shown again is not encoded again."""

import base64
import io
from functools import lru_cache

from PIL import Image

_KEPT_PIXELS = 112 * 112  # faces as benchmarks store them; larger pictures are seldom repeated
_KEPT = 1024


def data_url(picture: Image.Image) -> str:
    """Returns a picture as a WebP data URL.

    Args:
        picture: Of a mode that WebP stores.
    """
    if picture.mode not in ("L", "RGB") or picture.width * picture.height > _KEPT_PIXELS:
        return _encoded(picture)
    return _kept(picture.mode, picture.size, picture.tobytes())


@lru_cache(maxsize=_KEPT)
def _kept(mode: str, size: tuple[int, int], pixels: bytes) -> str:
    return _encoded(Image.frombytes(mode, size, pixels))


def _encoded(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=90, method=0)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
