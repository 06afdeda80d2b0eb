"""Faults of an open page that only a browser shows."""

from axe_playwright_python.sync_playwright import Axe

_AXE = Axe()
_OPTIONS = {"resultTypes": ["violations"]}

_OF_OTHERS = (
    "GL Driver Message",  # of a machine without a GPU
    "Unrecognized feature",  # permissions of component frames, by Streamlit
    "An iframe which has both allow-scripts and allow-same-origin",  # by Streamlit
    "Not using web worker",  # Streamlit's graphs of lineage are drawn without one
)
"""Parts of messages that are no fault of the pages."""

_OUTSIDE = """() => {
  const charts = '.js-plotly-plot .svg-container, [data-testid=stVegaLiteChart] svg';
  const outside = [];
  for (const chart of document.querySelectorAll(charts)) {
    const frame = chart.getBoundingClientRect();
    for (const text of chart.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (!text.textContent.trim() || !box.width || text.closest('.modebar')) continue;
      const beyond = Math.max(frame.left - box.left, box.right - frame.right,
                              frame.top - box.top, box.bottom - frame.bottom);
      // a line of text is higher than its letters
      if (beyond > 0.3 * box.height) outside.push(`${text.textContent}: ${beyond.toFixed()} px`);
    }
  }
  return outside;
}"""

_FAINT = """least => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + [0.2126, 0.7152, 0.0722][i] * v, 0);
  const app = getComputedStyle(document.querySelector('[data-testid=stApp]'));
  const paper = channels(app.backgroundColor);
  const faint = new Set();
  const ticks = '.js-plotly-plot :is(.xtick, .ytick, .xtitle, .ytitle, .legendtext), '
    + '[data-testid=stVegaLiteChart] :is(.role-axis-label, .role-axis-title) text';
  for (const tick of document.querySelectorAll(ticks)) {
    const text = tick.querySelector('text') ?? tick;
    const style = getComputedStyle(text);
    const opacity = Number(style.fillOpacity);
    const ink = channels(style.fill).map((v, i) => opacity * v + (1 - opacity) * (paper[i] ?? 0));
    const [dark, bright] = [luminance(ink), luminance(paper)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < least) faint.add(`${text.textContent}: ${contrast.toFixed(2)}`);
  }
  return [...faint];
}"""


class Watch:
    """What pages ask of other hosts, and what the browser's console says.

    Attributes:
        elsewhere: Addresses of requests to other hosts.
        console: Errors and warnings.
    """

    def __init__(self, address: str) -> None:
        self._own = (address, address.replace("http", "ws", 1), "data:", "blob:")
        self.elsewhere: list[str] = []
        self.console: list[str] = []

    def follow(self, page) -> None:
        """Records what a page does from now on."""
        page.on("request", lambda request: self._add(request.url))
        page.on("websocket", lambda socket: self._add(socket.url))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("console", self._say)

    def _add(self, url: str) -> None:
        if not url.startswith(self._own):
            self.elsewhere.append(url)

    def _say(self, message) -> None:
        # Streamlit's client asks for its server below the page's path before it asks at the root
        asks_below = "/_stcore/" in message.location.get("url", "") and "404" in message.text
        told = message.type in ("error", "warning") and not asks_below
        if told and not any(text in message.text for text in _OF_OTHERS):
            self.console.append(message.text)


def serious(page) -> list[str]:
    """Returns the serious and critical violations that axe-core finds, with their elements."""
    found = _AXE.run(page, options=_OPTIONS).response["violations"]
    return [
        f"{item['id']}: {node['target'][0]} {node['html'][:200]}"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]


def labels_outside(page) -> list[str]:
    """Returns the labels of charts that leave their chart's frame."""
    return page.evaluate(_OUTSIDE)


def faint_ticks(page, least: float = 4.5) -> list[str]:
    """Returns the ticks, titles and legends of charts whose contrast is below `least`."""
    return page.evaluate(_FAINT, least)
