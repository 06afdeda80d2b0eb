"""Starts: the list of commands, and the imports of pages."""

import ast
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.pages import HOME, python
from benchmarks.result import Result
from dashboard.cache.warm_models import SLOW_IMPORT

HELP_S, IMPORT_MS = 0.4, 300

_IMPORTS = """
import importlib, json, multiprocessing, statistics, time
import pandas, plotly.graph_objects, streamlit
import dashboard.navigation
streamlit.config.get_config_options()  # a server reads its settings before any page
for module in json.loads({after!r}):
    importlib.import_module(module)

def spend(modules):
    started = time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    return time.perf_counter() - started

spent = {{}}
fork = multiprocessing.get_context("fork")
for page, modules in json.loads({pages!r}).items():
    with fork.Pool(1, maxtasksperchild=1) as pool:  # each time a process with no other page
        spent[page] = statistics.median(pool.apply(spend, (modules,)) for _ in range(3))
print(json.dumps(spent))
"""


def measure() -> Iterator[Result]:
    """Measures starts; `clicks` measures the first visit of Compare."""
    helped = median(_seconds(("-m", "training", "--help")) for _ in range(5))
    bare = median(_seconds(("-c", "pass")) for _ in range(5))
    yield Result(
        "python -m training --help",
        f"{helped:.2f} s",
        f"{bare:.2f} s for Python alone",
        f"{HELP_S} s",
        helped < HELP_S,
    )
    cold_page, cold = _slowest(_import_times())
    page, spent = _slowest(_import_times(after=(SLOW_IMPORT,)))
    yield Result(
        f"slowest import of a page's own modules, each page alone ({page})",
        f"{1000 * spent:.0f} ms",
        f"{1000 * cold:.0f} ms ({cold_page}) before the server has imported {SLOW_IMPORT} in the "
        "background",
        f"{IMPORT_MS} ms",
        1000 * spent < IMPORT_MS,
    )


def _seconds(arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def _slowest(times: dict[str, float]) -> tuple[str, float]:
    return max(times.items(), key=lambda item: item[1])


def _import_times(after: Sequence[str] = ()) -> dict[str, float]:
    """Returns the seconds that each page's imports take in a process with no other page.

    Args:
        after: Modules that were imported before.
    """
    imports = {
        view.stem: [
            node.module
            for node in ast.walk(ast.parse(view.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module
        ]
        for view in sorted((HOME.parent / "views").glob("*.py"))
    }
    script = _IMPORTS.format(pages=json.dumps(imports), after=json.dumps(after))
    times: dict[str, float] = json.loads(python(script).splitlines()[-1])
    return times
