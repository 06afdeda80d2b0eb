"""Starts: the list of commands, the imports of pages, and the first visit of Compare."""

import ast
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.pages import HOME, python
from benchmarks.result import Result
from benchmarks.users import served
from benchmarks.visitor import Visitor

HELP_S, IMPORT_MS, COMPARE_S = 0.4, 300, 2.0
WARM_GIB = 2.0

_IMPORTS = """
import importlib, json, multiprocessing, time
import pandas, plotly.graph_objects, streamlit
import dashboard.navigation

def spend(modules):
    started = time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    return time.perf_counter() - started

spent = {{}}
fork = multiprocessing.get_context("fork")
for page, modules in json.loads({pages!r}).items():
    with fork.Pool(1) as pool:  # a process with no other page
        spent[page] = pool.apply(spend, (modules,))
print(json.dumps(spent))
"""


def measure(wait: float = 30.0) -> Iterator[Result]:
    """Measures starts with the published runs.

    Args:
        wait: Seconds between the first page of a server and the first visit of Compare.
    """
    helped = median(_seconds(("-m", "training", "--help")) for _ in range(5))
    bare = median(_seconds(("-c", "pass")) for _ in range(5))
    yield Result(
        "python -m training --help",
        f"{helped:.2f} s",
        f"{bare:.2f} s for Python alone",
        f"{HELP_S} s",
        helped < HELP_S,
    )
    page, spent = max(_import_times().items(), key=lambda item: item[1])
    yield Result(
        f"slowest import of a page's own modules, each page alone ({page})",
        f"{1000 * spent:.0f} ms",
        "",
        f"{IMPORT_MS} ms",
        1000 * spent < IMPORT_MS,
    )
    for gib in (0.0, WARM_GIB):
        first = _first_visit_of_compare(gib, wait)
        yield Result(
            "Compare, first visit of a server"
            + (f", {wait:.0f} s after its first page, warm" if gib else ", no model loaded"),
            f"{first:.1f} s",
            "",
            f"{COMPARE_S:.0f} s" if gib else "",
            first < COMPARE_S if gib else None,
        )


def _seconds(arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def _import_times() -> dict[str, float]:
    """Returns the seconds that each page's imports take in a process with no other page."""
    imports = {
        view.stem: [
            node.module
            for node in ast.walk(ast.parse(view.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module
        ]
        for view in sorted((HOME.parent / "views").glob("*.py"))
    }
    script = _IMPORTS.format(pages=json.dumps(imports))
    times: dict[str, float] = json.loads(python(script).splitlines()[-1])
    return times


def _first_visit_of_compare(gib: float, wait: float) -> float:
    """Returns the seconds until Compare shows every model's prediction for an example face."""
    with tempfile.TemporaryDirectory() as state, served(Path(state), gib) as (address, _):
        first = Visitor(address, "overview")
        first.run()
        first.wait()
        if gib:
            time.sleep(wait)
        visitor = Visitor(address, "compare", "example=happy")
        started = time.perf_counter()
        visitor.run()
        visitor.wait()
        spent = time.perf_counter() - started
        if not any(text.startswith("### ") for text in visitor.markdown()):
            raise RuntimeError("Compare showed no prediction.")
        return spent
