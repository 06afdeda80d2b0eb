"""The browser's history: which changes of the address are a step that Back undoes.

Streamlit adds an entry to the history for each query parameter that a script writes. Three kinds of
change are no step of the user's, and replace the entry instead: a picker that writes its default
value, a walk from one sample to the next, and a page that follows the parameters that Streamlit
writes before it opens that page.
"""

import json
from typing import Final

import streamlit as st

from dashboard.state import Key

EVENT: Final = "ferscope-address"
"""Event of the browser's window after each change of the address."""

_DEFAULTS = (
    Key.BENCHMARK,
    Key.RUN,
    Key.AGAINST,
    Key.MINUS,
    Key.COST,
    Key.ERRORS,
    Key.POINT_CLASS,
    Key.PRECISE,
    Key.LINEAGE,
    Key.SET,
    Key.ATTRIBUTE,
    Key.UNIT,
    Key.FIRST_UNIT,
    Key.SECOND_UNIT,
    Key.PAIR_CLASS,
)
"""Keys whose value `select_box` and `run_picker` write even if nobody picked it."""

_WALKED = (Key.SAMPLE, Key.PICTURE)
"""Keys whose value changes as the user walks through a list."""

_CLEARED = (Key.SAMPLE, Key.REGION)
"""Keys that the user clears on a page, which is a step."""

_SCRIPT = """
<script>
(() => {
  if (window.ferscopeAddress) return;
  window.ferscopeAddress = true;
  const [push, replace] = [history.pushState, history.replaceState].map((f) => f.bind(history));
  const [defaults, walked, cleared] = [DEFAULTS, WALKED, CLEARED];
  let [left, traversed] = [null, false];
  const told = () => window.dispatchEvent(new Event("EVENT"));
  const isStep = (before, after) => {
    const values = (url, key) => url.searchParams.getAll(key).join(" ");
    const keys = new Set([...before.searchParams.keys(), ...after.searchParams.keys()]);
    const changed = [...keys].filter((key) => values(before, key) !== values(after, key));
    const filled = (key) => defaults.has(key) && !before.searchParams.has(key);
    const moved = (key) => walked.has(key) && before.searchParams.has(key)
      && after.searchParams.has(key);
    return before.pathname !== after.pathname
      || !changed.every((key) => filled(key) || moved(key));
  };
  // before it opens another page, Streamlit clears the parameters of the present one, and writes
  // those of a link one by one: they and the other page replace this entry, however late they come
  const isLeaving = (before, after) => {
    const lost = [...before.searchParams.keys()].filter((key) => !after.searchParams.has(key));
    return before.pathname === after.pathname && lost.some((key) => !cleared.has(key));
  };
  const isRunning = () =>
    document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "running";
  const forget = () => { left = null; };
  const act = () => { if (!isRunning()) forget(); };
  history.pushState = (state, title, url) => {
    const [before, after] = [new URL(location.href), new URL(url, location.href)];
    // after Back or Forward, and before the next click, only a page that the user has left and that
    // was still loading changes the path: it is ignored
    if (traversed && before.pathname !== after.pathname) return;
    const follows = left === before.href;
    (isStep(before, after) && !follows ? push : replace)(state, title, url);
    const stays = before.pathname === after.pathname;
    left = (follows && stays) || isLeaving(before, after) ? location.href : null;
    told();
  };
  const navigate = () => { traversed = false; };
  for (const name of ["pointerdown", "keydown"]) window.addEventListener(name, act, true);
  for (const name of ["click", "keydown"]) window.addEventListener(name, navigate, true);
  window.addEventListener("popstate", () => { forget(); traversed = true; });
  window.addEventListener("popstate", told);
})();
</script>
"""


def keep_history() -> None:
    """Adds the script that decides which changes are steps; call it once per run."""
    with st.container(key="address"):
        st.html(_script(), unsafe_allow_javascript=True)


def _script() -> str:
    keys = {"DEFAULTS": _DEFAULTS, "WALKED": _WALKED, "CLEARED": _CLEARED}
    script = _SCRIPT.replace("EVENT", EVENT)
    for name, values in keys.items():
        script = script.replace(name, f"new Set({json.dumps(values)})")
    return script
