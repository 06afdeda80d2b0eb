"""Comparing finished runs by the value of a parameter."""

from dataclasses import dataclass

from fer_core.artifacts import BenchmarkDir
from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.variants import Effect, differing_parameters, effects, parameters
from fer_core.records import RunInfo


@dataclass(frozen=True)
class VariantQuery:
    """Runs that are compared.

    Attributes:
        key: The parameter that was changed, such as `loss.class_weights`.
        before, after: Its values without and with the change, as text.
        recipe: Recipe of the runs; empty for all.
        tags: Tags that all runs must have.
        split: `validation` or `test`.
    """

    key: str
    before: str
    after: str
    recipe: str = ""
    tags: tuple[str, ...] = ()
    split: str = "test"

    def matches(self, info: RunInfo) -> bool:
        """Whether a run belongs to the comparison."""
        named = not self.recipe or info.recipe.get("name") == self.recipe
        value = parameters(info.recipe).get(self.key)
        return named and value in (self.before, self.after) and set(self.tags) <= set(info.tags)


def compare_by(
    benchmark: BenchmarkDir, query: VariantQuery
) -> tuple[dict[str, list[str]], list[Effect]]:
    """Compares the runs with two values of a parameter.

    Returns:
        Run ids by value, and the effects.

    Raises:
        ArtifactError: If a value has no run, or runs differ in other parameters too; names them.
    """
    infos = {}
    for run in benchmark.finished_runs():
        if query.matches(info := run.info()):
            infos[run.run_id] = info
    groups: dict[str, list[str]] = {query.before: [], query.after: []}
    for run_id, info in infos.items():
        groups[parameters(info.recipe)[query.key]].append(run_id)
    for value, run_ids in groups.items():
        if not run_ids:
            raise ArtifactError(f"{benchmark.name} has no such run with {query.key}={value}.")
    differing = differing_parameters({run_id: info.recipe for run_id, info in infos.items()})
    if others := sorted(set(differing) - {query.key}):
        raise ArtifactError(
            f"These runs differ in {', '.join(others)} as well, so the effect of {query.key} "
            "cannot be isolated. Select runs with --recipe or --tag, or train them with equal "
            "values."
        )
    labels = benchmark.info().label_set
    before, after = (
        [
            Predictions.read(benchmark.run(run_id).predictions_path, labels).split(query.split)
            for run_id in run_ids
        ]
        for run_ids in groups.values()
    )
    return groups, effects(before, after)
