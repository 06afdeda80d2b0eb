"""The command that compares runs by the value of a parameter."""

from typing import Annotated, Literal

import typer

from training.options import Artifacts, Benchmark, benchmark_dir


def compare_variants(
    benchmark: Benchmark,
    by: Annotated[
        str, typer.Option(help="Parameter that was changed, such as loss.class_weights.")
    ],
    before: Annotated[str, typer.Option(help="Its value without the change, such as none.")],
    after: Annotated[str, typer.Option(help="Its value with the change, such as balanced.")],
    recipe: Annotated[str, typer.Option(help="Only runs of this recipe.", show_default="all")] = "",
    tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with this tag. May be repeated.")
    ] = None,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Images that are compared.")
    ] = "test",
    artifacts: Artifacts = None,
) -> None:
    """Compare runs with two values of a parameter: accuracy and the recall of each class.

    All other parameters must agree, except the seed. Reads saved predictions only. For example:

        python -m training compare-variants ferplus --by augment.cutmix --before 0 --after 0.5 \
            --recipe resnet34
    """
    from training.jobs.variants import VariantQuery, compare_by
    from training.terminal.variants import print_effects

    query = VariantQuery(by, before, after, recipe, tuple(tag or ()), split)
    groups, rows = compare_by(benchmark_dir(benchmark, artifacts), query)
    print_effects(by, groups, rows, split)
