"""Checks a built wheel outside the checkout: `python -m tests.support.check_wheel dist/*.whl`.

The wheel is unpacked beside the packages that are installed already, so the check needs no network
and no second copy of torch. CI also installs it with its dependencies into a new environment.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LOCATE = "import fer_core, training, dashboard; print(fer_core.__file__)"
SECONDS_TO_START = 60
ARTIFACTS = Path(__file__).resolve().parent.parent.parent / "artifacts"


def main(wheel: Path) -> None:
    """Installs the wheel in a temporary folder, runs its commands and serves its dashboard."""
    with tempfile.TemporaryDirectory() as name:
        packages, elsewhere = Path(name) / "packages", Path(name) / "elsewhere"
        elsewhere.mkdir()
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(packages)]
        subprocess.run([*pip, str(wheel)], check=True)
        environment = os.environ | {"PYTHONPATH": str(packages)}

        def python(*arguments: str) -> str:
            return subprocess.run(
                [sys.executable, *arguments],
                cwd=elsewhere, env=environment, check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip

        assert python("-c", LOCATE).startswith(str(packages)), "the checkout was imported instead"
        assert "efficientnet_lite0" in python("-m", "training", "recipes")
        assert "open_benchmark" in python("-c", "import fer_core; print(fer_core.open_benchmark)")
        assert (packages / "bin" / "ferscope").is_file()
        refused = subprocess.run(
            [sys.executable, "-m", "training", "dashboard"],
            cwd=elsewhere, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert "There is no benchmark in" in refused.stderr, refused.stderr
        serve("dashboard", "_stcore/health", elsewhere, environment)
        serve("serve", "openapi.json", elsewhere, environment)
    print(f"{wheel.name}: commands and dashboard work outside the checkout")  # noqa: T201


def serve(name: str, path: str, folder: Path, environment: dict[str, str]) -> None:
    """Starts `ferscope <name>` on the checkout's artifacts and waits until it answers."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "training", name, "--port", str(port)]
    command += ["--artifacts", str(ARTIFACTS)]
    server = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        wait_for(f"http://localhost:{port}/{path}", server)
    finally:
        server.terminate()
        server.wait(10)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Returns once the address answers; raises if the server ends or takes too long."""
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{address} did not answer within {SECONDS_TO_START} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
