"""Ensembles of finished runs."""

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import EnsembleRecipe
from fer_core.errors import ArtifactError
from fer_core.evaluation.ensemble import average, greedy_weights, members_changed
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.prior_shift import choose_prior_shift, log_frequencies
from fer_core.project import ROOT
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace, recover
from training.jobs.evaluate import write_run


def build_ensemble(recipe: EnsembleRecipe, benchmark: BenchmarkDir, seed: int = 0) -> RunDir:
    """Averages finished runs of one benchmark into an ensemble run; validation alone chooses.

    Raises:
        ArtifactError: If a member is not finished, or members do not fit together.
    """
    info, predictions = average_runs(recipe, benchmark, seed)
    run = benchmark.run(info.run_id)
    with atomic_replace(run) as place:
        write_run(place, info, predictions, benchmark.samples())
    return run


def evaluate_ensemble(run: RunDir) -> None:
    """Averages the members' predictions again, weighted as the run says, and rewrites its reports.

    Raises:
        ArtifactError: If a member was made anew or deleted since, or does not fit.
    """
    recover(run)
    info = run.info()
    if members_changed(run):
        raise ArtifactError(
            f"A member of {run.run_id} was made anew or deleted since it was chosen. Train the "
            "average again."
        )
    labels = run.benchmark.info().label_set
    scored = [
        Predictions.read(run.benchmark.run(name).predictions_path, labels) for name in info.members
    ]
    predictions = average(scored, info.member_weights, info.logit_shift)
    with atomic_replace(run) as place:
        write_run(place, info, predictions, run.benchmark.samples())


def refresh_averages(member: RunDir) -> list[RunDir]:
    """Averages anew every ensemble that holds a network whose predictions were written again.

    An average whose members have been made anew since is left: it needs another choice.

    Returns:
        The ensembles that were rewritten.
    """
    refreshed = []
    for run in member.benchmark.runs():
        if not run.info_path.is_file():
            continue
        try:
            if member.run_id in run.info().members and not members_changed(run):
                evaluate_ensemble(run)
                refreshed.append(run)
        except ArtifactError:
            continue  # a damaged one, which says so wherever it is asked for
    return refreshed


def average_runs(
    recipe: EnsembleRecipe, benchmark: BenchmarkDir, seed: int = 0
) -> tuple[RunInfo, Predictions]:
    """Averages finished runs and writes nothing.

    Raises:
        ArtifactError: If a member is not finished, or members do not fit together.
    """
    candidates = [benchmark.run(name) for name in recipe.member_runs(seed)]
    if missing := [run.run_id for run in candidates if not run.info_path.is_file()]:
        raise ArtifactError(
            f"{recipe.name} averages runs that {benchmark.name} has not finished: "
            f"{', '.join(missing)}. Train them first, or name others with --set members=[...]."
        )
    infos = [run.info() for run in candidates]
    if len({info.split_hash for info in infos}) > 1:
        raise ArtifactError("The members of an ensemble must stand on the same split.")
    labels = benchmark.info().label_set
    scored = [Predictions.read(run.predictions_path, labels) for run in candidates]
    weights = (
        greedy_weights(scored)
        if recipe.method == "greedy"
        else (1 / len(candidates),) * len(candidates)
    )
    strength, shift = _settle_prior(recipe, average(scored, weights), benchmark)
    predictions = average(scored, weights, shift)
    chosen = [place for place, weight in enumerate(weights) if weight > 0]
    members = [infos[place] for place in chosen]
    info = RunInfo(
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
        prior_shift=strength,
        logit_shift=shift,
        teachers={one.run_id: one.created for one in infos},
        members=tuple(member.run_id for member in members),
        member_weights=tuple(weights[place] for place in chosen),
        git_commit=provenance.git_commit(ROOT),
        versions=provenance.versions(),
        created=provenance.now(),
    )
    return info, predictions


def _settle_prior(
    recipe: EnsembleRecipe, mean: Predictions, benchmark: BenchmarkDir
) -> tuple[float, tuple[float, ...]]:
    """Lets validation choose how far class frequencies speak; returns strength and logit shift."""
    if recipe.prior == "fixed":
        return 0.0, ()
    logarithms = log_frequencies(benchmark.info().train_counts)
    validation = mean.split("validation")
    strength = choose_prior_shift(validation.probabilities, validation.truth, logarithms)
    return strength, tuple((strength * logarithms).round(6).tolist()) if strength else ()
