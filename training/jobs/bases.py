"""Runs that a training starts from: what they learned may not be tested here."""

from fer_core.artifacts import ArtifactStore
from fer_core.config import Recipe, parse_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import DataError


def require_unseen_test(recipe: Recipe, dataset: PreparedDataset, store: ArtifactStore) -> None:
    """Checks that no run that the weights go back to has learned a test image of this set.

    A run's teachers have its own split, so that what it started from is all that is looked at.
    Images are the same if their stored pixels are.

    Raises:
        DataError: If one has; names it, and how many.
    """
    samples = dataset.samples
    tested = set(samples.loc[samples["split"] == "test", "sha1"])
    init = recipe.model.init
    while init.startswith("run:"):
        name, _, run_id = init.removeprefix("run:").partition("/")
        benchmark = store.benchmark(name)
        run = benchmark.run(run_id)
        if not run.info_path.is_file():
            return  # said where the weights are read
        earlier = benchmark.samples()
        count = len(tested & set(earlier.loc[earlier["split"] == "train", "sha1"]))
        if count:
            raise DataError(
                f"{run_id} of {name}, from which {recipe.run_id} starts, has learned {count} of "
                f"this set's {len(tested)} test images; its report would be of images it knows. "
                "Prepare both sets with the source's own split, or start from other weights."
            )
        start = parse_recipe(run.info().recipe)
        init = start.model.init if isinstance(start, Recipe) else ""
