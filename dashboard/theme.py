"""Style that .streamlit/config.toml cannot set."""

import re
from collections.abc import Sequence
from html import escape
from time import sleep

import streamlit as st

from fer_core.figures.palette import class_colour

ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='#0b7a5c' "
    "stroke-width='2.4' stroke-linecap='round'><path d='M3 8V5a2 2 0 0 1 2-2h3M16 3h3a2 2 0 0 1 2 "
    "2v3M21 16v3a2 2 0 0 1-2 2h-3M8 21H5a2 2 0 0 1-2-2v-3'/><circle cx='12' cy='12' r='3.4' "
    "fill='#0b7a5c'/></svg>"
)
"""The browser's icon. A Material symbol would be fetched from a font host."""

PAUSE_S = 0.02
"""Pause in which the browser draws what was sent. Without it the browser draws a page's title, or
a viewer's picture, together with the first charts, up to 200 ms later."""

_SHOWN_TITLE = "shown_title"

_CSS = """
<style>
.block-container { padding-top: 4.4rem; max-width: 1240px; }
h1 { letter-spacing: -.02em; font-weight: 600; }
h2, h3 { letter-spacing: -.01em; }
.fs-kicker { text-transform: uppercase; letter-spacing: .12em; font-size: .74rem;
  font-weight: 600; opacity: .78; line-height: 1.6; }
.fs-lead { font-size: 1.06rem; line-height: 1.55; max-width: 46rem; opacity: .86;
  margin-bottom: .6rem; }
.fs-verdict { font-size: 1.5rem; line-height: 1.4; font-weight: 600; letter-spacing: -.01em;
  margin: .2rem 0 .8rem; max-width: 46rem; }
.fs-reasons { padding-left: 1.1rem; margin: 0 0 .8rem; }
.fs-reasons li { margin: .25rem 0; line-height: 1.5; }
.fs-chip { display: inline-block; padding: .1rem .6rem; margin: .1rem .3rem .1rem 0;
  border-radius: 999px; font-size: .84rem; border: 1px solid; }
.fs-dot { display: inline-block; width: .62rem; height: .62rem; border-radius: 50%;
  margin-right: .4rem; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
.st-key-verdict-cards { display: grid; grid-template-columns: 1fr 1fr; }
.st-key-verdict-cards [data-testid="stMetricValue"] { font-size: 1.5rem; }
:is([data-testid="stMetricLabel"], [data-testid="stMetricValue"]) :is(div, p) {
  white-space: normal; overflow: visible; text-overflow: clip; }
[data-testid="stPageLink"] :is(a, span, p) { white-space: normal; overflow: visible;
  overflow-wrap: break-word; }
[class*="st-key-tiles-tiny"] { --tile: 5.5rem; }
[class*="st-key-tiles-small"] { --tile: 8.5rem; }
[class*="st-key-tiles-wide"] { --tile: 13rem; }
[class*="st-key-tiles-"] > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"],
[class*="st-key-tiles-"] > [data-testid="stHorizontalBlock"] { display: grid;
  grid-template-columns: repeat(auto-fit, minmax(var(--tile), 1fr)); }
[class*="st-key-tiles-"] [data-testid="stColumn"] { width: auto; min-width: 0; }
[data-testid="stImage"] img { border-radius: .45rem; }
.st-key-address, .st-key-roles { display: none; }
/* contrast of at least 4.5:1; Streamlit's captions have 4.2 and its ticks 3.6 */
[data-testid="stCaptionContainer"] { opacity: .85; }
[data-testid="stCode"] code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
[data-testid="stCheckbox"] [data-testid="stWidgetLabel"] p { white-space: normal;
  overflow: visible; }
[data-testid="stTable"] td { overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .scatterlayer .trace[style*="opacity: 0.99"] .textpoint { display: none; }
}
[data-testid="stCode"] .token { color: inherit !important; }
.js-plotly-plot :is(.xtick, .ytick, .xaxislayer-above, .yaxislayer-above, .infolayer) text,
[data-testid="stVegaLiteChart"] :is(.role-axis-label, .role-axis-title, .role-legend) text {
  fill: currentColor !important; fill-opacity: .85 !important; }
</style>
"""


def apply() -> None:
    """Adds the application's style to the page."""
    st.html(_CSS)


def is_dark() -> bool:
    """Whether the visitor's page is dark."""
    return bool(st.context.theme.type == "dark")


def on_phone() -> bool:
    """Whether the browser is a phone's, by `Mobi` in its name (MDN, "Browser detection")."""
    return "Mobi" in str(st.context.headers.get("User-Agent", ""))


def page_header(section: str, title: str, lead: str) -> None:
    """Shows a page's title and one sentence on its purpose.

    Lets the browser draw it first if the visitor comes from another page.
    """
    st.html(f'<div class="fs-kicker">{escape(section)}</div>')
    st.title(title, anchor=False)
    st.html(f'<div class="fs-lead">{escape(lead)}</div>')
    if st.session_state.get(_SHOWN_TITLE) != title:
        st.session_state[_SHOWN_TITLE] = title
        draw_first()


def draw_first() -> None:
    """Lets the browser draw what was sent so far, before a page computes and sends the rest."""
    sleep(PAUSE_S)


def contents(titles: Sequence[str]) -> None:
    """Shows links to the sections of a long page.

    Args:
        titles: The subheaders, in their order.
    """
    links = " · ".join(f"[{title}](#{_anchor(title)})" for title in titles)
    st.markdown(f"On this page: {links}")


def _anchor(title: str) -> str:
    """Returns the id that Streamlit gives a heading."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def class_chips(labels: tuple[str, ...]) -> None:
    """Shows the classes in their colours: the legend of every page."""
    st.html("".join(chip(label, labels) for label in labels))


def chip(label: str, labels: Sequence[str]) -> str:
    """Returns the HTML of a class with its colour; grey for one that is not in `labels`."""
    colour = class_colour(label, labels) if label in labels else "#888888"
    return (
        f'<span class="fs-chip" style="border-color:{colour}"><span class="fs-dot" '
        f'style="background:{colour}"></span>{escape(label)}</span>'
    )
