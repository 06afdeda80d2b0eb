"""Files that a visitor uploaded; pictures attached to a benchmark stay in the visitor's session."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from fer_core.data.attach import AttachedPictures

if TYPE_CHECKING:
    from dashboard.cache.benchmarks import Benchmark

_STATE: Final = "attached pictures"


@dataclass(frozen=True)
class UploadedFile:
    """An uploaded file's bytes and name."""

    data: bytes
    name: str


@dataclass(frozen=True)
class UploadedPictures:
    """A visitor's pictures.

    Attributes:
        pictures: The matched pictures.
        token: Random; part of the keys of what is cached from them, so that nobody else gets it.
    """

    pictures: AttachedPictures
    token: str


def of_session(benchmark: "Benchmark") -> UploadedPictures | None:
    """Returns what the visitor attached to a benchmark, or None."""
    uploaded = st.session_state.get(_STATE, {}).get(_key(benchmark))
    return uploaded if isinstance(uploaded, UploadedPictures) else None


def keep_in_session(benchmark: "Benchmark", pictures: AttachedPictures) -> None:
    """Keeps pictures for the visitor until the session ends; they replace earlier ones."""
    uploaded = UploadedPictures(pictures, secrets.token_hex(16))
    st.session_state[_STATE] = {_key(benchmark): uploaded}  # one benchmark: memory is limited


def _key(benchmark: "Benchmark") -> tuple[str, str]:
    return str(benchmark.directory.root), benchmark.info.split_hash
