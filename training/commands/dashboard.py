"""The command that serves the dashboard."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from training.options import Artifacts, Data


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8501,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Serve the dashboard at http://localhost:8501."""
    spec = importlib.util.find_spec("dashboard")  # found, not imported: commands know no page
    if spec is None or spec.origin is None:
        raise typer.BadParameter("the package dashboard is not installed: pip install ferscope")
    if artifacts:
        os.environ["FERSCOPE_ARTIFACTS"] = str(artifacts.resolve())
    if data:
        os.environ["FERSCOPE_DATA"] = str(data.resolve())
    home = Path(spec.origin).with_name("Home.py")
    options = ["--server.port", str(port), "--server.headless", "true"]
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(home), *options])  # noqa: S606
