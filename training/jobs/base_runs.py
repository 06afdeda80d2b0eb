"""Checks of the runs that a training is initialised from: leaks, and changes since."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import ArtifactStore, BenchmarkDir, RunDir
from fer_core.config import AnyRecipe, Recipe, parse_recipe, recipe_values
from fer_core.data.prepared import PreparedDataset, no_majority
from fer_core.data.quality import HASH_DISTANCE
from fer_core.errors import DataError, FerscopeError
from fer_core.models import build_model, spec_of
from fer_core.models.adapters import base_hash
from fer_core.models.weights import initialise


def require_unseen_test(recipe: Recipe, dataset: PreparedDataset, store: ArtifactStore) -> None:
    """Checks that no run in a recipe's chain of initial weights was trained on a test image.

    Teachers need no check, because they have the same split. Two images are the same if their
    stored pixels are equal, or if they have the same source and id and similar perceptual hashes,
    because datasets may be prepared at different sizes.

    Raises:
        DataError: If a run was trained on test images; names it and their number.
    """
    samples = dataset.samples
    tested = samples[samples["split"] == "test"]
    init, seen = recipe.model.init, set[str]()
    while init.startswith("run:") and init not in seen:
        seen.add(init)  # a run may be initialised from an earlier version of itself
        name, _, run_id = init.removeprefix("run:").partition("/")
        benchmark = store.benchmark(name)
        run = benchmark.run(run_id)
        if not run.info_path.is_file():
            return  # loading the weights reports it
        base = parse_recipe(run.info().recipe)
        count = int(_among(tested, _trained_on(base, benchmark)).sum())
        if count:
            raise DataError(
                f"{recipe.run_id} is initialised from {run_id} of {name}, which was trained on "
                f"{count} of this dataset's {len(tested)} test images. Prepare both datasets with "
                "the source's own split, or set another model.init."
            )
        init = base.model.init if isinstance(base, Recipe) else ""


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


def _trained_on(recipe: AnyRecipe, benchmark: BenchmarkDir) -> pd.DataFrame:
    """Returns the samples that a run was trained on."""
    samples = benchmark.samples()
    rows = (samples["split"] == "train").to_numpy()
    if isinstance(recipe, Recipe) and recipe.loss.no_majority:
        rows = rows | no_majority(samples, benchmark.info().label_set)
    return samples[rows]


def _among(tested: pd.DataFrame, trained_on: pd.DataFrame) -> NDArray[np.bool_]:
    """Returns a mask of the test images that are also in the training images, shape (n,)."""
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
