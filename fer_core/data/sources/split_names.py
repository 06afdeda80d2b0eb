"""Names of splits in datasets."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import PurePosixPath

from fer_core.data.sources.base import Split
from fer_core.data.sources.class_names import emotion_of
from fer_core.errors import DataError

_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "dev": "validation",
    "publictest": "validation",
    "public": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "privatetest": "test",
    "private": "test",
}
"""FER2013 calls its validation split PublicTest and its test split PrivateTest."""

_FOLDER_WORDS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
"""Words that make a folder a split even among others."""

_FILLERS = re.compile(
    r"^(fer2013(plus)?|ferplus|fer|affectnet|rafdb|raf|expw|ckplus|ck|kdef|jaffe|sfew|caer|"
    r"[0-9]+|data(set)?|emotions?|expressions?)"
    r"(?=train|val|test|public|private)"
    r"|(sets?|splits?|data|images?|imgs?|faces?|folders?|labels?|list|aligned|cropped|"
    r"(19|20)[0-9]{2})$"
)
KNOWN = "train, validation and test (also val, dev, public_test, private_test ...)"


@lru_cache(maxsize=4096)
def split_of(name: str) -> Split | None:
    """Returns the split that a folder, file or value names; None if it names none.

    `Training`, `train_set` and `FER2013Train` are train; `val`, `dev` and `PublicTest` validation;
    `test` and `private_test` test.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    while plain not in _WORDS and (shorter := _FILLERS.sub("", plain)) != plain:
        plain = shorter
    return _WORDS.get(plain)


def split_in(name: str) -> Split | None:
    """Returns the split that one word of a file's name names: `train_labels.csv` is train."""
    if (split := split_of(name)) is not None:
        return split
    words = [split_of(word) for word in re.split(r"[^A-Za-z0-9]+", name)]
    known = {word for word in words if word is not None}
    return known.pop() if len(known) == 1 else None


@lru_cache(maxsize=4096)
def split_of_folder(name: str) -> Split | None:
    """Returns the split that a folder names, also as one word of several: `Train_AFEW` is train.

    `test_happy` is a class of a split, and no split.
    """
    if (split := split_of(name)) is not None:
        return split
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    known = {_WORDS[word] for word in words if word in _FOLDER_WORDS}
    others = [word for word in words if word not in _FOLDER_WORDS]
    return known.pop() if len(known) == 1 and not any(map(emotion_of, others)) else None


def split_of_path(name: str) -> Split | None:
    """Returns the split of a file's innermost split folder, if there is one."""
    parts = PurePosixPath(name).parts[:-1]
    return next((split for part in reversed(parts) if (split := split_of_folder(part))), None)


_drawn: ContextVar[bool] = ContextVar("splits are drawn", default=False)


@contextmanager
def splits_are_drawn(drawn: bool) -> Iterator[None]:
    """Lets readers pass over unknown splits, because new ones are drawn."""
    before = _drawn.set(drawn)
    try:
        yield
    finally:
        _drawn.reset(before)


def are_drawn() -> bool:
    """Whether new splits are drawn, so that those of a dataset do not matter."""
    return _drawn.get()


def require_known(
    names: Iterable[str], where: str, way_out: str = ", or draw new splits with --split random"
) -> dict[str, Split]:
    """Returns the split of each name; without those that are unknown if new splits are drawn.

    Args:
        names: Names of splits.
        where: Name of the dataset in messages.
        way_out: A remedy besides another name.

    Raises:
        DataError: If a name is not a split (lists all).
    """
    splits = {name: split_of(name) for name in names}
    unknown = [name for name, split in splits.items() if split is None]
    if unknown and not (way_out and are_drawn()):
        raise DataError(
            f"{where} has the splits {', '.join(splits)}, and {', '.join(unknown)} "
            f"{'is' if len(unknown) == 1 else 'are'} not known: FERscope knows {KNOWN}. "
            f"Rename or remove what is not known{way_out}."
        )
    return {name: split for name, split in splits.items() if split is not None}
