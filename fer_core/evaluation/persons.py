"""Persons of images: pictures of one person resemble each other, so persons are resampled."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.intervals import RESAMPLES, resampled_counts

IMAGES = "images"
"""What is resampled if no person has several images."""

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
        return IMAGES
    return "persons" if transferred else "persons or sources"


def person_numbers(persons: NDArray[np.object_]) -> NDArray[np.int64]:
    """Returns a number for each person, and one of its own for each image without a person."""
    codes, names = pd.factorize(persons)
    unnamed = codes < 0
    codes[unnamed] = len(names) + np.arange(int(unnamed.sum()))
    return codes.astype(np.int64)


def sums_by_person(
    values: NDArray[np.float64], persons: NDArray[np.object_] | None
) -> NDArray[np.float64]:
    """Returns the sum of the values of each person's images, shape (P,).

    The values themselves, shape (N,), if no person has several images.
    """
    if persons is None or not have_several_images(persons):
        return values
    sums: NDArray[np.float64] = np.bincount(person_numbers(persons), values).astype(np.float64)
    return sums


def resampled_cells(
    cells: NDArray[np.int64], count: int, persons: NDArray[np.object_] | None, seed: int = 0
) -> list[NDArray[np.float64]]:
    """Returns bootstrap resamples of a table: over images and, if a person has several, persons.

    Args:
        cells: Cell of the table that each image is in, shape (N,).
        count: Number of cells.
        persons: Person of each image; None if no image has one.
        seed: Random seed.

    Returns:
        Counts of the images in each cell, shape (resamples, cells), for each resampling.
    """
    table = np.bincount(cells, minlength=count).astype(np.int64)
    over_images = resampled_counts(table, seed=seed).astype(np.float64)
    if persons is None or not have_several_images(persons):
        return [over_images]
    numbers = person_numbers(persons)
    by_person = np.bincount(numbers * count + cells, minlength=(int(numbers.max()) + 1) * count)
    return [over_images, resampled_sums(by_person.reshape(-1, count).astype(np.int64), seed)]


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
