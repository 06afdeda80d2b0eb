"""Commands that are imported when they run, so that the list of commands appears at once."""

import ast
import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo

_FOLDER = Path(__file__).parent / "commands"

COMMANDS: Mapping[str, tuple[str, str]] = {
    function.strip("_").replace("_", "-"): (module, function)
    for module, function in (
        ("data", "prepare"),
        ("data", "attach"),
        ("data", "pack"),
        ("data", "unpack"),
        ("data", "find_copies"),
        ("runs", "recipes"),
        ("runs", "train"),
        ("runs", "benchmark"),
        ("runs", "ensemble"),
        ("runs", "evaluate"),
        ("runs", "publish"),
        ("cards", "card"),
        ("predict", "predict"),
        ("transfer", "transfer"),
        ("adapt", "adapt"),
        ("explain", "explain"),
        ("import_export", "export"),
        ("import_export", "convert_detector"),
        ("import_export", "convert_face"),
        ("measure", "robustness"),
        ("measure", "efficiency"),
        ("probe", "probe"),
        ("embed", "embed"),
        ("measure", "report"),
        ("recommend", "recommend"),
        ("labels", "check_labels"),
        ("labels", "compare_labels"),
        ("measure", "ledger"),
        ("variants", "compare_variants"),
        ("data", "examples"),
        ("data", "action_units"),
        ("dashboard", "dashboard"),
        ("dashboard", "serve"),
        ("import_model", "import_"),
    )
}
"""Module and function of each command by name, in the order of the help."""


class LazyCommands(TyperGroup):
    """The commands of `COMMANDS`."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 (click's)
        """Returns the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 (click's)
        """Returns a command, or None; for the list of commands, only its name and help."""
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=_help(*COMMANDS[cmd_name]))
        return _command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 (click's)
        """Writes the list of commands without importing them."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


@cache
def _command(name: str) -> Any:  # noqa: ANN401 (click's)
    module_name, function = COMMANDS[name]
    module = importlib.import_module(f"training.commands.{module_name}")
    return typer.main.get_command_from_info(
        CommandInfo(
            name=name,
            callback=getattr(module, function),
            cls=getattr(module, "ImportCommand", TyperCommand),
        ),
        pretty_exceptions_short=True,
        rich_markup_mode="markdown",
    )


@cache
def _help(module: str, function: str) -> str:
    """Returns the docstring of a command, read from its source."""
    return _docstrings(module).get(function, "")


@cache
def _docstrings(module: str) -> dict[str, str]:
    tree = ast.parse((_FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
