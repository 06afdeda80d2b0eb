"""Saved slices of a benchmark, as facets of its scored samples."""

import pandas as pd

from dashboard.cache import results
from dashboard.cache.benchmarks import Benchmark
from fer_core.errors import ArtifactError
from fer_core.evaluation.saved_slices import slice_facets
from fer_core.evaluation.scope import Scope
from fer_core.reviews import ReviewStore, SavedSlice


def saved_slices(benchmark: Benchmark) -> tuple[SavedSlice, ...]:
    """Returns the saved slices by name; none if their file cannot be read.

    They are read anew on each rerun: the file is small, and another visitor may have written to it.
    """
    try:
        return tuple(ReviewStore.of(benchmark.directory).slices())
    except ArtifactError:
        return ()


def filter_groups(benchmark: Benchmark, scope: Scope) -> pd.DataFrame:
    """Returns the groups that the samples of a scope fall into, including the saved slices."""
    groups = results.facets(benchmark, scope)
    slices = {saved.name: saved.sample_ids for saved in saved_slices(benchmark)}
    if not slices:
        return groups
    ids = results.board(benchmark, scope).aligned.ids
    return groups.join(slice_facets(ids, slices, groups.index))
