"""Cached saliency maps, feature maps and measurements; keys as in `dashboard.cache.inference`.

Cache keys are the face's bytes, the stamps of the weights, and the request. Errors are returned as
sentences, so that a problem with one model does not hide the others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.inference import BY_CONTENT, WITH_EVIDENCE, abilities, predictor
from dashboard.cache.stamps import HashFuncs, file_stamps
from fer_core.config import ModelConfig
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.explain import defaults, regions, tables
from fer_core.explain.evidence import MapEvidence, RunEvidence
from fer_core.tables import read_table

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    from torch import Tensor

    from fer_core.explain.faithfulness import Curves
    from fer_core.explain.features import FeatureMaps, Layer
    from fer_core.explain.methods import Method
    from fer_core.explain.saliency import Detail, SaliencyMap
    from fer_core.predictor.loaded_model import BorrowedModel

Result = TypeVar("Result")

_FAITHFULNESS = ("method", "metric", "id", "value")
_REGIONS = ("method", "id", "label", "predicted", "cells", *regions.PARTS)
_BY_REGIONS: HashFuncs = {Run: file_stamps("regions_path")}
_PROJECTION = ("id", "label", "predicted", "x", "y")


@dataclass(frozen=True)
class MapRequest:
    """The options of a saliency map; hashable, part of the caches' keys.

    Attributes:
        method: Key of the method; each model's default if None.
        target: Index of the explained class; the predicted one if None.
        contrast: Index of the class to contrast it with.
        depth: Layer that a CAM or attention reads, 0 (first) to 1 (last); the method's default
            if None.
        head: Index of an attention head; the mean of all if None.
    """

    method: str | None = None
    target: int | None = None
    contrast: int | None = None
    depth: float | None = None
    head: int | None = None


def config_of(run: Run) -> ModelConfig | None:
    """Returns how a run's network was built; None for an ensemble."""
    return defaults.config_of(run.info)


def default_of(benchmark: Benchmark, run: Run) -> str:
    """Returns the key of a run's default method: the fastest that beats the baselines."""
    return defaults.default_of(benchmark.directory, run.directory, run.info)


def best_with_regions(benchmark: Benchmark, run: Run) -> str:
    """Returns a run's most faithful method among those whose regions were measured."""
    evidence = defaults.run_evidence(benchmark.directory, run.directory, run.info)
    table = regions_of(run)
    known = set() if table is None else set(table["method"])
    if evidence.best in known:
        return str(evidence.best)
    with_regions = {key: value for key, value in evidence.test.items() if key in known}
    return RunEvidence(test=with_regions).best or default_of(benchmark, run)


def evidence_of(benchmark: Benchmark, run: Run, method: str) -> MapEvidence:
    """Returns the evidence for a method's maps on a run."""
    return defaults.run_evidence(benchmark.directory, run.directory, run.info).of(method)


def _normalised(request: MapRequest) -> MapRequest:
    """Drops the options that the method ignores, so that they do not compute the map again."""
    method = _method(request)
    return replace(
        request,
        depth=request.depth if method is not None and method.reads_depth else None,
        head=request.head if method is not None and method.reads_head else None,
    )


_BY_REQUEST: HashFuncs = {
    **WITH_EVIDENCE,
    MapRequest: lambda request: astuple(_normalised(request)),
}


@st.cache_resource(max_entries=1024, ttl=3600, show_spinner=False, hash_funcs=_BY_REQUEST)
def saliency(
    benchmark: Benchmark, run: Run, face: NDArray[np.uint8], request: MapRequest
) -> "SaliencyMap | str":
    """Returns a run's map of a face in the benchmark's format, or the reason there is none."""
    from fer_core.explain.saliency import Target

    request = _normalised(request)

    def work() -> "SaliencyMap":
        index = request.target
        if index is None and request.contrast is not None:
            with _borrowed(benchmark, run, face) as (model, inputs):
                index = int(model.logits(inputs).detach()[0].argmax())
        # a class is not contrasted with itself
        contrast = None if request.contrast == index else request.contrast
        target = None if index is None else Target(index, contrast)
        detail = _detail(benchmark, run, request)
        return predictor(benchmark).explain(face, run.run_id, request.method, target, detail)

    return _or_reason(work)


@st.cache_resource(max_entries=1024, ttl=3600, show_spinner=False, hash_funcs=_BY_REQUEST)
def curves(
    benchmark: Benchmark, run: Run, face: NDArray[np.uint8], request: MapRequest
) -> "Curves | str":
    """Returns the insertion and deletion curves of that map, or the reason there are none."""
    from fer_core.explain.faithfulness import insertion_deletion

    tested = saliency(benchmark, run, face, request)
    if isinstance(tested, str):
        return tested

    def work() -> "Curves":
        with _borrowed(benchmark, run, face) as (model, inputs):
            return insertion_deletion(model.logits, inputs[0], [tested])[0]

    return _or_reason(work)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_CONTENT)
def outline(benchmark: Benchmark, run: Run) -> "list[Layer] | str":
    """Returns the layers of a run's network, or the reason there are none."""
    from torch import nn

    from fer_core.explain.features import layers
    from fer_core.explain.saliency import ExplainError

    def work() -> "list[Layer]":
        blank = np.zeros(predictor(benchmark).format.shape, np.uint8)
        with _borrowed(benchmark, run, blank) as (model, inputs):
            if model.spec is None or not isinstance(model.model, nn.Module):
                raise ExplainError(abilities(run).reason)
            return layers(model.model, model.spec, inputs)

    return _or_reason(work)


@st.cache_resource(max_entries=64, ttl=3600, show_spinner=False, hash_funcs=BY_CONTENT)
def feature_maps(
    benchmark: Benchmark, run: Run, face: NDArray[np.uint8], path: str, target: int | None
) -> "FeatureMaps | str":
    """Returns a layer's maps of a face, or the reason there are none.

    Args:
        benchmark: The benchmark.
        run: One of its runs.
        face: A face in the benchmark's format.
        path: The layer's module path.
        target: Index of the class whose gradient ranks the channels; the predicted one if None.
    """
    from torch import nn

    from fer_core.explain import features
    from fer_core.explain.saliency import ExplainError, Target

    def work() -> "FeatureMaps":
        known = outline(benchmark, run)
        layers = [] if isinstance(known, str) else known
        layer = next((layer for layer in layers if layer.path == path), None)
        with _borrowed(benchmark, run, face) as (model, inputs):
            if layer is None or model.spec is None or not isinstance(model.model, nn.Module):
                raise ExplainError(f"{run.info.title} has no layer {path!r}.")
            explained = None if target is None else Target(target)
            return features.feature_maps(model.model, model.spec, inputs, layer, explained)

    return _or_reason(work)


@st.cache_resource(max_entries=32, ttl=3600, show_spinner=False, hash_funcs=BY_CONTENT)
def attention(
    benchmark: Benchmark, run: Run, face: NDArray[np.uint8]
) -> "NDArray[np.float32] | str":
    """Returns a ViT's attention for a face, or the reason there is none.

    Returns:
        float32, shape (blocks, heads, T, T) for T tokens.
    """
    from fer_core.explain.attention import attention as read_attention

    def work() -> NDArray[np.float32]:
        with _borrowed(benchmark, run, face) as (model, inputs):
            weights = read_attention(model.model, inputs)[1][0]
            return np.asarray(weights.cpu().numpy(), dtype=np.float32)

    return _or_reason(work)


def network_input(benchmark: Benchmark, run: Run, face: NDArray[np.uint8]) -> Image.Image:
    """Returns a face at the size of a network's input."""
    side = run.info.image_size or benchmark.info.side
    return Image.fromarray(face).resize((side, side), Image.Resampling.BILINEAR)


@st.cache_resource(
    max_entries=32,
    show_spinner="Comparing methods ...",
    hash_funcs={Run: file_stamps("faithfulness_path")},
)
def faithfulness(run: Run) -> pd.DataFrame | None:
    """Returns the ranking of a run's methods; None if `explain` was not run."""
    table = _read(run.directory.faithfulness_path, _FAITHFULNESS)
    return None if table is None else tables.rank_methods(table)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=_BY_REGIONS)
def regions_of(run: Run) -> pd.DataFrame | None:
    """Returns a run's `regions.parquet`; None if `explain` was not run."""
    return _read(run.directory.regions_path, _REGIONS)


@st.cache_resource(max_entries=1024, show_spinner=False, hash_funcs=_BY_REGIONS)
def claim(run: Run, method: str, label: str, region: str) -> tables.Claim | None:
    """Returns the test of a claim on a run; None if it has no such maps to test it on."""
    table = regions_of(run)
    return None if table is None else tables.claim(table, method, label, region)


@st.cache_resource(max_entries=32, show_spinner="Comparing maps ...", hash_funcs=_BY_REGIONS)
def agreement(maps: tuple[tuple[Run, str], ...]) -> pd.DataFrame:
    """Returns the correlation of the maps of runs, each by one method, of the same faces."""
    rows = {
        run.run_id: table[table["method"] == method]
        for run, method in maps
        if (table := regions_of(run)) is not None
    }
    return tables.agreement(rows)


@st.cache_resource(
    max_entries=32, show_spinner=False, hash_funcs={Run: file_stamps("projection_path")}
)
def projection(run: Run) -> pd.DataFrame | None:
    """Returns a run's `projection.parquet`; None if `explain` was not run."""
    return _read(run.directory.projection_path, _PROJECTION)


@st.cache_resource(show_spinner="Drawing face regions ...")
def canonical_regions(framing: regions.FaceLayout) -> dict[str, NDArray[np.bool_]]:
    """Returns masks of the average positions of the face regions in crops with that framing."""
    return regions.canonical_regions(framing=framing)


@contextmanager
def _borrowed(
    benchmark: Benchmark, run: Run, face: NDArray[np.uint8]
) -> "Iterator[tuple[BorrowedModel, Tensor]]":
    """Yields the run's model and the face as its input, shape (1, 3, S, S)."""
    with predictor(benchmark).borrow(run.run_id) as model:
        yield model, model.prepare(face[None])


def _or_reason(work: Callable[[], Result]) -> Result | str:
    try:
        return work()
    except FerscopeError as error:
        return str(error)


def _method(request: MapRequest) -> "Method | None":
    from fer_core.explain.methods import METHODS

    return METHODS.get(request.method or "")


def _detail(benchmark: Benchmark, run: Run, request: MapRequest) -> "Detail | None":
    """Turns a relative depth into the layer or block of this network."""
    from fer_core.explain.saliency import Detail
    from fer_core.models import spec_of

    config = config_of(run)
    method = _method(request)
    if config is None or method is None or not method.reads_depth:
        return None
    layers = None if request.depth is None else outline(benchmark, run)
    if layers is None or isinstance(layers, str) or request.depth is None:
        return Detail(head=request.head) if method.reads_head else None
    if method.reads_head:
        # a ViT's outline is its patches, then its blocks
        return Detail(block=round(request.depth * (len(layers) - 2)), head=request.head)
    paths = [layer.path for layer in layers]
    spec = spec_of(config)
    if spec.family == "vit" and spec.cam_layer in paths:
        # after it the classifier reads only the class token: no gradient reaches a patch
        paths = paths[: paths.index(spec.cam_layer) + 1]
    return Detail(module=paths[round(request.depth * (len(paths) - 1))])


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    try:
        table = read_table(path, columns)
        tables.protocol_of(table, path.name)
    except ArtifactError:
        return None
    return table
