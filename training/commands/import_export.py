"""Commands that bring runs to other programs, and other programs' answers here."""

from pathlib import Path
from typing import Annotated

import typer

from fer_core.errors import RecipeError
from fer_core.project import data_root
from training.options import Artifacts, Benchmark, Data, benchmark_dir, open_dataset

_HALF = (0.5, 0.5, 0.5)


def export(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="model.onnx in the run's folder"),
    ] = None,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Write a run as ONNX, checked against the network it copies.

    The file carries its classes, input size, mean and std in its metadata (key `ferscope`).
    It is checked on test images, or on drawn faces where the prepared set is not here.
    """
    from fer_core.data.imaging import SampleFormat
    from training.jobs.import_export import CHECKED, export_run
    from training.terminal.progress import console

    place = benchmark_dir(benchmark, artifacts)
    info = place.info()
    prepared = ((data or data_root()) / benchmark / "images.npy").is_file()
    dataset = open_dataset(benchmark, data) if prepared else None
    path = out or place.run(run).onnx_path
    difference = export_run(place.run(run), SampleFormat(info.side, info.colour), path, dataset)
    shown = "test images" if prepared else "drawn faces (the prepared set is not here)"
    console.print(f"wrote {path}", markup=False)
    console.print(f"checked on {CHECKED} {shown}: probabilities differ by {difference:.1e} at most")


def import_(
    benchmark: Benchmark,
    file: Annotated[
        Path, typer.Argument(help="Predictions (.csv, .parquet) or a network (.onnx).")
    ],
    name: Annotated[str, typer.Option(help="Run id that it gets.")],
    title: Annotated[
        str | None, typer.Option(help="Name that is shown.", show_default="the run id")
    ] = None,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Of a table: it used test-time augmentation.")
    ] = False,
    labels: Annotated[
        str | None, typer.Option(help="Of a foreign .onnx: its classes in order, by commas.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Of a foreign .onnx: input side in pixels.")
    ] = None,
    mean: Annotated[
        tuple[float, float, float],
        typer.Option(help="Of a foreign .onnx: subtracted from values in 0 to 1."),
    ] = _HALF,
    std: Annotated[
        tuple[float, float, float], typer.Option(help="Of a foreign .onnx: divides afterwards.")
    ] = _HALF,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    r"""Add a model that was trained elsewhere to the leaderboard.

    Predictions: a table with a column `id` and one column of probabilities a class, for every
    validation and test sample (samples.parquet of the benchmark lists them):

        python -m training import ferplus theirs.csv --name theirs --title "Their model"

    A network: an ONNX file of ours as it is; one of others with what it expects:

        python -m training import ferplus net.onnx --name net --image-size 64 \
            --labels angry,disgust,fear,happy,neutral,sad,surprise
    """
    from fer_core.engine.onnx import OnnxInput
    from fer_core.labels import canonical_name
    from training.jobs.import_export import import_onnx, import_table
    from training.terminal.reports import print_report

    place = benchmark_dir(benchmark, artifacts)
    run = place.run(name)
    if file.suffix.lower() != ".onnx":
        if labels is not None or image_size is not None or (mean, std) != (_HALF, _HALF):
            raise RecipeError(
                "--labels, --image-size, --mean and --std are of an .onnx file; the columns of a "
                "table name its classes."
            )
        print_report(import_table(file, place, run, title=title or name, augmented=augmented))
        return
    if augmented:
        raise RecipeError("--augmented is of a table; an .onnx file is asked here, without it.")
    if (labels is None) != (image_size is None):
        raise RecipeError("A foreign .onnx needs both --labels and --image-size.")
    given = None
    if labels is not None and image_size is not None:
        names = tuple(canonical_name(label) for label in labels.split(","))
        given = OnnxInput(image_size, mean, std, names)
    dataset = open_dataset(benchmark, data)
    print_report(import_onnx(file, dataset, place, run, title=title or name, given=given))
