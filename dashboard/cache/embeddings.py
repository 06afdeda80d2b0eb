"""Cached embeddings of a benchmark's images. The caching rules are those of `benchmarks`."""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache.benchmarks import Benchmark, Run, samples
from dashboard.cache.inference import abilities, predictor
from dashboard.cache.stamps import file_stamps
from fer_core.data.embedding_index import EmbeddingIndex
from fer_core.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

_READABLE = file_stamps("embeddings_path", "weights_path", "info_path")


def chosen_network(benchmark: Benchmark, run_id: str) -> Run | None:
    """Returns the network whose embedding is meant by a picked run; None if there is no network.

    It is the run itself, for an ensemble its first embedded member, else the benchmark's best
    network.

    Args:
        benchmark: The benchmark.
        run_id: The picked run; need not exist.
    """
    by_id = {run.run_id: run for run in benchmark.runs}
    picked = by_id.get(run_id)
    if picked is not None and picked.info.members:
        members = [by_id[name] for name in picked.info.members if name in by_id]
        embedded = [run for run in members if _is_embedded(run)]
        return next(iter([*embedded, *members]), None)
    networks = [run for run in benchmark.runs if abilities(run).has_layers]
    if picked in networks:
        return picked
    embedded = [run for run in networks if _is_embedded(run)]
    return next(iter([*embedded, *networks]), None)


def _is_embedded(run: Run) -> bool:
    # runs without a file would push the indices of others out of the cache
    return run.directory.embeddings_path.is_file() and index_of(run) is not None


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={Run: _READABLE})
def index_of(run: Run) -> EmbeddingIndex | None:
    """Returns a run's embeddings; None if `embed` was not run for these weights."""
    directory = run.directory
    try:
        index = EmbeddingIndex.read(directory.embeddings_path)
        return index if index.made_of == directory.embedding_key else None
    except (ArtifactError, OSError):
        return None


def nearest(
    benchmark: Benchmark,
    index: EmbeddingIndex,
    vector: NDArray[np.floating],
    count: int,
    split: str = "train",
) -> list[tuple[str, float]]:
    """Returns the samples of a split that a network sees most like a vector, best first."""
    splits = samples(benchmark)["split"].reindex(index.ids)
    return index.nearest(vector, count, (splits == split).to_numpy())


def vector_of(index: EmbeddingIndex, sample_id: str) -> NDArray[np.float16] | None:
    """Returns the embedding of a sample; None if it has none."""
    rows = np.flatnonzero(index.ids == sample_id)
    return index.vectors[rows[0]] if len(rows) else None


def embed_face(
    benchmark: Benchmark, run: Run, index: EmbeddingIndex, face: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Returns the embedding of a face in the benchmark's format.

    Raises:
        ArtifactError: If the run is damaged.
    """
    from torch import nn

    from fer_core.engine.features import pooled_features

    with predictor(benchmark).borrow(run.run_id) as model:
        assert model.spec is not None  # noqa: S101 (only networks are embedded)
        assert isinstance(model.model, nn.Module)  # noqa: S101

        def prepare(images: "Tensor") -> "Tensor":
            return model.prepare(images.numpy())

        features = pooled_features(model.model, model.spec, prepare, face[None])
    vector: NDArray[np.float32] = index.project(features)[0]
    return vector
