"""The command line: `ferscope --help` or `python -m training --help`."""

import sys

import typer

from fer_core.errors import FerscopeError
from training.allocator import keep_freed_memory
from training.commands import (
    dashboard,
    data,
    explain,
    import_export,
    import_model,
    measure,
    predict,
    probe,
    recommend,
    runs,
    transfer,
)

# Commands import torch inside their functions, so that --help is fast.

app = typer.Typer(
    help="Train, evaluate, compare and explain facial-expression classifiers.\n\n"
    "Start with `prepare` (a dataset), `train` (a recipe) and `dashboard` (the results). The help "
    "of each command, such as `train --help`, has an example.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
for command in (
    data.prepare,
    data.attach,
    data.pack,
    data.unpack,
    data.find_copies,
    runs.recipes,
    runs.train,
    runs.benchmark,
    runs.ensemble,
    runs.evaluate,
    runs.publish,
    predict.predict,
    transfer.transfer,
    explain.explain,
    import_export.export,
    import_export.convert_detector,
    import_export.convert_face,
    measure.robustness,
    measure.efficiency,
    probe.probe,
    measure.report,
    recommend.recommend,
    measure.check_labels,
    measure.compare_labels,
    measure.ledger,
    data.examples,
    dashboard.dashboard,
    dashboard.serve,
):
    app.command(command.__name__.removesuffix("_").replace("_", "-"))(command)
app.command("import", cls=import_model.ImportCommand)(import_model.import_)


def main() -> None:
    """Runs the command line; an error that the user can fix is one line without a traceback."""
    keep_freed_memory()
    try:
        app()
    except FerscopeError as error:
        from rich.console import Console

        Console(stderr=True).print(f"[bold red]Error:[/] {_plain(error)}")
        sys.exit(1)


def _plain(error: FerscopeError) -> str:
    from rich.markup import escape

    return escape(str(error))


if __name__ == "__main__":
    main()
