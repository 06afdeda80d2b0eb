"""Runs that a training starts from: what they learned may not be tested here."""

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
    """Checks that no run that the weights go back to has learned a test image of this set.

    A run's teachers have its own split, so that what it started from is all that is looked at.
    Images are the same if their stored pixels are, or if a source gives them one name and they
    look alike: sets may be prepared at other sizes.

    Raises:
        DataError: If one has; names it, and how many.
    """
    samples = dataset.samples
    tested = samples[samples["split"] == "test"]
    init, seen = recipe.model.init, set[str]()
    while init.startswith("run:") and init not in seen:
        seen.add(init)  # a run may have gone on from itself
        name, _, run_id = init.removeprefix("run:").partition("/")
        benchmark = store.benchmark(name)
        run = benchmark.run(run_id)
        if not run.info_path.is_file():
            return  # said where the weights are read
        start = parse_recipe(run.info().recipe)
        count = int(_among(tested, _learned(start, benchmark)).sum())
        if count:
            raise DataError(
                f"{run_id} of {name}, from which {recipe.run_id} starts, has learned {count} of "
                f"this set's {len(tested)} test images; its report would be of images it knows. "
                "Prepare both sets with the source's own split, or start from other weights."
            )
        init = start.model.init if isinstance(start, Recipe) else ""


def has_other_recipe(run: RunDir, recipe: AnyRecipe) -> bool:
    """Whether a finished run was made by other settings than the recipe's of today."""
    return recipe_values(run.info().recipe) != recipe_values(recipe.model_dump(mode="json"))


def has_other_base(run: RunDir) -> bool:
    """Whether a finished adapter's base was made anew since, so that the adapter fits no more.

    Where the base cannot be reached this is not known, and whoever loads the adapter is told.
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
    return base_hash(model, spec_of(recipe.model.architecture)) != info.base_hash


def _learned(recipe: AnyRecipe, benchmark: BenchmarkDir) -> pd.DataFrame:
    """Returns the samples that a run was trained on."""
    samples = benchmark.samples()
    rows = (samples["split"] == "train").to_numpy()
    if isinstance(recipe, Recipe) and recipe.loss.disputed:
        rows = rows | no_majority(samples, benchmark.info().label_set)
    return samples[rows]


def _among(tested: pd.DataFrame, learned: pd.DataFrame) -> NDArray[np.bool_]:
    """Returns which tested images are among the learned ones, shape (n,)."""
    same = tested["sha1"].isin(learned["sha1"]).to_numpy()
    needed = ("source", "id", "phash")
    if learned.empty or not all(n in t.columns for t in (tested, learned) for n in needed):
        return same  # of an earlier version
    learned = learned.drop_duplicates(["source", "id"])
    names = pd.MultiIndex.from_frame(learned[["source", "id"]])
    places = names.get_indexer(pd.MultiIndex.from_frame(tested[["source", "id"]]))
    ours = tested["phash"].to_numpy(dtype=np.uint64)
    theirs = learned["phash"].to_numpy(dtype=np.uint64)[places]
    alike = np.bitwise_count(ours ^ theirs) <= HASH_DISTANCE
    return np.asarray(same | (alike & (places >= 0)), dtype=np.bool_)
