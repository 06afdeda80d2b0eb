"""The command that answers for the user's own pictures and videos."""

from pathlib import Path
from typing import Annotated

import typer

from training.options import Artifacts, DeviceOption, benchmark_dir


def predict(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER_OR_FILE",
            help="A picture, a video, or a folder of these and all folders in it.",
        ),
    ],
    benchmark: Annotated[
        str, typer.Option(help="The benchmark whose runs answer, such as ferplus.")
    ],
    run: Annotated[
        list[str] | None,
        typer.Option(help="A run's id; may be repeated.", show_default="every run"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where the answers go: .parquet or .csv. Replaced if it exists.")
    ] = Path("answers.parquet"),
    cropped: Annotated[
        bool, typer.Option("--cropped", help="They show cropped faces: look for none in them.")
    ] = False,
    unsure_below: Annotated[
        float, typer.Option(min=0, max=1, help="Name no class below this probability.")
    ] = 0.0,
    every: Annotated[
        float | None,
        typer.Option(min=0.001, help="Videos: seconds between frames.", show_default="all frames"),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.001, help="Videos: frames a second, instead of --every.")
    ] = None,
    smooth: Annotated[
        float, typer.Option(min=0, help="Videos: also average over about so many seconds.")
    ] = 0.0,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
) -> None:
    """Ask runs about every face in pictures and videos, and write a table of answers.

    One row a face and run, of videos one a frame: file, frame, seconds, face, box, the detector's
    score, answer, confidence and every class's probability, at the run's temperature where one
    was fitted. In videos a person keeps a number from frame to frame. Files that cannot be read
    are listed and skipped.
    """
    import torch

    from fer_core.data.faces import DlibDetector
    from fer_core.errors import ArtifactError, DataError
    from fer_core.predictor import Predictor
    from training.jobs.predict import answer_files, find_files, sound_runs
    from training.terminal.predictions import print_tally, write_answers
    from training.terminal.progress import console, show_progress

    if out.suffix.lower() not in (".parquet", ".csv"):
        raise DataError(f"{out.name} must end in .parquet or .csv.")
    if every is not None and fps is not None:
        raise DataError("Give --every or --fps, not both.")
    files = find_files(place)
    predictor = Predictor(
        benchmark_dir(benchmark, artifacts), torch.device("cpu") if device == "cpu" else None
    )
    known = [info.run_id for info in predictor.runs()]
    if unknown := [name for name in run or [] if name not in known]:
        raise ArtifactError(
            f"{benchmark} has no run {unknown[0]!r} to ask. Known: {', '.join(known) or 'none'}."
        )
    asked, damaged = sound_runs(predictor, list(dict.fromkeys(run or known)))
    for name, reason in damaged.items():
        if run:
            raise ArtifactError(reason)
        console.print(f"{name} is left out: {reason}", markup=False)
    if not asked:
        raise ArtifactError(f"{benchmark} has no run that answers. Train one first.")
    tally = answer_files(
        files,
        predictor,
        asked,
        None if cropped else DlibDetector(),
        show_progress,
        every=1 / fps if fps else every,
        smooth=smooth,
        unsure_below=unsure_below,
    )
    write_answers(out, tally.table)
    print_tally(tally)
    console.print(f"{len(tally.table):,} rows in {out}", markup=False, soft_wrap=True)
