"""The command line: `python -m training --help`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.config import EnsembleRecipe, load_recipe, recipe_names
from fer_core.errors import FerscopeError, RecipeError
from fer_core.project import artifacts_root, data_root

# Everything that needs torch is imported inside the commands: --help stays instant.

RECIPES = Path(__file__).parent / "recipes"

app = typer.Typer(
    name="training",
    help="Turns data into runs: prepare a dataset, train recipes on it, publish the results.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)

Benchmark = Annotated[str, typer.Argument(help="Name of a prepared benchmark, such as ferplus.")]
Artifacts = Annotated[
    Path | None,
    typer.Option(help="Folder of benchmarks and runs.", show_default="artifacts/"),
]
Data = Annotated[Path | None, typer.Option(help="Folder of prepared sets.", show_default="data/")]
DeviceOption = Annotated[
    Literal["auto", "cpu"], typer.Option(help="auto takes a GPU where there is one.")
]
Profile = Annotated[
    Literal["cpu", "gpu"],
    typer.Option(help="Size of the training: an evening on a laptop, or a GPU."),
]


def _benchmark(name: str, artifacts: Path | None) -> BenchmarkDir:
    return ArtifactStore(artifacts or artifacts_root()).benchmark(name)


@app.command()
def prepare(
    source: Annotated[
        Path, typer.Argument(help="fer2013.csv (also .gz, .zip), or a folder of images by class.")
    ],
    name: Annotated[str, typer.Option(help="Name of the benchmark that the set becomes.")],
    votes: Annotated[
        Path | None,
        typer.Option(help="fer2013new.csv of FER+.", show_default="the one beside fer2013.csv"),
    ] = None,
    labels: Annotated[
        Literal["ferplus", "fer2013"] | None,
        typer.Option(
            help="Which annotation is the label; the other is kept beside it.",
            show_default="ferplus where votes are found",
        ),
    ] = None,
    map_class: Annotated[
        list[str] | None,
        typer.Option(help="Rename a folder's class, `theirs=ours`; `theirs=` leaves it out."),
    ] = None,
    side: Annotated[
        int, typer.Option(min=16, max=512, help="Side of the stored images in pixels.")
    ] = 48,
    seed: Annotated[int, typer.Option(help="Seed of the split, where the set has none.")] = 0,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Read a dataset, find duplicates, split it, and write it ready for training.

    FER2013 with FER+ votes:

        python -m training prepare path/to/fer2013.csv --name ferplus

    A folder with one subfolder a class (with or without train/validation/test above them):

        python -m training prepare path/to/images --name mine --side 96
    """
    from fer_core.data.prepare import prepare as prepare_set
    from fer_core.data.prepare import publish_facts
    from fer_core.data.sources.base import Source
    from fer_core.data.sources.fer2013 import Fer2013Source
    from fer_core.data.sources.folder import FolderSource
    from training.console import console, show_progress

    benchmark = _benchmark(name, artifacts)
    reader: Source
    if source.is_dir():
        reader = FolderSource(source, mapping=dict(_pair(text) for text in map_class or []))
    else:
        reader = Fer2013Source(source, votes, labels)
    dataset = prepare_set(
        reader,
        (data or data_root()) / name,
        name=name,
        side=side,
        seed=seed,
        progress=show_progress,
    )
    publish_facts(dataset, benchmark)
    info = dataset.info
    for split, counts in info.counts.items():
        console.print(f"{split}: {sum(counts.values())} images", counts)
    for reason, count in info.excluded.items():
        console.print(f"left out: {count} ({reason})")
    for key, reason in info.skipped.items():
        console.print(f"skipped {key}: {reason}", markup=False)
    console.print(f"split hash {info.split_hash}; {info.leaked_test} test images leak")


@app.command()
def recipes() -> None:
    """List the recipes."""
    from training.console import console

    for name in recipe_names(RECIPES):
        console.print(f"{name}: {load_recipe(RECIPES, name).description}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; see `recipes`.")],
    benchmark: Annotated[str, typer.Option(help="Name of the prepared benchmark.")],
    profile: Profile = "cpu",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: `optim.lr=0.0005`. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")
    ] = False,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this time; go on with --resume.")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps on a few images; keeps nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Train again a run that is finished.")
    ] = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Train a recipe (or average an ensemble's members) and write the run.

    On several GPUs: `accelerate launch -m training train ...`
    """
    from fer_core.data.prepared import PreparedDataset
    from training import jobs
    from training.console import TrainingBar, console, print_report

    place = _benchmark(benchmark, artifacts)
    resolved = load_recipe(RECIPES, recipe, profile, [*(set_ or []), *_seed_override(recipe, seed)])
    run = place.run(jobs.run_name(resolved, seed))
    if run.info_path.is_file() and not overwrite and not smoke:
        console.print(f"{run.run_id} is finished. Train it again with --overwrite.")
        return
    if isinstance(resolved, EnsembleRecipe):
        done = jobs.build_ensemble(resolved, place, seed)
        print_report(done)
        return
    dataset = PreparedDataset.open((data or data_root()) / benchmark)
    if smoke:
        result, left_out = jobs.smoke_network(resolved, dataset, place, TrainingBar(visible=False))
        loss = result.history[-1].train_loss
        console.print(f"{recipe} ({profile}) runs: two steps, loss {loss:.2f}. {left_out}")
        return
    if not place.info_path.is_file():
        raise FerscopeError(
            f"{place.root} has no benchmark.json. Run `python -m training prepare` first."
        )
    with TrainingBar(visible=jobs.is_main_process()) as bar:
        finished = jobs.train_network(
            resolved,
            dataset,
            place,
            bar,
            resume=resume,
            max_minutes=max_minutes,
            device=None if device == "auto" else device,
        )
    if not jobs.is_main_process():
        return
    if finished is None:
        console.print("The time is up; the checkpoint is saved. Go on with --resume.")
        return
    print_report(finished)


@app.command()
def benchmark(
    benchmark: Benchmark,
    profile: Profile = "cpu",
    only: Annotated[
        list[str] | None, typer.Option(help="Train this recipe only; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each recipe so many times.")] = 1,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Time for all of it; go on by calling again.")
    ] = None,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Train all recipes in turn, then the ensembles.

    Finished runs are skipped, interrupted ones go on where they stopped, and a recipe that
    fails does not hold up the others: the table at the end says why.
    """
    from fer_core.data.prepared import PreparedDataset
    from training.console import print_outcomes
    from training.many import train_all

    unknown = sorted(set(only or []) - set(recipe_names(RECIPES)))
    if unknown:
        raise RecipeError(
            f"There is no recipe {', '.join(unknown)}. "
            f"Known recipes: {', '.join(recipe_names(RECIPES))}."
        )
    dataset = PreparedDataset.open((data or data_root()) / benchmark)
    outcomes = train_all(
        RECIPES,
        only or recipe_names(RECIPES),
        profile,
        dataset,
        _benchmark(benchmark, artifacts),
        seeds=seeds,
        max_minutes=max_minutes,
        device=None if device == "auto" else device,
    )
    print_outcomes(outcomes)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def evaluate(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Predict validation and test again from a run's weights, and rewrite its report."""
    from fer_core.data.prepared import PreparedDataset
    from training import jobs
    from training.console import print_report

    place = _benchmark(benchmark, artifacts).run(run)
    dataset = PreparedDataset.open((data or data_root()) / benchmark)
    jobs.evaluate_run(place, dataset, None if device == "auto" else device)
    print_report(place)


@app.command()
def publish(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Turn a run's weights into a checked float16 copy, fit to ship, and drop its checkpoints."""
    from fer_core.data.prepared import PreparedDataset
    from training import jobs
    from training.console import print_report

    place = _benchmark(benchmark, artifacts).run(run)
    dataset = PreparedDataset.open((data or data_root()) / benchmark)
    jobs.publish_run(place, dataset, device=None if device == "auto" else device)
    print_report(place)


@app.command()
def examples(
    folder: Annotated[Path, typer.Argument(help="Where the pictures are written.")],
) -> None:
    """Draw the synthetic example faces that the dashboard offers."""
    from training.console import console
    from training.examples import write_examples

    for path in write_examples(folder):
        console.print(str(path), markup=False)


def _pair(text: str) -> tuple[str, str]:
    theirs, separator, ours = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"write {text!r} as theirs=ours")
    return theirs, ours


def _seed_override(recipe: str, seed: int) -> list[str]:
    """An ensemble recipe has no training part to put a seed into."""
    if recipe in recipe_names(RECIPES) and isinstance(load_recipe(RECIPES, recipe), EnsembleRecipe):
        return []
    return [f"train.seed={seed}"]


def main() -> None:
    """Runs the command line; an error that the user can mend is one line, without a trace."""
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
