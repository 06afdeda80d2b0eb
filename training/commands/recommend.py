"""The command that recommends a run."""

from typing import Annotated

import typer

from fer_core.evaluation.constraints import ModelKind
from training.options import Artifacts, Benchmark, benchmark_dir


def recommend(
    benchmark: Benchmark,
    min_recall: Annotated[
        list[str] | None,
        typer.Option(
            help="Least recall of a class on validation, such as disgust=.5. May be repeated."
        ),
    ] = None,
    max_ms: Annotated[
        float | None,
        typer.Option(help="Largest median latency for one image, in ms.", show_default="no limit"),
    ] = None,
    max_mb: Annotated[
        float | None,
        typer.Option(help="Largest size of the weight files, in MB.", show_default="no limit"),
    ] = None,
    kind: Annotated[
        ModelKind, typer.Option(help="Single networks, ensembles, or any.")
    ] = ModelKind.ANY,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Allowed licence of the weights, such as MIT. May be repeated.",
            show_default="any",
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            help="Cost of errors: equal; balanced (rare classes weigh the same as common ones); or "
            "true>predicted=cost, where * is any class: '*>angry=5' makes a wrong angry cost 5. "
            "May be repeated.",
            show_default="equal",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    artifacts: Artifacts = None,
) -> None:
    """Recommend a run within constraints, and say why not the others and where it fails.

    Among the runs within the constraints, those are taken whose cost on validation is not
    significantly higher than that of the best; of these the fastest. Latency and size come from
    `efficiency`. If no run is left, the command says which constraint to loosen, and its exit
    status is 1. Writes nothing. Example:

        python -m training recommend ferplus --max-ms 20 --min-recall disgust=.4
    """
    from fer_core.evaluation.constraints import Constraints, parse_recalls
    from fer_core.evaluation.error_costs import ErrorCosts
    from fer_core.evaluation.verdict import read_verdict
    from training.terminal.verdict import print_json, print_verdict

    constraints = Constraints.of(
        min_recall=parse_recalls(min_recall or []),
        max_ms=max_ms,
        max_mb=max_mb,
        kind=kind,
        licences=licence or [],
    )
    paths = benchmark_dir(benchmark, artifacts)
    verdict = read_verdict(paths, constraints, ErrorCosts.parse(cost or []))
    if as_json:
        print_json(verdict)
    else:
        print_verdict(verdict)
    if verdict.recommended is None:
        raise typer.Exit(1)
