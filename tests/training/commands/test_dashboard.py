"""Options of the commands that serve, as the server's environment."""

import os

from typer.testing import CliRunner

from training import __main__ as cli
from training.commands import dashboard


def test_the_runs_that_clients_can_use_reach_the_service(toy, monkeypatch):
    monkeypatch.setattr(dashboard, "_replace_by", lambda *_: None)
    for name in ("FERSCOPE_RUNS", "FERSCOPE_ARTIFACTS"):
        monkeypatch.setenv(name, "")  # restored after the test
    options = ["serve", "--artifacts", str(toy.artifacts), "--run", "a", "--run", "b"]
    result = CliRunner().invoke(cli.app, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert os.environ["FERSCOPE_RUNS"] == "a,b"
