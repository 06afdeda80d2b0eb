"""Persons of images: pictures of one person resemble each other, so persons are resampled."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.intervals import RESAMPLES, resampled_counts

_NO_PERSON = ("", "-1")
_CHUNK = 100


def persons_of(samples: pd.DataFrame) -> NDArray[np.object_] | None:
    """Returns the person of each image, shape (N,), None where none is named.

    None if the table names fewer than two persons.
    """
    if "group" not in samples.columns:
        return None
    persons = samples["group"].astype(object)
    known = persons.notna() & ~persons.astype(str).isin(_NO_PERSON)
    if persons[known].nunique() < 2:
        return None
    return persons.where(known, None).to_numpy(dtype=object)


def persons_at(samples: pd.DataFrame, ids: NDArray[np.object_]) -> NDArray[np.object_] | None:
    """Returns the person of each of these images, shape (M,), as `persons_of`.

    Args:
        samples: Samples indexed by id.
        ids: Ids of the images.
    """
    if "group" not in samples.columns:
        return None
    return persons_of(samples[["group"]].reindex(ids))


def have_several_images(persons: NDArray[np.object_] | None) -> bool:
    """Returns whether the images are of two or more persons, one of them with several images."""
    if persons is None:
        return False
    counts = pd.Series(persons).value_counts()
    return len(counts) > 1 and int(counts.max()) > 1


def resampled_units(persons: NDArray[np.object_] | None, *, transferred: bool) -> str:
    """Returns what intervals resample, in words.

    Args:
        persons: Person of each image, as `persons_at` returns them.
        transferred: Whether the images are a transferred set; groups of other datasets can also be
            originals with their copies.
    """
    if not have_several_images(persons):
        return "images"
    return "persons" if transferred else "persons or sources"


def person_numbers(persons: NDArray[np.object_]) -> NDArray[np.int64]:
    """Returns a number for each person, and one of its own for each image without a person."""
    codes, names = pd.factorize(persons)
    unnamed = codes < 0
    codes[unnamed] = len(names) + np.arange(int(unnamed.sum()))
    return codes.astype(np.int64)


def resampled_sums(counts: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """Returns bootstrap resamples of the persons: the sum of counts over the drawn persons.

    Args:
        counts: What is counted on each person's images, shape (P, M).
        seed: Random seed.

    Returns:
        Shape (resamples, M).
    """
    once, values = np.ones(len(counts), dtype=np.int64), counts.astype(np.float64)
    sums = [  # in parts: all draws of many persons may not fit in memory
        resampled_counts(once, _CHUNK, seed + part) @ values for part in range(RESAMPLES // _CHUNK)
    ]
    return np.concatenate(sums)
