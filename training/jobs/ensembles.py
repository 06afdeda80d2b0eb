"""Ensembles of finished runs."""

from collections.abc import Sequence

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import EnsembleRecipe
from fer_core.errors import ArtifactError
from fer_core.evaluation.ensemble import average, greedy_weights, members_changed, require_members
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.prior_shift import choose_prior_shift, log_frequencies
from fer_core.labels import LabelSet
from fer_core.project import ROOT
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace, recover
from training.jobs.evaluate import write_run


def build_ensemble(recipe: EnsembleRecipe, benchmark: BenchmarkDir, seed: int = 0) -> RunDir:
    """Averages finished runs of a benchmark and writes the ensemble's run.

    Members, weights and prior shift are chosen on validation.

    Raises:
        ArtifactError: If a member is not finished, or members have different splits.
    """
    info, predictions = average_runs(recipe, benchmark, seed)
    run = benchmark.run(info.run_id)
    with atomic_replace(run) as new:
        write_run(new, info, predictions, benchmark.samples())
    return run


def evaluate_ensemble(run: RunDir) -> None:
    """Averages the members' predictions again, with the run's weights, and rewrites its reports.

    Raises:
        ArtifactError: If a member was retrained or deleted, or has another split.
    """
    recover(run)
    info = run.info()
    require_members(run)
    labels = run.benchmark.info().label_set
    members = [
        Predictions.read(run.benchmark.run(name).predictions_path, labels) for name in info.members
    ]
    predictions = average(members, info.member_weights, info.logit_shift)
    with atomic_replace(run) as new:
        write_run(new, info, predictions, run.benchmark.samples())


def refresh_ensembles(member: RunDir) -> list[RunDir]:
    """Averages every ensemble of a network again after its predictions were rewritten.

    Ensembles with a retrained member are skipped, because they must be built again.

    Returns:
        The ensembles that were rewritten.
    """
    refreshed = []
    for run in member.benchmark.finished_runs():
        try:
            if member.run_id in run.info().members and not members_changed(run):
                evaluate_ensemble(run)
                refreshed.append(run)
        except ArtifactError:
            continue  # a damaged run, which is reported where it is used
    return refreshed


def average_runs(
    recipe: EnsembleRecipe, benchmark: BenchmarkDir, seed: int = 0
) -> tuple[RunInfo, Predictions]:
    """Averages finished runs without writing the result.

    Raises:
        ArtifactError: If a member is not finished, or members have different splits.
    """
    candidates = [benchmark.run(name) for name in recipe.member_runs(seed)]
    if missing := [run.run_id for run in candidates if not run.info_path.is_file()]:
        raise ArtifactError(
            f"{recipe.name} averages runs of {benchmark.name} that are not finished: "
            f"{', '.join(missing)}. Train or import them first, or name others."
        )
    infos = [run.info() for run in candidates]
    if len({info.split_hash for info in infos}) > 1:
        raise ArtifactError(
            "The members of an ensemble must have the same split. Train them on one dataset."
        )
    labels = benchmark.info().label_set
    predictions = [Predictions.read(run.predictions_path, labels) for run in candidates]
    weights = (
        greedy_weights(predictions, least_macro_recall=recipe.least_macro_recall)
        if recipe.method == "greedy"
        else (1 / len(candidates),) * len(candidates)
    )
    prior_shift, logit_shift = _prior_shift(recipe, average(predictions, weights), benchmark)
    info = _ensemble_info(recipe, labels, infos, weights, seed)
    info = info.model_copy(update={"prior_shift": prior_shift, "logit_shift": logit_shift})
    return info, average(predictions, weights, logit_shift)


def _ensemble_info(
    recipe: EnsembleRecipe,
    labels: LabelSet,
    candidates: Sequence[RunInfo],
    weights: Sequence[float],
    seed: int,
) -> RunInfo:
    """Returns an ensemble's `run.json` without its prior shift."""
    indices = [index for index, weight in enumerate(weights) if weight > 0]
    members = [candidates[index] for index in indices]
    return RunInfo(
        run_id=recipe.run_id,
        kind="ensemble",
        title=recipe.title or " + ".join(member.title for member in members),
        family="ensemble",
        recipe=recipe.model_dump(mode="json"),
        labels=labels.names,
        init="members",
        init_source=", ".join(member.run_id for member in members),
        seed=seed,
        image_size=None,
        preprocessing_hash="+".join(member.preprocessing_hash for member in members),
        split_hash=members[0].split_hash,
        parameters=sum(member.parameters or 0 for member in members),
        teachers={candidate.run_id: candidate.created for candidate in candidates},
        members=tuple(member.run_id for member in members),
        member_weights=tuple(weights[index] for index in indices),
        git_commit=provenance.git_commit(ROOT),
        versions=provenance.versions(),
        created=provenance.now(),
    )


def _prior_shift(
    recipe: EnsembleRecipe, mean: Predictions, benchmark: BenchmarkDir
) -> tuple[float, tuple[float, ...]]:
    """Chooses the prior shift on validation; returns its strength and the logit shift."""
    if recipe.prior == "fixed":
        return 0.0, ()
    logarithms = log_frequencies(benchmark.info().train_counts)
    validation = mean.split("validation")
    strength = choose_prior_shift(
        validation.probabilities, validation.truth, logarithms, recipe.least_macro_recall
    )
    return strength, tuple((strength * logarithms).round(6).tolist()) if strength else ()
