"""Checks of the runs that a training is initialised from: leaks, and changes since."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import ArtifactStore, BenchmarkDir, RunDir
from fer_core.config import AnyRecipe, Recipe, parse_recipe, recipe_values
from fer_core.data.prepared import PreparedDataset, no_majority
from fer_core.data.quality import HASH_DISTANCE
from fer_core.errors import DataError, FerscopeError
from fer_core.evaluation.lineage import trace_lineage
from fer_core.models import build_model, spec_of
from fer_core.models.adapters import base_hash
from fer_core.models.weights import initialise

_HELD_OUT = ("test", "validation")


def require_unseen_images(recipe: Recipe, dataset: PreparedDataset, store: ArtifactStore) -> None:
    """Checks that no run in a recipe's chain of initial weights was trained on a held-out image.

    Neither test nor validation, which chooses the checkpoint. Teachers need no check, because they
    have the same split. The training images of imported runs are unknown: see `unknown_training`.

    Raises:
        DataError: If a run was trained on such images; names it and their number.
    """
    samples = dataset.samples
    for run in _chain(recipe.model.init, store):
        trained_on = _trained_on(run)
        for split in _HELD_OUT:
            held_out = samples[samples["split"] == split]
            if count := int(_among(held_out, trained_on).sum()):
                raise DataError(
                    f"{recipe.run_id} is initialised from {run.run_id} of {run.benchmark.name}, "
                    f"which was trained on {count} of this dataset's {len(held_out)} {split} "
                    "images. Prepare both datasets with the source's own split, or set another "
                    "model.init."
                )


def saw_images(run: RunDir, samples: pd.DataFrame) -> NDArray[np.bool_]:
    """Returns a mask of the samples that a network or a run in its chain was trained on."""
    seen = np.zeros(len(samples), dtype=bool)
    for member in _chain(f"run:{run.benchmark.name}/{run.run_id}", run.benchmark.store):
        seen |= _among(samples, _trained_on(member))
    return seen


def unknown_training(recipe: Recipe, benchmark: BenchmarkDir) -> tuple[str, ...]:
    """Returns a note on each imported run that a training descends from.

    These are initial weights, teachers and their ancestors. Nothing here knows their training
    images, so they may have been trained on test.

    Args:
        recipe: The recipe.
        benchmark: The benchmark of its run and of its teachers.
    """
    teachers = recipe.distill.teachers if recipe.distill else ()
    kind, _, start = recipe.model.init.partition(":")
    named = [f"{benchmark.name}/{name}" for name in teachers]
    named = [start, *named] if kind == "run" else named
    imported = list[str]()
    for name, _, run_id in (path.partition("/") for path in named):
        info = benchmark.store.find_run(name, run_id)
        if info is None:
            continue  # loading it reports it
        lineage = trace_lineage(info, name, benchmark.store.find_run)
        for node in lineage.ancestors.values():
            known = benchmark.store.find_run(*node.run) if node.run else None
            if known is not None and known.trained_elsewhere:
                imported.append(f"{node.name} of {node.benchmark}")
    return tuple(
        f"{name} was trained elsewhere: not known whether it has seen test or validation images"
        for name in dict.fromkeys(imported)
    )


def has_other_recipe(run: RunDir, recipe: AnyRecipe) -> bool:
    """Returns whether a finished run was trained with other settings than the recipe has now."""
    saved, values = recipe_values(run.info().recipe), recipe_values(recipe.model_dump(mode="json"))
    if isinstance(recipe, Recipe) and isinstance(saved.get("model"), dict):
        for key in ("hub_config", "mean", "std"):  # a training fills in what the recipe leaves open
            values["model"][key] = values["model"][key] or saved["model"].get(key)
    return saved != values


def has_other_base(run: RunDir) -> bool:
    """Returns whether an adapter's base was retrained, so that the adapter no longer fits.

    False if the base cannot be loaded; loading the adapter then reports why.
    """
    info = run.info()
    if info.base_hash is None:
        return False
    try:
        recipe = parse_recipe(info.recipe)
        assert isinstance(recipe, Recipe)  # noqa: S101 (an ensemble has no base)
        model = build_model(recipe.model, len(info.labels))
        initialise(model, recipe.model, info.labels, run.benchmark.store)
    except FerscopeError:
        return False
    return base_hash(model, spec_of(recipe.model)) != info.base_hash


def _chain(init: str, store: ArtifactStore) -> Iterator[RunDir]:
    """Yields the run that `model.init` names, the run that this one started from, and so on.

    It ends before an imported run, whose training images are unknown.
    """
    seen = set[str]()
    while init.startswith("run:") and init not in seen:
        seen.add(init)  # a run may be initialised from an earlier version of itself
        name, _, run_id = init.removeprefix("run:").partition("/")
        run = store.benchmark(name).run(run_id)
        if not run.info_path.is_file() or run.info().trained_elsewhere:
            return  # loading the weights reports a missing run
        yield run
        base = parse_recipe(run.info().recipe)
        init = base.model.init if isinstance(base, Recipe) else ""


def _trained_on(run: RunDir) -> pd.DataFrame:
    """Returns the samples that a run was trained on."""
    recipe, samples = parse_recipe(run.info().recipe), run.benchmark.samples()
    rows = (samples["split"] == "train").to_numpy()
    if isinstance(recipe, Recipe) and recipe.loss.no_majority:
        rows = rows | no_majority(samples, run.benchmark.info().label_set)
    return samples[rows]


def _among(tested: pd.DataFrame, trained_on: pd.DataFrame) -> NDArray[np.bool_]:
    """Returns a mask of the images that are also in the training images, shape (n,).

    Two images are the same if their stored pixels are equal, or if they have the same source and id
    and similar perceptual hashes, because datasets may be prepared at different sizes.
    """
    same = tested["sha1"].isin(trained_on["sha1"]).to_numpy()
    columns = {"source", "id", "phash"}
    if trained_on.empty or not columns <= {*tested.columns} & {*trained_on.columns}:
        return same  # the samples of an earlier version lack a column
    trained_on = trained_on.drop_duplicates(["source", "id"])
    names = pd.MultiIndex.from_frame(trained_on[["source", "id"]])
    matches = names.get_indexer(pd.MultiIndex.from_frame(tested[["source", "id"]]))
    tested_hash = tested["phash"].to_numpy(dtype=np.uint64)
    trained_hash = trained_on["phash"].to_numpy(dtype=np.uint64)[matches]
    similar = np.bitwise_count(tested_hash ^ trained_hash) <= HASH_DISTANCE
    return np.asarray(same | (similar & (matches >= 0)), dtype=np.bool_)
