"""The list of commands: complete, and worded like the commands themselves."""

import ast
import importlib
from pathlib import Path

import pytest
import typer

from training.__main__ import app
from training.lazy import COMMANDS, LazyCommands

FOLDER = Path(importlib.import_module("training.commands").__file__).parent


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_help_of_the_list(name):
    group = typer.main.get_command(app)
    assert isinstance(group, LazyCommands)
    group._listing = True
    listed = group.get_command(None, name)
    group._listing = False
    command = group.get_command(None, name)
    assert command.name == name
    first_sentence = command.help.split("\n\n")[0]
    assert listed.help.split("\n\n")[0].split() == first_sentence.split()


def test_unknown_commands_are_none():
    assert typer.main.get_command(app).get_command(None, "predictt") is None


def test_every_public_function_with_an_example_is_a_command():
    known = set(COMMANDS.values())
    for path in FOLDER.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and "Example:" in (ast.get_docstring(node) or ""):
                assert (path.stem, node.name) in known
