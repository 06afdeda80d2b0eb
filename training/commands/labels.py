"""Commands that find label errors and compare scores under other labels."""

from typing import Annotated

import typer

from training.options import Artifacts, Benchmark, Data, benchmark_dir, open_dataset, own_benchmark

_ELSEWHERE = "Use `prepare` to make a benchmark with training labels to check."


def check_labels(
    benchmark: Benchmark,
    run: Annotated[
        str | None,
        typer.Option(
            help="Take the features of a run, benchmark/run-id. A run that was trained on these "
            "labels finds fewer errors.",
            show_default="the face network that training can start from",
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Number of folds.")] = 5,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Find likely label errors in train, from out-of-fold predictions.

    A linear classifier on the features of a fixed network predicts each fold from the others, and
    confident learning (cleanlab) compares predictions and labels. The page Data quality shows the
    result, from which `prepare --relabel` lists are exported. If interrupted, run the command
    again: it continues. Example:

        python -m training check-labels ferplus
    """
    from training.jobs import check_labels as job
    from training.terminal.progress import console, show_progress

    paths = own_benchmark(benchmark, artifacts, _ELSEWHERE)
    dataset = open_dataset(benchmark, data)
    if run is None:
        network = job.face_network(dataset)
    else:
        name, _, run_id = run.rpartition("/")
        network = job.run_network(benchmark_dir(name or benchmark, artifacts).run(run_id), dataset)
    result = job.check_train_labels(paths, dataset, network, folds=folds, progress=show_progress)
    console.print(
        f"{len(result.table):,} of {result.images:,} training labels disagree with the classifier; "
        f"out-of-fold accuracy {result.accuracy:.1%} with the features of {result.features}. See "
        "the page Data quality.",
        markup=False,
    )


def compare_labels(
    base: Annotated[str, typer.Argument(help="Benchmark with the given labels, such as ferplus.")],
    corrected: Annotated[str, typer.Argument(help="Benchmark that `--new-benchmark` made of it.")],
    artifacts: Artifacts = None,
) -> None:
    """Score every run of two benchmarks under the labels of both. Writes nothing.

    `prepare --relabel ... --new-benchmark` corrects validation or test labels under a new name.

    Example:
        python -m training compare-labels ferplus ferplus-corrected
    """
    from fer_core.evaluation import corrected_labels
    from training.terminal.reports import print_label_comparison

    print_label_comparison(
        corrected_labels.compare_labels(
            benchmark_dir(base, artifacts), benchmark_dir(corrected, artifacts)
        )
    )
