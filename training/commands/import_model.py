"""The command that imports models and predictions as runs."""

import ast
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from fer_core.config import Rgb
from fer_core.errors import DataError, RecipeError
from training.options import (
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    device_name,
    open_dataset,
    own_benchmark,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fer_core.artifacts import BenchmarkDir, RunDir
    from fer_core.data.prepared import PreparedDataset
    from fer_core.models.published import InputOptions, PublishedModel
    from training.jobs.import_export import ImportOptions

_ELSEWHERE = (
    "Import the model to {origin}, and transfer it with `python -m training transfer {origin} "
    "PICTURES --name {set}`."
)
_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_SUFFIXES = (*_TABLES, ".onnx", ".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt", ".gz")
_ARGUMENTS_OF_OPTIONS = {"img_size": "--image-size", "num_classes": "--labels"}

_CAUSES_OF_TABLES = "columns under wrong classes (--map-class) and rows under wrong ids"
_CAUSES = (
    "another range of values (--mean 0 --std 1 for 0 to 1, --mean 0 --std 0.0039216 for 0 to 255, "
    "--mean 0.5 --std 0.5 for -1 to 1), another order of the classes (--labels), and channels in "
    "the order BGR where RGB is fed"
)
_TRIPLES = ("--mean", "--std")
_LARGEST = {"--mean": 1.0, "--std": 2.0}


class ImportCommand(TyperCommand):
    """Reads `--mean 0 0 0` as `--mean 0,0,0`, because earlier versions took three values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (click's)
        """Joins the three values of an option, then parses as usual."""
        joined: list[str] = []
        rest = list(args)
        while rest:
            joined.append(rest.pop(0))
            if joined[-1] in _TRIPLES and len(rest) >= 3 and all(map(_is_number, rest[:3])):
                joined.append(",".join(rest[:3]))
                rest = rest[3:]
        return super().parse_args(ctx, joined)


def import_(
    benchmark: Benchmark,
    source: Annotated[
        str,
        typer.Argument(
            help="hub:owner/name[@revision], a folder of transformers, weights (.safetensors, "
            ".pth, .pt), an .onnx file, or predictions (.csv, .tsv, .parquet)."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Id of the new run.", show_default="the source's last part"),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Display name.", show_default="the run id")
    ] = None,
    note: Annotated[
        str,
        typer.Option(
            help="Note for the leaderboard, such as the images that the model was trained on.",
            show_default="nothing",
        ),
    ] = "",
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Architecture of a file of weights: timm:convnext_atto, torchvision:resnet18, or "
            "one of this project, such as resnet34, with --image-size."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="The model's classes in output order, separated by commas.",
            show_default="those that its files name",
        ),
    ] = None,
    map_class: Annotated[
        list[str] | None,
        typer.Option(
            help="Map a class of the model to a class of the benchmark: LABEL_0=angry; other= "
            "leaves the class other out. May be repeated; synonyms need none."
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=8, help="Input side in pixels.", show_default="what the files say"),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Input mean for pixels in 0 to 1, such as 0.5,0.5,0.5.",
            show_default="what the files say; 0.5,0.5,0.5 for .onnx, 0 if it takes integers",
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Input standard deviation. For a model that takes 0 to 255: --mean 0 --std "
            "0.0039216.",
            show_default="what the files say; 0.5,0.5,0.5 for .onnx, 1/255 if it takes integers",
        ),
    ] = None,
    model_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Argument of the network in timm or torchvision, such as global_pool=avg. May be "
            "repeated.",
            show_default="what the files say",
        ),
    ] = None,
    weights_key: Annotated[
        str | None,
        typer.Option(
            help="Key of the state dict, or prefix of its tensors, in a file with several.",
            show_default="state_dict, model and similar keys",
        ),
    ] = None,
    bgr: Annotated[
        bool,
        typer.Option(
            "--bgr",
            help="The .onnx file takes BGR images, as OpenCV reads them; without this option it "
            "gets RGB. --mean and --std stay in the order R,G,B.",
        ),
    ] = False,
    augmented: Annotated[
        bool,
        typer.Option(
            "--augmented", help="The predictions of the table used test-time augmentation."
        ),
    ] = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    r"""Import a model that was trained elsewhere as a run.

    Writes the run to `artifacts/<benchmark>/runs/<name>/`. A model predicts validation and test of
    the prepared dataset; its classes are matched by name with the benchmark's. Weights are stored
    as safetensors. Pickles that run code when opened are refused.

        python -m training import ferplus hub:owner/name

        python -m training import ferplus weights.pth --architecture timm:convnext_atto \
            --labels angry,disgust,fear,happy,neutral,sad,surprise --image-size 224

        python -m training import ferplus net.onnx \
            --labels neutral,happiness,surprise,sadness,anger,disgust,fear,contempt

    Predictions: a table with a column `id` and a column of probabilities per class, for every
    validation and test sample (listed in the benchmark's samples.parquet):

        python -m training import ferplus theirs.csv --title "Their model"
    """
    from fer_core.models.published import InputOptions
    from training.jobs.import_export import ImportOptions
    from training.terminal.reports import print_report

    paths = own_benchmark(benchmark, artifacts, _ELSEWHERE)
    request = _Request(
        source=source,
        architecture=architecture,
        labels=_names(labels) if labels else (),
        about=ImportOptions(
            title or name or default_name(source),
            dict(_pair(text) for text in map_class or ()),
            note,
        ),
        options=InputOptions(
            image_size,
            _triple("--mean", mean),
            _triple("--std", std),
            _arguments(model_arg or ()),
        ),
        weights_key=weights_key,
        bgr=bgr,
        augmented=augmented,
        device=device_name(device),
    )
    run = paths.run(name or default_name(source))
    finished = _import(request, paths, run, data)
    print_report(finished)
    _print_notes(finished)
    _warn_at_chance(finished, request)


@dataclass(frozen=True)
class _Request:
    """The options of `import`."""

    source: str
    architecture: str | None
    labels: tuple[str, ...]
    about: "ImportOptions"
    options: "InputOptions"
    weights_key: str | None
    bgr: bool
    augmented: bool
    device: str | None

    @property
    def suffix(self) -> str:
        """The source's file extension in lower case; `.csv` for `.csv.gz`."""
        name = self.source.lower()
        table = name.removesuffix(".gz").endswith((".csv", ".tsv"))
        return Path(name.removesuffix(".gz") if table else name).suffix

    @property
    def is_folder(self) -> bool:
        """Whether the source is a repository of the hub or a folder."""
        return self.source.startswith("hub:") or Path(self.source).is_dir()

    @cached_property
    def kind(self) -> Literal["folder", "table", "onnx", "weights"]:
        """What the source is: by its content, then by its extension.

        Raises:
            DataError: If it does not exist or is of no known type.
        """
        from fer_core.models.file_contents import REMEDIES, kind_of
        from fer_core.models.weight_files import SUFFIXES

        if self.is_folder:
            return "folder"
        path = Path(self.source)
        if not path.is_file():
            raise DataError(
                f"There is no file or folder {self.source}. Models of the hub are written "
                "hub:owner/name."
            )
        if self.suffix in _TABLES:
            return "table"
        if kind := kind_of(path):
            return kind
        if self.suffix == ".onnx" or self.suffix in SUFFIXES:
            return "onnx" if self.suffix == ".onnx" else "weights"
        if remedy := REMEDIES.get(self.suffix):
            raise DataError(f"{path.name} cannot be imported: it {remedy}")
        raise DataError(
            f"{path.name} cannot be imported: unknown file type. Export the model as ONNX with its "
            "own library, import a table of its predictions (.csv), or pass one of "
            f"{', '.join((*_TABLES, '.onnx', *SUFFIXES))}, a folder or hub:owner/name."
        )


def _import(
    request: _Request, benchmark: "BenchmarkDir", run: "RunDir", data: Path | None
) -> "RunDir":
    """Imports a source by its kind."""
    _require_options(request)
    if request.kind == "folder":
        return _import_published(_read_folder(request), request, benchmark, run, data)
    if request.kind == "table":
        return _import_table(request, benchmark, run)
    if request.kind == "onnx":
        return _import_onnx(request, benchmark, run, data)
    return _import_published(_read_weights(request), request, benchmark, run, data)


def _require_options(request: _Request) -> None:
    """Refuses options that are for another kind of source."""
    kind, options = request.kind, request.options
    describes_input = (options.image_size, options.mean, options.std) != (None, None, None)
    if request.augmented and kind != "table":
        raise RecipeError("--augmented is for tables of predictions. Remove it for a model.")
    if request.bgr and kind != "onnx":
        raise RecipeError("--bgr is for .onnx files. Remove it: other sources are fed RGB.")
    if (request.architecture or request.weights_key) and kind != "weights":
        option = "--architecture" if request.architecture else "--weights-key"
        raise RecipeError(
            f"{option} is for files of weights. Remove it: other sources say what they are."
        )
    if options.network and kind not in ("weights", "folder"):
        raise RecipeError("--model-arg is for files of weights and folders of timm. Remove it.")
    if kind == "table" and (request.labels or describes_input):
        raise RecipeError(
            "--labels, --image-size, --mean and --std are for models. Remove them: the columns "
            "of a table name its classes."
        )


def _import_table(request: _Request, benchmark: "BenchmarkDir", run: "RunDir") -> "RunDir":
    from training.jobs.import_export import import_table

    return import_table(
        Path(request.source),
        benchmark,
        run,
        options=replace(request.about, notify=_print),
        augmented=request.augmented,
    )


def _import_onnx(
    request: _Request, benchmark: "BenchmarkDir", run: "RunDir", data: Path | None
) -> "RunDir":
    from fer_core.engine.onnx import read_metadata
    from fer_core.engine.onnx_network import OnnxInput
    from fer_core.models.file_contents import require_content
    from fer_core.models.published import InputOptions
    from training.jobs.import_export import import_onnx

    require_content(Path(request.source))
    options = request.options
    metadata = read_metadata(Path(request.source))
    labels = request.labels or metadata.classes
    if (options != InputOptions() or request.bgr) and not labels:
        raise RecipeError("An .onnx file from elsewhere needs --labels, its classes in order.")
    if labels and not request.labels:
        _print(f"The file names its classes: --labels {','.join(labels)}.")
    if (largest := metadata.largest_pixel) and options.mean is options.std is None:
        std = 1 / largest
        options = replace(options, mean=(0.0, 0.0, 0.0), std=(std, std, std))
        takes = f"it takes pixels in 0 to {largest}: --mean 0 --std {std:.5g}."
        _print(f"{metadata.reason}, so {takes}")
    declared = None
    if labels:
        declared = OnnxInput(options.image_size, options.mean, options.std, labels, bgr=request.bgr)
    return import_onnx(
        Path(request.source),
        open_dataset(benchmark.name, data),
        run,
        options=replace(request.about, notify=_print),
        declared=declared,
    )


def _read_folder(request: _Request) -> "PublishedModel":
    from fer_core.models.repository import Repository
    from fer_core.models.repository_models import read_repository

    return read_repository(Repository.parse(request.source), request.options, request.labels)


def _read_weights(request: _Request) -> "PublishedModel":
    from fer_core.models.repository import CONFIG
    from fer_core.models.weight_files import read_weights_file

    if request.architecture is None:
        folder = Path(request.source).resolve().parent
        beside = f", or give its folder {folder}, which has {CONFIG}"
        raise RecipeError(
            f"{Path(request.source).name} contains only weights. Name their network with "
            "--architecture, such as timm:convnext_atto"
            f"{beside if (folder / CONFIG).is_file() else ''}."
        )
    return read_weights_file(
        Path(request.source),
        request.architecture,
        request.labels,
        request.options,
        request.weights_key,
    )


def _import_published(
    published: "PublishedModel",
    request: _Request,
    benchmark: "BenchmarkDir",
    run: "RunDir",
    data: Path | None,
) -> "RunDir":
    from training.jobs.import_network import import_network

    for note in published.notes:
        _print(note)
    dataset: PreparedDataset = open_dataset(benchmark.name, data)
    return import_network(
        published,
        dataset,
        run,
        options=request.about,
        device=request.device,
    )


def _print_notes(run: "RunDir") -> None:
    """Prints what the run cannot do and which classes were left out."""
    from fer_core.abilities import abilities_of

    info = run.info()
    for note in (*info.classes.notes(), abilities_of(run, info).reason):
        if note:
            _print(note)


def _warn_at_chance(run: "RunDir", request: _Request) -> None:
    """Names the usual causes if the model does not predict better than without looking."""
    from fer_core.evaluation.report import Report
    from training.jobs.chance_level import chance_warning

    causes = _CAUSES_OF_TABLES if request.kind == "table" else _CAUSES
    if request.kind == "onnx":
        causes += " (--bgr)"
    warning = chance_warning(Report.read(run.report_path).validation, causes)
    if warning:
        _print(warning)


def _print(note: str) -> None:
    from training.terminal.progress import console

    console.print(note, markup=False)


def default_name(source: str) -> str:
    """Returns the run id for a source: its last part without revision and extension."""
    if source.startswith("hub:"):
        last = source.removeprefix("hub:").partition("@")[0].rpartition("/")[2]
    else:
        path = Path(source).resolve()
        last = path.name if path.is_dir() else _without_suffixes(path.name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._") or "imported"


def _without_suffixes(name: str) -> str:
    """Returns a file's name without the extensions of its format, such as `.pth.tar`."""
    while Path(name).suffix.lower() in _SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return name


def _names(text: str) -> tuple[str, ...]:
    """Parses the class names of `--labels`, also as Python writes a list."""
    parts = [part.strip(" '\"") for part in re.split("[,;]", text.strip(" ,;[]()"))]
    if len(parts) < 2 or not all(parts):
        raise RecipeError(f"--labels {text}: write the classes with commas, such as angry,happy.")
    return tuple(parts)


def _pair(text: str) -> tuple[str, str]:
    name, separator, target = text.partition("=")
    if not separator or not name:
        raise RecipeError(f"--map-class {text}: write it as THEIRS=OURS, such as LABEL_0=angry.")
    return name, target.strip()


def _arguments(texts: "Iterable[str]") -> dict[str, Any]:
    """Parses `--model-arg`: numbers, lists, true, false and none, or else text."""
    arguments: dict[str, Any] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value or name in arguments:
            raise RecipeError(
                f"--model-arg {text}: write each once, as NAME=VALUE, such as global_pool=avg."
            )
        if option := _ARGUMENTS_OF_OPTIONS.get(name):
            raise RecipeError(f"--model-arg {text}: pass {option} instead.")
        word = value.capitalize()
        try:
            arguments[name] = ast.literal_eval(word if word in ("True", "False", "None") else value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    if arguments.get("in_chans") in (1, 3):  # weights of one channel are converted to three
        del arguments["in_chans"]
    return arguments


def _triple(option: str, text: str | None) -> Rgb | None:
    """Parses three numbers, or one for all channels."""
    if text is None:
        return None
    parts = re.split(r"[,\s]+", text.strip("[]() "))
    if not all(map(_is_number, parts)) or len(parts) not in (1, 3):
        raise RecipeError(f"{option} {text}: write three numbers, such as {option} 0.5,0.5,0.5.")
    values = [float(part) for part in parts] * (3 if len(parts) == 1 else 1)
    numbers = (values[0], values[1], values[2])
    if max(numbers) > _LARGEST[option]:
        scaled = ",".join(f"{number / 255:.4g}" for number in numbers)
        raise RecipeError(
            f"{option} {text}: it is for pixels in 0 to 1. Divide values for 0 to 255 by 255: "
            f"{option} {scaled}."
        )
    if option == "--std" and min(numbers) <= 0:
        raise RecipeError(f"--std {text}: a standard deviation is positive.")
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
