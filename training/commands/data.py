"""Commands that make data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_core.project import data_root
from training.options import Artifacts, Data, benchmark_dir


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

    benchmark = benchmark_dir(name, artifacts)
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
