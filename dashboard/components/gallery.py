"""Galleries of faces, rows of mean faces, and enlarged pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard import address
from dashboard.cache.pictures import data_url
from dashboard.state import Key
from fer_core.figures.palette import class_colour
from fer_core.records import BenchmarkInfo

_CSS = """
.fs-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--side), 1fr));
  gap: .7rem .6rem; margin: .2rem 0 .6rem; }
.fs-grid figure { margin: 0; }
.fs-grid img { width: 100%; aspect-ratio: 1; border-radius: .45rem; display: block;
  border-bottom: 4px solid transparent; }
.fs-grid figcaption { font-size: .76rem; line-height: 1.35; opacity: .82; margin-top: .25rem;
  overflow-wrap: anywhere; }
.fs-grid b { font-weight: 600; }
.fs-grid button { all: unset; display: block; width: 100%; cursor: pointer; border-radius: .45rem; }
.fs-grid button:hover img { filter: brightness(1.12); }
.fs-grid button:focus-visible, .fs-grid .fs-open {
  outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
"""

_CLICKABLE = """
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".fs-grid");
  if (grid.shown !== data.figures) grid.innerHTML = grid.shown = data.figures;
  grid.style.cssText = data.style;
  grid.onclick = (event) => {
    const button = event.target.closest("button[data-id]");
    if (button) setTriggerValue("open", button.dataset.id);
  };
  const mark = () => {
    const open = new URLSearchParams(location.search).get("SAMPLE");
    for (const button of grid.querySelectorAll("button[data-id]")) {
      const opens = button.dataset.id === open;
      if (opens && !button.classList.contains("fs-open")) {
        button.scrollIntoView({ block: "nearest" });
      }
      button.classList.toggle("fs-open", opens);
    }
  };
  mark();
  window.addEventListener("EVENT", mark);
  return () => window.removeEventListener("EVENT", mark);
}
""".replace("SAMPLE", Key.SAMPLE).replace("EVENT", address.EVENT)
"""Shows the figures, reports the clicked one, and marks the one that the address names."""

_clickable_grid = st.components.v2.component(
    "ferscope-gallery", html='<div class="fs-grid"></div>', css=_CSS, js=_CLICKABLE
)


@dataclass(frozen=True)
class Card:
    """A picture with its caption.

    Attributes:
        picture: The picture.
        title: First line, bold.
        note: Second line.
        colour: Colour of the line below the picture, such as the class's.
        name: Tooltip and text alternative, such as the sample's id; the title if empty.
    """

    picture: Image.Image
    title: str
    note: str = ""
    colour: str = "transparent"
    name: str = ""


def label_and_colour(label: object, labels: Sequence[str]) -> tuple[str, str]:
    """Returns the name of a sample's label for a card, and its colour.

    Args:
        label: The label; not a text for a sample without one.
        labels: The benchmark's classes; others have no colour.
    """
    name = label if isinstance(label, str) else "no class"
    return name, class_colour(name, labels) if name in labels else "transparent"


def gallery(
    cards: Sequence[Card],
    *,
    side: int = 104,
    key: str = "gallery",
    on_open: Callable[[str], None] | None = None,
) -> None:
    """Shows pictures with captions in rows that fill the page.

    Args:
        cards: The cards, in display order.
        side: Smallest width of a picture on the page, in pixels.
        key: Identifies a gallery whose pictures open; unique on its page.
        on_open: Called with a card's name when its picture is clicked. If None, pictures do not
            open.
    """
    style = f"--side:{side}px"
    if on_open is None:
        _grid(cards, style)
        return

    def report() -> None:
        on_open(str(st.session_state[key]["open"]))

    _clickable_grid(
        key=key,
        data={"figures": _figures(cards, clickable=True), "style": style},
        on_open_change=report,
    )


def strip(pictures: Sequence[tuple[Image.Image, str]]) -> None:
    """Shows up to eight captioned pictures, such as mean faces, in one row."""
    columns = f"grid-template-columns:repeat({max(len(pictures), 7)},1fr)"
    _grid([Card(picture, caption) for picture, caption in pictures], columns)


def mean_face_row(info: BenchmarkInfo, faces: Mapping[str, NDArray[np.float32]]) -> None:
    """Shows the mean training face of each class; shows nothing if there are none."""
    labels = [label for label in info.labels if f"train/{label}/mean" in faces]
    if not labels:
        return
    st.subheader("The mean face of each class", anchor=False)
    for column, label in zip(st.columns(len(labels)), labels, strict=True):
        mean = faces[f"train/{label}/mean"].round().astype(np.uint8)
        column.image(
            enlarge(Image.fromarray(mean), 160),
            caption=label,
            width="stretch",
            alt=f"Mean face of {label}",
        )
    st.caption(
        "Each is the pixel mean of all training images of its class: common features are sharp, "
        "variable ones are blurred."
    )


def enlarge(picture: Image.Image, side: int) -> Image.Image:
    """Returns a small picture scaled up smoothly, so that browsers do not blur it."""
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def _grid(cards: Sequence[Card], style: str) -> None:
    figures = _figures(cards, clickable=False)
    st.html(f'<style>{_CSS}</style><div class="fs-grid" style="{style}">{figures}</div>')


def _figures(cards: Iterable[Card], *, clickable: bool) -> str:
    return "".join(_figure(card, clickable=clickable) for card in cards)


def _figure(card: Card, *, clickable: bool) -> str:
    note = f"<br>{escape(card.note)}" if card.note else ""
    name = escape(card.name or card.title, quote=True)
    image = (
        f'<img src="{data_url(card.picture)}" alt="{name}" title="{name}" '
        f'style="border-color:{escape(card.colour, quote=True)}">'
    )
    if clickable:
        image = f'<button type="button" data-id="{name}" aria-label="Open {name}">{image}</button>'
    return f"<figure>{image}<figcaption><b>{escape(card.title)}</b>{note}</figcaption></figure>"
