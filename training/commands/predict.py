"""The command that predicts image and video files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.options import (
    Artifacts,
    Data,
    DeviceOption,
    Engine,
    Workers,
    benchmark_dir,
    device_name,
    local_source,
)

if TYPE_CHECKING:
    from fer_core.data.progress import Progress
    from fer_core.evaluation.operating_points import OperatingPoint
    from fer_core.predictor import Predictor
    from training.jobs.predict import Files, Tally


def predict(
    path: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER_OR_FILE",
            help="An image, a video, or a folder, which is searched with its subfolders; on disk "
            "or at a URL (s3://, gs://, hf://, https://).",
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="Benchmark of the runs, such as ferplus.")],
    run: Annotated[
        list[str] | None,
        typer.Option(help="Run id. May be repeated.", show_default="every run"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Output file, .parquet or .csv. It is overwritten.")
    ] = Path("answers.parquet"),
    cropped: Annotated[
        bool, typer.Option("--cropped", help="The files show cropped faces: skip face detection.")
    ] = False,
    unsure_below: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Leave the column `answer` empty below this calibrated probability."
        ),
    ] = 0.0,
    operating_point: Annotated[
        Path | None,
        typer.Option(
            help="File with a run's thresholds by class, from the page Verdict or `recommend`, or "
            "with temperature and class priors of your labels, from the page Label a few faces. "
            "Only its run predicts.",
            show_default="none",
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(min=0.001, help="Videos: seconds between frames.", show_default="all frames"),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.001, help="Videos: frames per second, instead of --every.")
    ] = None,
    smooth: Annotated[
        float, typer.Option(min=0, help="Videos: smooth predictions over this many seconds.")
    ] = 0.0,
    all_frames: Annotated[
        bool,
        typer.Option("--all-frames", help="Animated images: read all frames, not only the first."),
    ] = False,
    jitter: Annotated[
        bool, typer.Option("--jitter", help="Average predictions over five crops of each face.")
    ] = False,
    engine: Engine = "local",
    workers: Workers = None,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Predict every face in images and videos, and write a table.

    The table has one row per face and run, in videos per frame: file, frame, seconds, face number,
    box, detection score, answer, confidence and the probability of every class, temperature-scaled
    where a temperature was fitted. Images and frames without a face have rows without a face;
    unreadable files are listed and have rows whose note says why. In videos, a person keeps their
    face number. Small square images without a detected face are treated as cropped faces; their
    rows have a note. A stopped prediction continues where it stopped, on a Ray cluster too.

        python -m training predict photos/ --benchmark ferplus --run resnet34-cpu-s0 --out faces.csv
    """
    from fer_core.data.centerface import CenterFaceDetector
    from fer_core.errors import DataError
    from fer_core.predictor import Predictor
    from training.jobs.predict import PredictOptions, find_files, predict_part
    from training.jobs.predict_parts import PartsFolder, predict_in_parts, prediction_key
    from training.terminal.progress import show_progress

    _check_options(out, every, fps)
    if unsure_below and operating_point is not None:
        raise DataError("Pass --unsure-below or --operating-point, not both.")
    files = find_files(Path(local_source(path, data)))
    predictor = Predictor(benchmark_dir(benchmark, artifacts), device_name(device))
    point = None
    if operating_point is not None:
        point = _read_point(predictor, benchmark, operating_point, run or ())
    run_ids = _select_runs(predictor, benchmark, [point.run_id] if point else run or ())
    options = PredictOptions(
        every=1 / fps if fps else every,
        all_frames=all_frames,
        smooth=smooth,
        unsure_below=point.thresholds if point else unsure_below,
        jitter=jitter,
    )
    detector = None if cropped else CenterFaceDetector()
    key = prediction_key(files, predictor, run_ids, options, cropped=cropped)
    parts = PartsFolder(out.with_name(f"{out.name}.parts"), key)

    if engine == "ray":
        from training.jobs.predict_on_ray import PredictJob, predict_parts_on_ray

        place = predictor.benchmark.root.absolute()
        job = PredictJob(place, tuple(run_ids), options, cropped, device_name(device), point)
        predict_parts_on_ray(files, parts, job, show_progress, workers)

    def predict_some(some: "Files", progress: "Progress") -> "Tally":
        return predict_part(some, predictor, run_ids, detector, progress, options)

    tally = predict_in_parts(files, predict_some, parts, show_progress, options.every)
    _write(out, tally)
    parts.remove()


def _check_options(out: Path, every: float | None, fps: float | None) -> None:
    from fer_core.errors import DataError

    if out.suffix.lower() not in (".parquet", ".csv"):
        raise DataError(f"{out.name} must end in .parquet or .csv.")
    if every is not None and fps is not None:
        raise DataError("Pass --every or --fps, not both.")


def _write(out: Path, tally: "Tally") -> None:
    """Writes the table and the list of skipped files, and prints what they hold."""
    from training.terminal.predictions import print_tally, write_predictions, write_skipped
    from training.terminal.progress import console

    write_predictions(out, tally.table)
    print_tally(tally)
    if skipped := write_skipped(out, tally.skipped):
        console.print(f"all skipped files: {skipped}", markup=False, soft_wrap=True)
    console.print(f"{len(tally.table):,} rows in {out}", markup=False, soft_wrap=True)


def _read_point(
    predictor: "Predictor", benchmark: str, path: Path, requested: Sequence[str]
) -> "OperatingPoint":
    """Reads an operating point of a run of the benchmark, which the predictor then obeys.

    Raises:
        ArtifactError: If it is damaged, or belongs to another run than the requested one.
        DataError: If there is no such file.
    """
    from fer_core.errors import ArtifactError, DataError
    from fer_core.evaluation.operating_points import OperatingPoint

    if not path.is_file():
        raise DataError(f"There is no file {path}. Save an operating point first.")
    point = OperatingPoint.read(path)
    info = next((info for info in predictor.runs() if info.run_id == point.run_id), None)
    if info is None or set(requested) - {point.run_id}:
        raise ArtifactError(
            f"The operating point was chosen for {point.benchmark}/{point.run_id}, not for "
            f"{benchmark}/{', '.join(requested) or 'its runs'}."
        )
    point.check(benchmark, info)
    predictor.obey(point)
    return point


def _select_runs(predictor: "Predictor", benchmark: str, requested: Sequence[str]) -> list[str]:
    """Returns the requested runs, or all; prints which damaged runs are skipped.

    Raises:
        ArtifactError: If a requested run is unknown or damaged, or if no run can predict.
    """
    from fer_core.errors import ArtifactError
    from training.jobs.predict import usable_runs
    from training.terminal.progress import console

    known = [info.run_id for info in predictor.runs()]
    if unknown := [name for name in requested if name not in known]:
        raise ArtifactError(
            f"{benchmark} has no run {unknown[0]!r} that can predict. Known: "
            f"{', '.join(known) or 'none'}."
        )
    run_ids, damaged = usable_runs(predictor, list(dict.fromkeys(requested or known)))
    for name, reason in damaged.items():
        if requested:
            raise ArtifactError(reason)
        console.print(f"{name} is skipped: {reason}", markup=False)
    if not run_ids:
        raise ArtifactError(f"{benchmark} has no run that can predict. Train one first.")
    return run_ids
