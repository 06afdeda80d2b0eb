"""Many small faces at once, as one element: quick to send, and captions stay with their faces."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st
from PIL import Image

from dashboard.cache.benchmarks import Pictures

_STYLE = """
<style>
.fs-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--side), 1fr));
  gap: .7rem .6rem; margin: .2rem 0 .6rem; }
.fs-grid figure { margin: 0; }
.fs-grid img { width: 100%; aspect-ratio: 1; border-radius: .45rem; display: block;
  border-bottom: 4px solid transparent; }
.fs-grid figcaption { font-size: .76rem; line-height: 1.35; opacity: .82; margin-top: .25rem;
  overflow-wrap: anywhere; }
.fs-grid b { font-weight: 600; }
</style>
"""


@dataclass(frozen=True)
class Tile:
    """A sample's picture and what stands below it.

    Attributes:
        sample_id: Whose picture.
        title: First line, bold.
        note: Second line.
        colour: Of the line below the picture, such as the class's.
    """

    sample_id: str
    title: str
    note: str = ""
    colour: str = "transparent"


@dataclass(frozen=True)
class Card:
    """Any picture and what stands below it; attributes as those of `Tile`."""

    picture: Image.Image
    title: str
    note: str = ""
    colour: str = "transparent"
    hint: str = ""


def cards(shown: Sequence[Card], *, side: int = 104) -> None:
    """Shows pictures with captions in rows that fill the page.

    Args:
        shown: In their order.
        side: Least width of a picture on the page, in pixels.
    """
    _grid(shown, f"--side:{side}px")


def face_grid(faces: Sequence[Tile], pictures: Pictures, *, side: int = 104) -> None:
    """Shows samples with captions in rows that fill the page.

    Args:
        faces: Samples that the set lacks are left out.
        pictures: Where the pictures come from.
        side: Least width of a picture on the page, in pixels.
    """
    shown = [(face, pictures.get(face.sample_id)) for face in faces]
    cards(
        [
            Card(picture, face.title, face.note, face.colour, face.sample_id)
            for face, picture in shown
            if picture is not None
        ],
        side=side,
    )


def strip(pictures: Sequence[tuple[Image.Image, str]]) -> None:
    """Shows up to eight pictures that belong to no sample, such as means, in one row."""
    columns = f"grid-template-columns:repeat({max(len(pictures), 7)},1fr)"
    _grid([Card(picture, caption) for picture, caption in pictures], columns)


def _grid(shown: Sequence[Card], style: str) -> None:
    figures = "".join(map(_figure, shown))
    st.html(f'{_STYLE}<div class="fs-grid" style="{style}">{figures}</div>')


def _figure(card: Card) -> str:
    note = f"<br>{escape(card.note)}" if card.note else ""
    hint = escape(card.hint or card.title, quote=True)
    return (
        f'<figure><img src="{_data(card.picture)}" alt="{hint}" title="{hint}" '
        f'style="border-color:{escape(card.colour, quote=True)}">'
        f"<figcaption><b>{escape(card.title)}</b>{note}</figcaption></figure>"
    )


def _data(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=90, method=0)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
