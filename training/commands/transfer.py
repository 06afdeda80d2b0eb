"""The command that transfers finished runs to another set of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.data.sources.base import Annotation, Format
from fer_core.data.sources.class_names import Codes
from fer_core.project import data_root
from training.options import (
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    Engine,
    Workers,
    benchmark_dir,
    local_source,
)

if TYPE_CHECKING:
    from training.jobs.transfer import TransferOptions

_READER_OPTIONS = ("codes", "any_classes", "annotation", "image", "label", "group")


def transfer(
    context: typer.Context,
    benchmark: Benchmark,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SET",
            help="A folder or zip of pictures or any dataset that `prepare` reads, on disk or at a "
            "URL (s3://, gs://, hf://, https://), or the name of a prepared dataset.",
        ),
    ],
    name: Annotated[
        str, typer.Option(help="Name of the transferred set.", show_default="the set's name")
    ] = "",
    title: Annotated[
        str, typer.Option(help="Title of the set.", show_default="the set's name")
    ] = "",
    run: Annotated[
        list[str] | None,
        typer.Option(
            help="Run id; members of an ensemble are added. May be repeated.",
            show_default="every run that can predict",
        ),
    ] = None,
    cropped: Annotated[
        bool, typer.Option("--cropped", help="The pictures are cropped faces: skip face detection.")
    ] = False,
    all_faces: Annotated[
        bool,
        typer.Option(
            "--all-faces",
            help="Use every face of a picture. A label belongs to the largest one.",
        ),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="A csv with names or ids of pictures and their labels. Other pictures have none.",
            show_default="those that the set has",
        ),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Ignore class folders and tables of labels.")
    ] = False,
    split: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        typer.Option(
            help="Split of the set to use.",
            show_default="test of a prepared dataset, else all",
        ),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="The set's format.", show_default="recognised"),
    ] = None,
    map_class: Annotated[
        list[str] | None,
        typer.Option(
            help="Map a class of the set to a class of the benchmark: `name=class`; `name=` leaves "
            "it out. May be repeated."
        ),
    ] = None,
    codes: Annotated[
        Codes | None,
        typer.Option(help="Meaning of class numbers.", show_default="required if ambiguous"),
    ] = None,
    any_classes: Annotated[
        bool, typer.Option("--any-classes", help="Accept classes that are not known emotions.")
    ] = False,
    annotation: Annotated[
        Annotation | None,
        typer.Option(
            help="Labels to use if an annotation table and class folders differ.",
            show_default="required if they differ",
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Column of pictures in a table.", show_default="usual names")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column of labels in a table.", show_default="usual names")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column of persons or sources in a table, or `folder`: each folder is a person. "
            "`adapt` keeps their images together.",
            show_default="none",
        ),
    ] = None,
    engine: Engine = "local",
    workers: Workers = None,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Evaluate a benchmark's finished runs on an external test set, such as your own faces.

    Faces are found and cropped as in `predict`; every run predicts them once. The result is a
    benchmark of its own, `BENCHMARK/transfers/NAME`, on every page of the dashboard. Some or all
    labels may be missing. Nothing is trained. A stopped transfer continues where it stopped.

        python -m training transfer ferplus path/to/photos --name photos

    Labels in a csv, for some of the pictures:

        python -m training transfer ferplus path/to/photos --name photos --labels labels.csv

    A prepared dataset:

        python -m training transfer ferplus synthetic
    """
    from training.jobs.transfer import transfer as transfer_runs
    from training.jobs.transfer_progress import TransferProgressFile
    from training.terminal.progress import show_progress
    from training.terminal.transfers import print_transfer

    origin = benchmark_dir(benchmark, artifacts)
    progress = TransferProgressFile(show_progress)
    local = local_source(source, data)
    result = transfer_runs(origin, local, _options(context), data or data_root(), progress)
    print_transfer(result)


def _options(context: typer.Context) -> "TransferOptions":
    import torch

    from fer_core.data.transfer_source import SetOptions
    from fer_core.errors import DataError
    from training.jobs.transfer import TransferOptions

    values = context.params
    mapping = {}
    for text in values["map_class"] or ():
        name, separator, target = text.partition("=")
        if not separator or not name.strip():
            raise DataError(f"--map-class {text!r} must be name=class, such as joy=happy.")
        mapping[name.strip()] = target.strip()
    if values["labels"] is not None and not values["labels"].is_file():
        raise DataError(f"There is no file {values['labels']}. Check the path of --labels.")
    return TransferOptions(
        name=values["name"] or default_name(values["source"]),
        title=values["title"],
        pictures=SetOptions(
            labels=values["labels"],
            unlabelled=values["unlabelled"],
            split=values["split"],
            form=values["format_"],
            mapping=mapping,
            reader={key: values[key] for key in _READER_OPTIONS if values[key]},
        ),
        cropped=values["cropped"],
        all_faces=values["all_faces"],
        run_ids=tuple(values["run"] or ()),
        device=torch.device("cpu") if values["device"] == "cpu" else None,
        engine=values["engine"],
        workers=values["workers"],
    )


def default_name(source: str) -> str:
    """Returns the name of a set after its folder or file, with safe characters only."""
    import re

    from fer_core.data.remote import is_url, shown_url

    path = Path(shown_url(source) if is_url(source) else source)
    stem = path.name.partition(".")[0] or path.resolve().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "set"
