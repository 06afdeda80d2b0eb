"""The command that recommends a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_core.artifacts import RunDir
from fer_core.evaluation.constraints import ModelKind
from training.options import Artifacts, Benchmark, benchmark_dir

if TYPE_CHECKING:
    from fer_core.evaluation.operating_points import OperatingPoint


def recommend(
    benchmark: Benchmark,
    min_recall: Annotated[
        list[str] | None,
        typer.Option(
            help="Minimum recall of a class on validation, such as disgust=.5. May be repeated."
        ),
    ] = None,
    max_ms: Annotated[
        float | None,
        typer.Option(help="Maximum median latency for one image, in ms.", show_default="no limit"),
    ] = None,
    max_mb: Annotated[
        float | None,
        typer.Option(help="Maximum size of the weight files, in MB.", show_default="no limit"),
    ] = None,
    kind: Annotated[
        ModelKind, typer.Option(help="Single networks, ensembles, or any.")
    ] = ModelKind.ANY,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Allowed licence of the weights, such as MIT; case is ignored. May be repeated.",
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
    max_risk: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Maximum error rate of the predictions; the model abstains on less certain "
            "images.",
            show_default="always predict",
        ),
    ] = None,
    min_precision: Annotated[
        list[str] | None,
        typer.Option(
            help="Minimum precision of a class's predictions, such as angry=.9. May be repeated."
        ),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.999,
            help="Confidence with which --max-risk and --min-precision hold for new images like "
            "those of validation; 0: they hold on validation only.",
        ),
    ] = 0.95,
    operating_point: Annotated[
        Path | None,
        typer.Option(
            help="Save the thresholds of --max-risk and --min-precision to this file, for "
            "`predict` and `serve`.",
            show_default="not saved",
        ),
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option(help="Write the verdict as a PDF of two pages.", show_default="not written"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    artifacts: Artifacts = None,
) -> None:
    """Recommend a run within constraints; say why not the others and where it fails.

    Of the runs within the constraints, keeps those whose cost on validation is not significantly
    higher than the lowest, and recommends the fastest of them. Latency and size come from
    `efficiency`. If no run is left, the command says which constraint to loosen, and exits with
    status 1. Example:

        python -m training recommend ferplus --max-ms 20 --min-recall disgust=.4
    """
    from fer_core.evaluation.constraints import Constraints, parse_shares
    from fer_core.evaluation.error_costs import ErrorCosts
    from fer_core.evaluation.verdict import read_verdict
    from training.terminal.verdict import print_json, print_verdict

    constraints = Constraints.of(
        min_recall=parse_shares(min_recall or []),
        max_ms=max_ms,
        max_mb=max_mb,
        kind=kind,
        licences=licence or [],
    )
    precisions = parse_shares(min_precision or [], "precision")
    limited = max_risk is not None or bool(precisions)
    if operating_point is not None and not limited:
        raise typer.BadParameter(
            "Without a limit there are no thresholds to save. Add --max-risk .05, or "
            "--min-precision angry=.9 for a class.",
            param_hint="--operating-point",
        )
    paths = benchmark_dir(benchmark, artifacts)
    verdict = read_verdict(paths, constraints, ErrorCosts.parse(cost or []))
    point = None
    if verdict.recommended and limited:
        run = paths.run(verdict.recommended.run_id)
        point = _choose_point(run, max_risk, precisions, confidence)
    if as_json:
        print_json(verdict, point)
    else:
        print_verdict(verdict, point)
    if pdf is not None:
        from fer_core.figures.verdict_pdf import write_pdf

        write_pdf(pdf, verdict, point)
    if point is not None and operating_point is not None:
        point.write(operating_point)
    if verdict.recommended is None:
        raise typer.Exit(1)


def _choose_point(
    run: RunDir, max_risk: float | None, min_precision: Mapping[str, float], confidence: float
) -> "OperatingPoint":
    """Returns the operating point of a run with the largest coverage within the limits."""
    from fer_core.evaluation.operating_points import calibrated_splits, operating_point
    from fer_core.evaluation.predictions import read_predictions
    from fer_core.evaluation.risk_limits import RiskLimits, choose_thresholds
    from fer_core.labels import LabelSet

    info = run.info()
    predictions = read_predictions(run, LabelSet(info.labels))
    splits = calibrated_splits(predictions.split("validation"), predictions.split("test"))
    limits = RiskLimits(max_risk=max_risk, min_precision=dict(min_precision), confidence=confidence)
    thresholds = choose_thresholds(splits[1], limits)
    return operating_point(run.benchmark.name, info, splits, thresholds, limits)
