"""Embeddings of a benchmark's images, for the most similar images in the sample viewer."""

import numpy as np
import torch

from fer_core.abilities import abilities_of
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.embedding_index import EmbeddingIndex
from fer_core.data.imaging import SampleFormat
from fer_core.data.progress import Progress, silent
from fer_core.data.stored_pictures import Pictures
from fer_core.engine.features import pooled_features
from fer_core.engine.networks import load_network
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Report

_BATCH = 256


def best_network(benchmark: BenchmarkDir) -> RunDir:
    """Returns the network with the highest validation accuracy.

    Raises:
        ArtifactError: If no network is finished.
    """
    found = []
    for run in benchmark.runs():
        try:
            if run.info_path.is_file() and abilities_of(run).has_layers:
                found.append((Report.read(run.report_path).validation.accuracy.value, run.run_id))
        except ArtifactError:
            continue
    if not found:
        raise ArtifactError(f"{benchmark.name} has no network. Train one first.")
    return benchmark.run(max(found)[1])


def embed_run(
    run: RunDir, pictures: Pictures, device: torch.device, progress: Progress = silent
) -> EmbeddingIndex | None:
    """Computes and writes the embeddings of all pictures; None if they are there already.

    Args:
        run: A network.
        pictures: The benchmark's pictures.
        device: Device of the network.
        progress: Shows progress.

    Raises:
        ArtifactError: If the run has no layers that can be read.
    """
    abilities = abilities_of(run)
    if not abilities.has_layers:
        raise ArtifactError(f"{run.run_id} has no embedding: {abilities.reason}")
    info = run.benchmark.info()
    if _is_current(run, pictures):
        return None
    network = load_network(run, SampleFormat.of(info))
    network.model.eval().to(device)
    rows = np.array(list(pictures.rows.values()), dtype=np.int64)
    starts = range(0, len(rows), _BATCH)
    parts = [
        pooled_features(
            network.model,
            network.spec,
            network.preprocessing,
            np.asarray(pictures.images[rows[start : start + _BATCH]]),
        )
        for start in progress(starts, len(starts), f"embedding by {run.run_id}")
    ]
    ids = np.array(list(pictures.rows), dtype=np.str_)
    index = EmbeddingIndex.fit(ids, np.concatenate(parts), run.embedding_key)
    index.write(run.embeddings_path)
    return index


def _is_current(run: RunDir, pictures: Pictures) -> bool:
    try:
        index = EmbeddingIndex.read(run.embeddings_path)
    except ArtifactError:
        return False
    return index.made_of == run.embedding_key and set(pictures.rows) <= set(index.ids.tolist())
