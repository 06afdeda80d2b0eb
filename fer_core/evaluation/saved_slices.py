"""Metrics on named sets of samples that visitors saved."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.report import Estimate

PREFIX = "slice "
"""Start of the name of a facet that says whether a sample is in a saved slice."""


def membership(ids: NDArray[np.object_], sample_ids: Iterable[str]) -> NDArray[np.bool_]:
    """Returns a mask of the samples that are in a slice, shape (N,)."""
    return np.isin(ids.astype(str), np.array(list(sample_ids), dtype=str))


def slice_facets(
    ids: NDArray[np.object_], slices: Mapping[str, Iterable[str]], index: pd.Index | None = None
) -> pd.DataFrame:
    """Returns one facet per slice, with the groups `no` and `yes`.

    Args:
        ids: The samples.
        slices: Sample ids by the slice's name.
        index: Index of the result.
    """
    groups = pd.Index(["no", "yes"])
    return pd.DataFrame(
        {
            f"{PREFIX}{name}": pd.Categorical.from_codes(
                membership(ids, members).astype(np.int8), groups
            )
            for name, members in slices.items()
        },
        index=index,
    )


def slice_accuracies(
    aligned: AlignedPredictions, inside: NDArray[np.bool_]
) -> dict[str, Estimate] | None:
    """Returns each run's accuracy on a slice, with its 95% Wilson interval.

    Args:
        aligned: Predictions of the runs.
        inside: Whether each sample is in the slice, shape (N,).

    Returns:
        Accuracies by run id; None if no sample is in the slice.
    """
    images = int(inside.sum())
    if not images:
        return None
    right = aligned.right[:, inside].sum(axis=1)
    estimates = {}
    for run_id, count in zip(aligned.runs, right, strict=True):
        estimate = Estimate.of_share(int(count), images)
        assert estimate is not None  # noqa: S101 (there are images)
        estimates[run_id] = estimate
    return estimates
