"""Checks the light installation: `python -m tests.support.check_light [--hide] [--one]`.

Opens pages and predicts a drawn face without the packages of the extra `full`. `--hide` hides them
where they are installed; `--one` predicts with the drawn
faces' benchmark alone. Prints one line per check, and the installed size.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("FERSCOPE_WARM_MODELS", "0")

from tests.support.hide_full import hide

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("overview", "leaderboard", "confusion", "compare", "live")
TORCH_PAGES = ("saliency", "features")


def main(*, hidden: bool, one: bool) -> None:
    if hidden:
        hide()
    check_answers("synthetic" if one else "")
    check_command_line()
    check_pages()
    assert "torch" not in sys.modules
    if not hidden:
        check_size()


def check_answers(only: str) -> None:
    """Predicts a drawn face with every network that ships, and with the ensembles of them."""
    import numpy as np

    from fer_core.artifacts import ArtifactStore
    from fer_core.data.sources.synthetic import portrait
    from fer_core.errors import FerscopeError
    from fer_core.predictor import Prediction, Predictor

    face = portrait(512, "happy", 96).image
    for benchmark in ArtifactStore(ROOT / "artifacts").benchmarks():
        if only not in benchmark.name:
            continue
        predictor = Predictor(benchmark)
        started = time.perf_counter()
        results = predictor.try_predict([face], [info.run_id for info in predictor.runs()])
        for run_id, result in results.items():
            if isinstance(result, FerscopeError):
                assert "lora" in run_id, result  # the base of an adapter is elsewhere
                assert "ferscope[full]" in str(result), result
                continue
            assert isinstance(result, Prediction)
            np.testing.assert_allclose(result.probabilities.sum(), 1, atol=1e-6)
        answered = sum(isinstance(result, Prediction) for result in results.values())
        seconds = time.perf_counter() - started
        print(f"{benchmark.name}: {answered} of {len(results)} runs answer, {seconds:.1f} s")  # noqa: T201


def check_command_line() -> None:
    """Runs `predict` on a drawn face; `explain` and `serve` must name the extra."""
    import contextlib
    import io

    from PIL import Image

    from fer_core.data.sources.synthetic import portrait
    from training.__main__ import main as ferscope

    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "face.png"
        Image.fromarray(portrait(512, "happy", 96).image).save(picture)
        options = ["--benchmark", "synthetic", "--run", "efficientnet_lite0-cpu-s0"]
        options += [
            "--artifacts",
            str(ROOT / "artifacts"),
            "--out",
            str(picture.with_suffix(".csv")),
        ]
        for command, expected in (
            (["predict", str(picture), "--cropped", *options], "1 rows in"),
            (["explain", "synthetic", "--artifacts", str(ROOT / "artifacts")], "ferscope[full]"),
            (["serve", "--artifacts", str(ROOT / "artifacts")], "ferscope[full]"),
        ):
            output = io.StringIO()
            sys.argv = ["ferscope", *command]
            with (
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(output),
                contextlib.suppress(SystemExit),
            ):
                ferscope()
            text = " ".join(output.getvalue().split())
            assert expected in text, text
            assert "Traceback" not in text, text
            print(f"ferscope {command[0]}: {expected!r} is in its output")  # noqa: T201


def check_pages() -> None:
    """Opens pages through Home.py; those that need PyTorch must say so without an exception."""
    import streamlit_webrtc
    from streamlit.testing.v1 import AppTest

    from dashboard.pages import BY_NAME

    # the camera needs a real server
    streamlit_webrtc.webrtc_streamer = lambda *arguments, **options: None
    test = AppTest.from_file(str(ROOT / "dashboard" / "Home.py"), default_timeout=120)
    test.run()
    for name in (*PAGES, *TORCH_PAGES):
        started = time.perf_counter()
        if name != PAGES[0]:
            test.switch_page(BY_NAME[name].path).run()
        assert not test.exception, (name, test.exception)
        says = any("ferscope[full]" in info.value for info in test.info)
        assert says == (name in (*TORCH_PAGES, "compare")), name
        if name == "compare":  # it has predictions and names the extra for its maps
            assert any(item.value.startswith("### ") for item in test.markdown)
        result = "names the extra" if name in TORCH_PAGES else "opens"
        print(f"page {name}: {result}, {time.perf_counter() - started:.1f} s")  # noqa: T201


def check_size() -> None:
    """Prints the size of the environment, which must be under 900 MB."""
    files = [
        path for path in Path(sys.prefix).rglob("*") if path.is_file() and not path.is_symlink()
    ]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    compiled = sum(path.stat().st_size for path in files if path.suffix == ".pyc") / 1e6
    print(f"installed: {megabytes:.0f} MB, {compiled:.0f} MB of it compiled Python")  # noqa: T201
    assert megabytes < 900


if __name__ == "__main__":
    main(hidden="--hide" in sys.argv, one="--one" in sys.argv)
