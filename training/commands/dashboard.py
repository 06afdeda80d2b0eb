"""Commands that serve the dashboard and the HTTP service."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.extras import require_package
from fer_core.project import artifacts_root
from training.options import Artifacts, Data

SERVICE = "fer_core.serving.app:app"
"""The ASGI application; named, not imported: commands and service do not import each other."""


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8501,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to serve on. With localhost, pages accept paths of this machine.",
            show_default="all interfaces",
        ),
    ] = None,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Serve the dashboard at http://localhost:8501.

    Shows the benchmarks in the artifacts folder. Images that may not be published appear once they
    are attached (on a page, or with `attach`) or prepared in the data folder. Example:

        python -m training dashboard --port 8502
    """
    spec = importlib.util.find_spec("dashboard")  # located, not imported
    if spec is None or spec.origin is None:
        raise typer.BadParameter("The package dashboard is not installed: pip install ferscope")
    _require_benchmarks(artifacts)
    if data:
        os.environ["FERSCOPE_DATA"] = str(data.resolve())
    home = Path(spec.origin).with_name("Home.py")
    address = [f"--server.address={host}"] if host else []
    options = (f"--server.port={port}", "--server.headless=true", *address)
    _replace_by("streamlit", "run", str(home), *options)


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to serve on; 0.0.0.0 for all interfaces.")
    ] = "localhost",
    benchmark: Annotated[
        str | None,
        typer.Option(help="Benchmark whose runs predict.", show_default="ferplus, else the first"),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            help="Run that clients may use. May be repeated.",
            show_default="all",
        ),
    ] = None,
    operating_point: Annotated[
        Path | None,
        typer.Option(
            help="File with a run's thresholds by class, from the page Verdict or `recommend`. "
            "Below its thresholds, the run gives no label.",
            show_default="none",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Processes. Each loads its own models and counts its own limits."
        ),
    ] = 1,
    artifacts: Artifacts = None,
) -> None:
    """Serve predictions over HTTP at http://localhost:8000; /docs describes the API.

    Pictures stay in memory; nothing is written. SIGTERM ends it after the requests in progress, for
    at most 30 seconds. Example:

        python -m training serve --benchmark ferplus --port 8080
    """
    require_package("fastapi")
    _require_benchmarks(artifacts)
    if benchmark:
        os.environ["FERSCOPE_BENCHMARK"] = benchmark
    if run:
        os.environ["FERSCOPE_RUNS"] = ",".join(run)
    if operating_point:
        if not operating_point.is_file():
            raise ArtifactError(
                f"There is no file {operating_point}. Save an operating point first."
            )
        os.environ["FERSCOPE_OPERATING_POINT"] = str(operating_point.resolve())
    stop = "--timeout-graceful-shutdown=30"
    _replace_by(
        "uvicorn", SERVICE, f"--host={host}", f"--port={port}", f"--workers={workers}", stop
    )


def _require_benchmarks(artifacts: Path | None) -> None:
    """Sets the artifacts folder for the server.

    Raises:
        ArtifactError: If it has no benchmark.
    """
    folder = (artifacts or artifacts_root()).resolve()
    if not ArtifactStore(folder).benchmarks():
        raise ArtifactError(
            f"There is no benchmark in {folder}. Pass the folder of benchmarks with --artifacts or "
            "FERSCOPE_ARTIFACTS, or prepare a dataset: ferscope prepare --help."
        )
    os.environ["FERSCOPE_ARTIFACTS"] = str(folder)


def _replace_by(module: str, *arguments: str) -> NoReturn:
    """Replaces this process by a Python module, which then gets its signals directly."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
