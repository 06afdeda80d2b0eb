"""The command line: `ferscope --help` or `python -m training --help`."""

import sys

import typer

from fer_core.errors import FerscopeError
from fer_core.extras import missing_extra
from training.allocator import COMMANDS, keep_freed_memory
from training.lazy import LazyCommands

# Commands are imported when they run, and import torch inside their functions.

app = typer.Typer(
    cls=LazyCommands,
    help="Train, evaluate, compare and explain facial-expression classifiers.\n\n"
    "Start with `prepare` (a dataset), `train` (a recipe) and `dashboard` (the results). The help "
    "of each command, such as `train --help`, has an example.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _commands() -> None:
    """Makes `app` a group; its commands are those of `training.lazy`."""


def main() -> None:
    """Runs the command line; an error that the user can fix is one line without a traceback."""
    if COMMANDS.intersection(sys.argv[1:2]):
        keep_freed_memory()
    try:
        app()
    except FerscopeError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        _fail(missing)


def _fail(error: FerscopeError) -> None:
    from rich.console import Console

    Console(stderr=True).print(f"[bold red]Error:[/] {_plain(error)}")
    sys.exit(1)


def _plain(error: FerscopeError) -> str:
    from rich.markup import escape

    return escape(str(error))


if __name__ == "__main__":
    main()
