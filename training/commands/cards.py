"""The command that writes model cards and dataset cards."""

from typing import Annotated

import typer

from training.options import Artifacts, Benchmark, benchmark_dir


def card(
    benchmark: Benchmark,
    run: Annotated[
        list[str] | None, typer.Option(help="Only this run. May be repeated.", show_default="all")
    ] = None,
    dataset: Annotated[
        bool, typer.Option("--dataset", help="Write the dataset card instead.")
    ] = False,
    artifacts: Artifacts = None,
) -> None:
    """Write the model card of each run, or the dataset card, in the form of the Hugging Face hub.

    Writes `README.md` into the folder of each run (with `model-index`, protocol, intervals,
    verdict, limits and licences), or into the folder of the benchmark. For example:

        python -m training card ferplus --run resnet34-cpu-s0
    """
    from fer_core.errors import ArtifactError, FerscopeError
    from training.jobs.cards import verdict_of, write_dataset_card, write_model_card
    from training.terminal.progress import console

    paths = benchmark_dir(benchmark, artifacts)
    if dataset:
        console.print(f"wrote {write_dataset_card(paths)}", markup=False, soft_wrap=True)
        return
    known = paths.finished_runs()
    missing = sorted(set(run or []) - {directory.run_id for directory in known})
    if missing:
        names = [directory.run_id for directory in known]
        raise ArtifactError(
            f"{benchmark} has no finished run {missing[0]!r}. Known: {', '.join(names) or 'none'}."
        )
    verdict = verdict_of(paths)
    for directory in known:
        if run and directory.run_id not in run:
            continue
        try:
            path = write_model_card(directory, verdict)
            console.print(f"wrote {path}", markup=False, soft_wrap=True)
        except FerscopeError as error:
            if run:
                raise
            console.print(f"skipped {directory.run_id}: {error}", markup=False, soft_wrap=True)
