"""Measures dashboard pages in a separate process, through the application's entry point."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / "dashboard" / "Home.py"

_WARM = """
import json, resource, statistics, time
from streamlit.testing.v1 import AppTest

def timed(app):
    started = time.perf_counter()
    app.run()
    assert not app.exception, app.exception
    return time.perf_counter() - started

result = {{"pages": {{}}, "first": {{}}, "processor": {{}}}}
for page in {pages!r}:
    app = AppTest.from_file({home!r}, default_timeout=600)
    app.query_params["true"] = "happy"
    app.query_params["predicted"] = "any"
    app.run()
    started = time.perf_counter()
    if page != "overview":
        app.switch_page(f"views/{{page}}.py").run()
    assert not app.exception, app.exception
    result["first"][page] = time.perf_counter() - started
    timed(app)
    started = time.process_time()
    result["pages"][page] = statistics.median(timed(app) for _ in range(7))
    result["processor"][page] = (time.process_time() - started) / 7
result["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(result))
"""


@dataclass(frozen=True)
class Warm:
    """Timing of the pages.

    Attributes:
        reruns: Median seconds of a warm rerun, by page.
        processor: Mean CPU seconds of a warm rerun; far below `reruns` if the machine is busy.
        first: Seconds of the first visit, by page; the first page fills most caches.
        memory: Peak resident memory in bytes.
    """

    reruns: dict[str, float]
    processor: dict[str, float]
    first: dict[str, float]
    memory: int


def python(script: str, **environment: str) -> str:
    """Runs a script in a fresh Python and returns what it printed."""
    code = textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=1800,
        env=os.environ | {"FERSCOPE_WARM_MODELS": "0"} | environment,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def warm(pages: Sequence[str], artifacts: str | None = None) -> Warm:
    """Measures warm reruns of pages.

    Args:
        pages: Names of views.
        artifacts: Folder of benchmarks; by default that of the project.
    """
    environment = {} if artifacts is None else {"FERSCOPE_ARTIFACTS": artifacts}
    script = _WARM.format(home=str(HOME), pages=tuple(pages))
    result = json.loads(python(script, **environment).splitlines()[-1])
    return Warm(result["pages"], result["processor"], result["first"], result["rss"])
