"""Commands that make data."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.data.sources.base import SYNTHETIC, Annotation, Format
from fer_core.data.sources.class_names import Codes
from fer_core.project import data_root
from training.options import (
    Artifacts,
    Benchmark,
    Data,
    Engine,
    Workers,
    benchmark_dir,
    local_source,
    open_dataset,
)

if TYPE_CHECKING:
    from fer_core.data.plan import PreparePlan
    from fer_core.data.reading_parts import ReadingParts
    from fer_core.data.selection import SelectedSource

_READER_OPTIONS = (
    "votes", "labels", "codes", "any_classes", "annotation", "image", "label", "split_column",
    "group", "pattern",
)  # fmt: skip


def prepare(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A file or folder of any known dataset, on disk or at a URL (s3://, gs://, "
            "hf://, https://), `synthetic`, or `owner/name` of a Hugging Face dataset with "
            "`--format huggingface`. Omit it with --plan."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the benchmark.", show_default=False)] = "",
    title: Annotated[
        str, typer.Option(help="Display name of the benchmark.", show_default="the dataset's")
    ] = "",
    plan: Annotated[
        Path | None,
        typer.Option(help="A YAML plan: several sources, mapping, cleaning, balancing, splits."),
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
            help="FER2013: the annotation to use as label; the other is kept as second label.",
            show_default="ferplus if there are votes",
        ),
    ] = None,
    map_class: Annotated[
        list[str] | None,
        typer.Option(
            help="Rename a class of the dataset: `name=class`; `name=` drops it. May be repeated."
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
        str | None, typer.Option(help="Column of images.", show_default="usual names")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column of labels.", show_default="usual names")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(help="Column of splits.", show_default="usual names")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column of persons or videos; all images of one person or video stay in one "
            "split.",
            show_default="person, subject, video ...",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression over the paths of pictures whose groups are the person, "
            r"label or split, such as '(?P<person>s\d+)_(?P<label>[a-z]+)'.",
            show_default="names of published datasets",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of images, sampled at random.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Synthetic: number of faces to draw.")] = 1400,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults",
            help="Synthetic: plant copies, wrong labels and outliers, and simulate annotators.",
        ),
    ] = False,
    side: Annotated[
        int, typer.Option(min=16, max=512, help="Side of the stored images in pixels.")
    ] = 48,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Seed of splits that are drawn, and of drawn faces."),
    ] = 0,
    split: Annotated[
        Literal["source", "random"],
        typer.Option(
            help="source: keep the dataset's splits; random: draw new ones, stratified, 80/20."
        ),
    ] = "source",
    faces: Annotated[
        Literal["keep", "require", "crop"],
        typer.Option(help="require: exclude images without a face; crop: also crop to the face."),
    ] = "keep",
    test_from: Annotated[
        Literal["validation", "train"],
        typer.Option(help="Split from which a missing test split is made."),
    ] = "validation",
    min_class: Annotated[
        int, typer.Option(min=0, help="Leave out classes with fewer images than this.")
    ] = 0,
    transformed_copies: Annotated[
        Literal["auto", "remove", "report", "off"],
        typer.Option(
            help="Mirrored, rotated, cropped or brightened copies: remove closes such leaks, "
            "report lists them. auto: report for FER2013 alone, whose published split stays; "
            "remove otherwise."
        ),
    ] = "auto",
    same_scene: Annotated[
        Literal["report", "group"],
        typer.Option(help="Frames of one scene; group keeps them in one split."),
    ] = "report",
    min_side: Annotated[
        int, typer.Option(min=0, help="Exclude images (or cropped faces) smaller than this side.")
    ] = 0,
    drop_flat: Annotated[
        bool, typer.Option("--drop-flat", help="Exclude images with almost no contrast.")
    ] = False,
    outliers: Annotated[
        Literal["modified-z", "z-score", "iqr"] | None,
        typer.Option(
            help="Exclude training images that are outliers by this rule; validation and test "
            "keep theirs."
        ),
    ] = None,
    relabel: Annotated[
        Path | None,
        typer.Option(help="A csv with id and label, as exported by the Data quality page."),
    ] = None,
    new_benchmark: Annotated[
        bool,
        typer.Option(
            "--new-benchmark",
            help="Let --relabel change validation and test images. That makes another benchmark, "
            "which needs another --name.",
        ),
    ] = False,
    ship_pictures: Annotated[
        bool,
        typer.Option(
            "--ship-pictures",
            help="Also write the images to the benchmark's artifacts. Use it only for images that "
            "you may publish, such as `synthetic` or your own.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would be read, and why, and stop."),
    ] = False,
    engine: Engine = "local",
    workers: Workers = None,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    r"""Read datasets, clean them, find duplicates, split, and write a dataset for training.

    A stopped preparation continues where it stopped, on a Ray cluster too.

    FER2013 with FER+ votes:

        python -m training prepare path/to/fer2013.csv --name ferplus

    RAF-DB, AffectNet, FER+, CK+48, KDEF, JAFFE, ExpW, a folder with one subfolder per class, a list
    of images, parquet files; in a folder, a zip or a tar file:

        python -m training prepare path/to/dataset --name mine --side 96

    Only some of its classes:

        python -m training prepare path/to/fer2013.csv --name ferplus3 \
            --map-class disgust= --map-class fear= \
            --map-class neutral= --map-class surprise=

    Print what would be read:

        python -m training prepare path/to/dataset --dry-run

    A dataset in a bucket; credentials come from the environment:

        python -m training prepare s3://bucket/faces.zip --name faces

    Drawn faces, which need no download:

        python -m training prepare synthetic --name drawn --side 64

    Several sources, balanced and cleaned, by a plan (see docs/data.md):

        python -m training prepare --plan mixed.yaml --name mixed
    """
    from fer_core.data.preview import preview_plan
    from fer_core.data.selection import open_sources
    from training.terminal.preparation import print_preparation, print_previews

    if not name and not dry_run:
        raise typer.BadParameter("give the benchmark a name", param_hint="--name")
    if (source is None) == (plan is None):
        raise typer.BadParameter("give either a source or a --plan")
    resolved = _with_local_sources(_plan(context), data)
    sources = open_sources(resolved)
    print_previews(preview_plan(resolved, sources), full=dry_run)
    if dry_run:
        return

    from fer_core.data.prepare import check_before_reading, prepare_sources, publish_facts
    from training.terminal.progress import show_progress

    benchmark = benchmark_dir(name, artifacts)
    folder = (data or data_root()) / name
    check_before_reading(resolved, benchmark)
    with _parts_are_kept(sources, resolved, folder) as parts:
        if engine == "ray":
            from training.jobs.prepare_on_ray import ReadJob, read_parts_on_ray

            job = ReadJob.of(resolved, sources, parts.sample_format)
            read_parts_on_ray(parts, folder, job, show_progress, workers)
        dataset = prepare_sources(
            sources, resolved, folder, name=name, benchmark=benchmark, progress=show_progress
        )
    publish_facts(dataset, benchmark)
    print_preparation(dataset, benchmark)


def attach(
    benchmark: Benchmark,
    path: Annotated[
        Path, typer.Argument(help="A csv of pixels, a zip or tar file, a folder, or a picture.")
    ],
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Attach pictures to a benchmark that was published without them. Needs no `prepare`.

    Pictures are matched by their content, whatever they are called: equal ones first, then copies
    that were encoded again. The dashboard shows them; the benchmark does not change, and training
    still needs a prepared data set. Example:

        python -m training attach ferplus path/to/fer2013.csv
    """
    from fer_core.data.attach import attach as attach_pictures
    from training.terminal.progress import console, show_progress

    paths = benchmark_dir(benchmark, artifacts)
    folder = (data or data_root()) / paths.name
    console.print(attach_pictures(paths, folder, path, show_progress).summary, markup=False)


def pack(
    benchmark: Benchmark,
    folder: Annotated[Path, typer.Argument(help="Target folder of the packed dataset.")],
    data: Data = None,
) -> None:
    """Pack a prepared dataset into small files, for a machine without a network.

    Images become lossless WebP. `unpack` restores the dataset bit for bit.
    """
    from fer_core.data.packing import pack as pack_set
    from training.terminal.progress import console, show_progress

    pack_set(open_dataset(benchmark, data), folder, show_progress)
    size = sum(path.stat().st_size for path in folder.iterdir())
    console.print(f"{folder}: {size / 2**20:.1f} MiB", markup=False)


def unpack(
    folder: Annotated[Path, typer.Argument(help="A folder written by `pack`.")],
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Restore a packed dataset, and check the hash of each file."""
    from fer_core.data.packing import packed_name
    from fer_core.data.packing import unpack as unpack_set
    from training.terminal.progress import console, show_progress

    name = packed_name(folder)
    benchmark = benchmark_dir(name, artifacts)
    dataset = unpack_set(folder, (data or data_root()) / name, show_progress)
    if not benchmark.info_path.is_file():
        from fer_core.data.prepare import publish_facts

        publish_facts(dataset, benchmark)
    console.print(f"{dataset.folder}: {len(dataset.images)} images", markup=False)


def find_copies(benchmark: Benchmark, artifacts: Artifacts = None, data: Data = None) -> None:
    """Search a prepared set for mirrored, rotated, cropped or brightened copies.

    Sets that were prepared before this search existed get its results without a new split: the list
    of pairs for Data quality, their counts in the card, and the leak-free score without test
    images that have a copy in train or validation. Reports are computed again from stored
    predictions.
    """
    from training.jobs.transformed_copies import add_transformed_copies, refresh_reports
    from training.terminal.progress import console, show_progress

    directory = benchmark_dir(benchmark, artifacts)
    pairs = add_transformed_copies(open_dataset(benchmark, data), directory, show_progress)
    finished = directory.finished_runs()
    refreshed = refresh_reports(finished, directory.samples())
    for kind, count in pairs["kind"].value_counts().items():
        console.print(f"{count:,} pairs: {kind}", markup=False)
    console.print(
        f"{directory.info().leaked_test:,} test images are leaks; {len(refreshed)} reports written"
    )


def examples(
    folder: Annotated[Path, typer.Argument(help="Target folder of the images.")],
) -> None:
    """Draw the synthetic example faces that the dashboard offers."""
    from training.examples import write_examples
    from training.terminal.progress import console

    for path in write_examples(folder):
        console.print(str(path), markup=False)


def action_units(
    out: Annotated[Path, typer.Argument(help="Output file, .csv.")],
    count: Annotated[int, typer.Option(min=1, help="As in `prepare synthetic`.")] = 1400,
    seed: Annotated[int, typer.Option(min=0, help="As in `prepare synthetic`.")] = 0,
) -> None:
    """Write the intensities of the action units of drawn faces as targets of a regression head.

    Pass --count and --seed of the `prepare synthetic` command. The columns are id, clip (the
    person) and one per action unit, 0 to 1. For example:

        python -m training action-units units.csv --count 2000
    """
    import pandas as pd

    from fer_core.csv_text import csv_text
    from fer_core.data.sources.synthetic import SyntheticSource
    from fer_core.files import write_text
    from training.terminal.progress import console

    source = SyntheticSource(count, seed)
    rows = [
        {
            "id": f"{source.origin.name}/{index:06d}",
            "clip": f"person {source.identity(index)}",
            **source.units(index).as_mapping(),
        }
        for index in range(len(source))
    ]
    write_text(out, csv_text(pd.DataFrame(rows), "%.6g"))
    console.print(f"{len(rows):,} rows in {out}", markup=False)


def _plan(context: typer.Context) -> "PreparePlan":
    """Returns the plan from its file or from the options."""
    from fer_core.data.plan import parse_plan, read_plan

    options = dict(context.params)
    if options["plan"] is not None:
        _refuse_beside_plan(context)
        return read_plan(options["plan"])
    source = {
        "path": str(options["source"]),
        "format": options["format_"],
        "mapping": dict(_pair(text) for text in options["map_class"] or []),
        **{name: options[name] for name in ("limit", *_READER_OPTIONS)},
    }
    if options["source"] == SYNTHETIC:
        from fer_core.synthetic.face import MIN_SIDE

        source |= {name: options[name] for name in ("count", "seed", "faults")}
        source["side"] = max(options["side"], MIN_SIDE)
    content = {
        "sources": [{name: value for name, value in source.items() if value}],
        "split": {"by": options["split"]}
        | {
            name: options[name]
            for name in ("seed", "test_from", "min_class", "transformed_copies", "same_scene")
        },
        "clean": {name: options[name] for name in ("faces", "min_side", "drop_flat", "outliers")},
        **{
            name: options[name]
            for name in ("title", "side", "relabel", "new_benchmark", "ship_pictures")
        },
    }
    return parse_plan(content, "of these options")


@contextmanager
def _parts_are_kept(
    sources: "Sequence[SelectedSource]", plan: "PreparePlan", folder: Path
) -> "Iterator[ReadingParts]":
    """Prints how much an earlier command has read, and, if this one is stopped, that it is kept."""
    from fer_core.data.reading_parts import CONTINUES, open_parts
    from training.terminal.progress import console

    parts = open_parts(sources, plan, folder)
    if done := parts.items_done():
        console.print(
            f"{done:,} of {parts.items:,} images were read before; reading continues.",
            soft_wrap=True,
        )
    try:
        yield parts
    except KeyboardInterrupt:
        if done := parts.items_done():
            console.print(
                f"{done:,} of {parts.items:,} images are read. {CONTINUES}", soft_wrap=True
            )
        raise


def _with_local_sources(plan: "PreparePlan", data: Path | None) -> "PreparePlan":
    """Returns a plan whose sources at URLs are replaced by their local copies."""
    sources = [
        source.model_copy(update={"path": local_source(source.path, data)})
        for source in plan.sources
    ]
    return plan.model_copy(update={"sources": type(plan.sources)(sources)})


def _refuse_beside_plan(context: typer.Context) -> None:
    """Refuses options that a plan sets: they would have no effect."""
    allowed = {"plan", "name", "artifacts", "data", "dry_run", "engine", "workers"}
    ignored = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in allowed
        and getattr(context.get_parameter_source(str(parameter.name)), "name", "") == "COMMANDLINE"
    ]
    if ignored:
        raise typer.BadParameter(f"write {', '.join(ignored)} into the plan: it is read from there")


def _pair(text: str) -> tuple[str, str]:
    name, separator, label = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"write {text!r} as name=class, such as 0=angry")
    return name, label
