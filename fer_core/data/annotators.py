"""Statistics of annotator votes: agreement, and which classes are confused."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import VOTE_PREFIX


def voted_classes(samples: pd.DataFrame) -> list[str]:
    """Returns the classes that annotators could vote for; empty without votes."""
    return [
        name.removeprefix(VOTE_PREFIX) for name in samples.columns if name.startswith(VOTE_PREFIX)
    ]


def vote_shares(samples: pd.DataFrame) -> NDArray[np.float64]:
    """Returns the vote distribution of each sample, shape (N, voted classes); NaN without votes."""
    columns = [f"{VOTE_PREFIX}{name}" for name in voted_classes(samples)]
    votes = samples[columns].to_numpy(dtype=np.float64)
    total = votes.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(
        votes, total, out=np.full(votes.shape, np.nan), where=total > 0
    )
    return shares


def agreement(samples: pd.DataFrame) -> NDArray[np.float64]:
    """Returns the share of annotators who chose the most frequent class, 0 to 1, shape (N,).

    NaN for samples without votes.
    """
    shares = vote_shares(samples)
    return shares.max(axis=1) if shares.shape[1] else np.full(len(samples), np.nan)


def votes_by_label(samples: pd.DataFrame, labels: tuple[str, ...]) -> pd.DataFrame:
    """Returns the mean vote distribution of each class, over its samples with votes.

    Returns:
        Classes in rows, voted classes in columns (those of the data set first), shares of 0 to 1.
    """
    voted = voted_classes(samples)
    order = [name for name in labels if name in voted] + [n for n in voted if n not in labels]
    shares = pd.DataFrame(vote_shares(samples), columns=voted, index=samples["label"])
    means = shares.groupby(level=0).mean()
    return means.reindex(index=[name for name in labels if name in means.index], columns=order)


def annotations_compared(samples: pd.DataFrame, labels: tuple[str, ...]) -> pd.DataFrame | None:
    """Returns a contingency table of labels (rows) and second labels (columns), or None."""
    both = samples[samples["label"].isin(labels) & samples["second_label"].isin(labels)]
    if both.empty:
        return None
    table = pd.crosstab(both["label"], both["second_label"])
    return table.reindex(index=list(labels), columns=list(labels), fill_value=0)
