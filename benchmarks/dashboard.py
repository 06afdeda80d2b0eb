"""The dashboard on the shipped runs: cold start, warm reruns, Compare on a face, memory."""

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.result import Result

HOME = Path(__file__).resolve().parent.parent / "dashboard" / "Home.py"
PAGES = ("overview", "explorer", "quality", "leaderboard", "confusion", "compare")
RERUN_MS, COLD_S, MEMORY_GIB = 300, 3, 2.5

_COLD = """
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({home!r}, default_timeout=120)
app.run()
app.switch_page("views/leaderboard.py").run()
assert not app.exception and app.dataframe
"""

_WARM = """
import json, resource, statistics, time
from streamlit.testing.v1 import AppTest

def timed(app):
    started = time.perf_counter()
    app.run()
    assert not app.exception, app.exception
    return time.perf_counter() - started

result = {{"pages": {{}}, "faces": []}}
for page in {pages!r}:
    app = AppTest.from_file({home!r}, default_timeout=300)
    app.query_params["true"] = "happy"
    app.query_params["predicted"] = "neutral"
    app.run()
    if page != "overview":
        app.switch_page(f"views/{{page}}.py").run()
    timed(app)
    result["pages"][page] = statistics.median(timed(app) for _ in range(9))

for cropped in (False, True):  # the app is on Compare; each example is new to the cache once
    for name in ("happy", "surprise", "angry"):
        app.checkbox(key="cropped").set_value(cropped)
        app.button_group(key="example").set_value([name])
        result["faces"].append(timed(app))
result["models"] = len([m for m in app.markdown if m.value.startswith("**")])
result["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(result))
"""


def _python(script: str) -> str:
    code = textwrap.dedent(script).format(home=str(HOME), pages=PAGES)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def measure() -> Iterator[Result]:
    """Measures pages in processes of their own, through the application's entry."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        _python(_COLD)
        times.append(time.perf_counter() - started)
    cold = sorted(times)[1]
    yield Result(
        "leaderboard, cold: Python start to page", f"{cold:.1f} s", "", f"{COLD_S} s", cold < COLD_S
    )
    warm = json.loads(_python(_WARM).splitlines()[-1])
    for page, rerun in warm["pages"].items():
        yield Result(
            f"{page}, warm rerun (median)",
            f"{1000 * rerun:.0f} ms",
            "",
            f"{RERUN_MS} ms",
            1000 * rerun < RERUN_MS,
        )
    faces = sorted(warm["faces"][1:])
    yield Result(
        f"Compare on a new face, {warm['models']} models with overlays",
        f"{1000 * faces[len(faces) // 2]:.0f} ms",
    )
    memory = warm["rss"] / 2**30
    yield Result(
        "peak resident memory, all models loaded",
        f"{memory:.2f} GiB",
        "",
        f"{MEMORY_GIB} GiB",
        memory < MEMORY_GIB,
    )
