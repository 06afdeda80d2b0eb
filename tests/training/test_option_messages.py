"""Every option that a message, a help text or a document names exists."""

import ast
import re
from pathlib import Path

import pytest
import typer

from training.__main__ import app

ROOT = Path(__file__).parents[2]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?![a-z0-9-]|\.[a-z])")
"""An option; Streamlit's have a dot in them."""
OF_OTHERS = {"--help", "--version", "--upgrade", "--force-reinstall", "--no-deps"} | {
    "--timeout-graceful-shutdown"
}
"""What every command has, and those of pip and uvicorn."""


def options() -> set[str]:
    """Returns the options of all commands."""
    result = set()
    command = typer.main.get_command(app)
    for part in (command.get_command(None, name) for name in command.list_commands(None)):
        for parameter in part.params:
            result |= {*parameter.opts, *parameter.secondary_opts}
    return result


def strings(path: Path) -> list[str]:
    """Returns the strings of a module, docstrings and parts of f-strings included."""
    return [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("folder", ["fer_core/data", "fer_core/synthetic", "training/commands"])
def test_every_option_that_a_message_names_exists(folder: str) -> None:
    known = options() | OF_OTHERS
    unknown = {
        f"{path.relative_to(ROOT)}: {option}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in strings(path)
        for option in OPTION.findall(text)
        if option not in known
    }
    assert unknown == set()


def test_every_option_named_in_data_md_exists() -> None:
    known = options() | OF_OTHERS
    text = (ROOT / "docs/data.md").read_text()
    assert {option for option in OPTION.findall(text) if option not in known} == set()


def test_messages_name_their_options() -> None:
    """The walk sees messages: those of the readers name these."""
    text = " ".join(
        value for path in (ROOT / "fer_core/data").rglob("*.py") for value in strings(path)
    )
    assert set(OPTION.findall(text)) >= {
        "--annotation", "--any-classes", "--codes", "--format", "--image", "--label",
        "--map-class", "--min-class", "--plan", "--split", "--test-from",
        "--votes",
    }  # fmt: skip
