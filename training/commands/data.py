"""Commands that make data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_core.data.sources.base import SYNTHETIC, Format
from fer_core.project import data_root
from training.options import Artifacts, Data, benchmark_dir


def prepare(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A file or folder of any known dataset, `synthetic`, or `owner/name` of a "
            "Hugging Face dataset with `--format huggingface`. Left out with --plan."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of the benchmark that the set becomes.", show_default=False)
    ] = "",
    plan: Annotated[
        Path | None,
        typer.Option(help="A yaml plan: several sources, mapping, cleaning, balancing, splits."),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="The dataset's format.", show_default="recognised"),
    ] = None,
    votes: Annotated[
        Path | None,
        typer.Option(help="fer2013new.csv of FER+.", show_default="the one beside fer2013.csv"),
    ] = None,
    labels: Annotated[
        Literal["ferplus", "fer2013"] | None,
        typer.Option(
            help="FER2013: which annotation is the label; the other is kept beside it.",
            show_default="ferplus where votes are found",
        ),
    ] = None,
    map_class: Annotated[
        list[str] | None,
        typer.Option(help="Rename a class, `theirs=ours`; `theirs=` leaves it out."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take at most so many images, drawn at random.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Synthetic: how many faces to draw.")] = 1400,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults",
            help="Synthetic: plant copies, wrong labels and odd pictures, and simulate annotators.",
        ),
    ] = False,
    side: Annotated[
        int, typer.Option(min=16, max=512, help="Side of the stored images in pixels.")
    ] = 48,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Seed of the split, where the set has none, and of drawn faces."),
    ] = 0,
    split: Annotated[
        Literal["source", "random"],
        typer.Option(help="random: forget the set's own split and draw one, 80/20 by class."),
    ] = "source",
    faces: Annotated[
        Literal["keep", "require", "crop"],
        typer.Option(help="Look for faces: set pictures without one aside; crop to the face."),
    ] = "keep",
    min_side: Annotated[
        int, typer.Option(min=0, help="Set pictures (or cropped faces) below this side aside.")
    ] = 0,
    drop_flat: Annotated[
        bool, typer.Option("--drop-flat", help="Set pictures of one grey level aside.")
    ] = False,
    relabel: Annotated[
        Path | None,
        typer.Option(help="A csv with id and label, as the Data quality page exports it."),
    ] = None,
    ship_pictures: Annotated[
        bool,
        typer.Option(
            "--ship-pictures",
            help="Put the pictures among the benchmark's artifacts, too. Only where you may "
            "publish them: `synthetic`, or pictures of your own.",
        ),
    ] = False,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Read datasets, clean them, find duplicates, split, and write a set ready for training.

    FER2013 with FER+ votes:

        python -m training prepare path/to/fer2013.csv --name ferplus

    RAF-DB, AffectNet, Human Emotions, a folder with one subfolder a class, parquet files:

        python -m training prepare path/to/dataset --name mine --side 96

    Drawn faces, which need no download:

        python -m training prepare synthetic --name drawn --side 64

    Several sources, balanced and cleaned, by a plan (see the README):

        python -m training prepare --plan mixed.yaml --name mixed
    """
    from fer_core.data.plan import parse_plan, read_plan
    from fer_core.data.prepare import prepare_plan, publish_facts
    from fer_core.synthetic.face import MIN_SIDE
    from training.terminal.progress import show_progress
    from training.terminal.reports import print_preparation

    if not name:
        raise typer.BadParameter("give the benchmark a name", param_hint="--name")
    if (source is None) == (plan is None):
        raise typer.BadParameter("give either a source or a --plan")
    benchmark = benchmark_dir(name, artifacts)
    if plan is not None:
        _refuse_beside_plan(context)
        resolved = read_plan(plan)
    else:
        reader = {
            "path": str(source),
            "format": format_,
            "mapping": dict(_pair(text) for text in map_class or []),
            "limit": limit,
            "votes": votes,
            "labels": labels,
        }
        if source == SYNTHETIC:
            reader |= {
                "count": count, "side": max(side, MIN_SIDE), "seed": seed, "faults": faults
            }  # fmt: skip
        content = {
            "sources": [{key: value for key, value in reader.items() if value}],
            "side": side,
            "split": {"seed": seed, "by": split},
            "clean": {"faces": faces, "min_side": min_side, "drop_flat": drop_flat},
            "relabel": relabel,
            "ship_pictures": ship_pictures,
        }
        resolved = parse_plan(content, "of these options")
    folder = (data or data_root()) / name
    dataset = prepare_plan(resolved, folder, name=name, benchmark=benchmark, progress=show_progress)
    publish_facts(dataset, benchmark)
    print_preparation(dataset, benchmark)


def examples(
    folder: Annotated[Path, typer.Argument(help="Where the pictures are written.")],
) -> None:
    """Draw the synthetic example faces that the dashboard offers."""
    from training.examples import write_examples
    from training.terminal.progress import console

    for path in write_examples(folder):
        console.print(str(path), markup=False)


def _refuse_beside_plan(context: typer.Context) -> None:
    """Refuses options that a plan says itself: they would have no effect."""
    allowed = {"plan", "name", "artifacts", "data"}
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in allowed
        and getattr(context.get_parameter_source(str(parameter.name)), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(f"write {', '.join(given)} into the plan: it is read from there")


def _pair(text: str) -> tuple[str, str]:
    theirs, separator, ours = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"write {text!r} as theirs=ours")
    return theirs, ours
