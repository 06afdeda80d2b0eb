"""What the pages on explanations read and compute; caches like `dashboard.cache.benchmarks`.

Every cached function takes content as its key: the face's bytes, the weights' stamp, the
question. Errors that a visitor can mend come back as sentences, so that one model's trouble
leaves the others on the page.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark, Run, Stamp
from dashboard.cache.benchmarks import stamp as stamp_of
from fer_core.artifacts import read_table
from fer_core.config import ModelConfig, Recipe, parse_recipe
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.explain import regions, tables

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
_PROJECTION = ("id", "label", "predicted", "x", "y")


@dataclass(frozen=True)
class Asked:
    """What a visitor asks of a map; hashable, part of the caches' keys.

    Attributes:
        method: Key of the method; each model's default if None.
        of: Index of the explained class; the model's own answer if None.
        against: Index of the class to contrast it with.
        depth: Where a CAM or attention reads, 0 (first layer) to 1 (last); the method's own
            choice if None.
        head: Number of an attention head; their mean if None.
    """

    method: str | None = None
    of: int | None = None
    against: int | None = None
    depth: float | None = None
    head: int | None = None


@dataclass(frozen=True)
class _Case:
    """A face put to a run: what cached functions take as one argument.

    Attributes:
        chosen: The benchmark.
        run: One of its runs.
        face: In the benchmark's format; None where the question is about the run alone.
    """

    chosen: Benchmark
    run: Run
    face: NDArray[np.uint8] | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What an answer depends on: the face's bytes, the split, the weights."""
        face = None if self.face is None else (self.face.tobytes(), self.face.shape)
        return (*benchmarks.basis(self.chosen, self.run), face)

    @property
    def stored(self) -> NDArray[np.uint8]:
        """The face; a blank one where none is asked about."""
        blank = np.zeros(benchmarks.predictor(self.chosen).format.shape, np.uint8)
        return blank if self.face is None else self.face

    @contextmanager
    def borrowed(self) -> "Iterator[tuple[BorrowedModel, Tensor]]":
        """Lends the run's model, and the face as its input, shape (1, 3, S, S)."""
        with benchmarks.predictor(self.chosen).borrow(self.run.run_id) as subject:
            yield subject, subject.prepare(self.stored[None])


_BY_CONTENT: "dict[str | type[Any], Callable[[Any], Any]]" = {_Case: lambda case: case.key}


def config_of(run: Run) -> ModelConfig | None:
    """Returns how a run's network was built; None for an ensemble."""
    if run.info.kind != "network":
        return None
    recipe = parse_recipe(run.info.recipe)
    return recipe.model if isinstance(recipe, Recipe) else None


def default_of(run: Run) -> str:
    """Returns the key of the method that stands for a run where none is chosen."""
    if run.info.kind == "ensemble":
        return tables.MEMBERS
    from fer_core.explain.methods import default_method

    return default_method(config_of(run))


def saliency(
    chosen: Benchmark, run: Run, face: NDArray[np.uint8], asked: Asked
) -> "SaliencyMap | str":
    """Returns a run's map of a face in the benchmark's format, or why there is none."""
    return _saliency(_Case(chosen, run, face), _needed(asked))


def curves(chosen: Benchmark, run: Run, face: NDArray[np.uint8], asked: Asked) -> "Curves | str":
    """Returns the insertion and deletion curves of that map, or why there are none."""
    return _curves(_Case(chosen, run, face), _needed(asked))


def outline(chosen: Benchmark, run: Run) -> "list[Layer] | str":
    """Returns the layers of a run's network, or why there are none."""
    return _outline(_Case(chosen, run))


def feature_maps(
    chosen: Benchmark, run: Run, face: NDArray[np.uint8], path: str, of: int | None
) -> "FeatureMaps | str":
    """Returns a layer's maps of a face, or why there are none."""
    return _feature_maps(_Case(chosen, run, face), path, of)


def attention(chosen: Benchmark, run: Run, face: NDArray[np.uint8]) -> "NDArray[np.float32] | str":
    """Returns a ViT's attention for a face, (blocks, heads, T, T), or why there is none."""
    return _attention(_Case(chosen, run, face))


def network_input(chosen: Benchmark, run: Run, face: NDArray[np.uint8]) -> Image.Image:
    """Returns a face at the size in which a network gets it."""
    side = run.info.image_size or chosen.info.side
    return Image.fromarray(face).resize((side, side), Image.Resampling.BILINEAR)


def faithfulness(run: Run) -> pd.DataFrame | None:
    """Returns the league of a run's methods; None if `explain` was not run."""
    path = run.place.faithfulness_path
    return _league(path, stamp_of(path))


def regions_of(run: Run) -> pd.DataFrame | None:
    """Returns a run's `regions.parquet`; None if `explain` was not run."""
    path = run.place.regions_path
    return _table(path, _REGIONS, stamp_of(path))


def projection(run: Run) -> pd.DataFrame | None:
    """Returns a run's `projection.parquet`; None if `explain` was not run."""
    path = run.place.projection_path
    return _table(path, _PROJECTION, stamp_of(path))


@st.cache_resource(show_spinner="Drawing the regions of a face ...")
def canonical_regions(framing: regions.FaceLayout) -> dict[str, NDArray[np.bool_]]:
    """Returns where the parts of a face usually are in crops of that framing."""
    return regions.canonical_regions(framing=framing)


def _said(work: Callable[[], Result]) -> Result | str:
    try:
        return work()
    except FerscopeError as error:
        return str(error)


def _needed(asked: Asked) -> Asked:
    """Leaves out what a method does not read, so that its map is not made again for that."""
    method = _method(asked)
    if method is None:
        return replace(asked, depth=None, head=None)
    return replace(
        asked,
        depth=asked.depth if method.reads_depth else None,
        head=asked.head if method.reads_head else None,
    )


def _method(asked: Asked) -> "Method | None":
    from fer_core.explain.methods import METHODS

    return METHODS.get(asked.method or "")


def _detail(chosen: Benchmark, run: Run, asked: Asked) -> "Detail | None":
    """Turns a relative depth into the layer or block of this network."""
    from fer_core.explain.saliency import Detail
    from fer_core.models import spec_of

    config = config_of(run)
    method = _method(asked)
    if config is None or method is None or not method.reads_depth:
        return None
    found = None if asked.depth is None else outline(chosen, run)
    if found is None or isinstance(found, str) or asked.depth is None:
        return Detail(head=asked.head) if method.reads_head else None
    if method.reads_head:
        # a ViT's outline is its patches, then its blocks
        return Detail(block=round(asked.depth * (len(found) - 2)), head=asked.head)
    paths = [layer.path for layer in found]
    spec = spec_of(config.architecture)
    if spec.family == "vit" and spec.cam_layer in paths:
        # behind it the classifier reads the class token alone: no gradient reaches a patch
        paths = paths[: paths.index(spec.cam_layer) + 1]
    return Detail(module=paths[round(asked.depth * (len(paths) - 1))])


@st.cache_resource(max_entries=1024, ttl=3600, show_spinner=False, hash_funcs=_BY_CONTENT)
def _saliency(case: _Case, asked: Asked) -> "SaliencyMap | str":
    from fer_core.explain.saliency import Target

    def work() -> "SaliencyMap":
        target = None if asked.of is None else Target(asked.of, asked.against)
        if asked.of is None and asked.against is not None:
            with case.borrowed() as (subject, inputs):
                logits = subject.model(inputs).detach()
            target = Target(int(logits[0].argmax()), asked.against)
        if target is not None and target.of == target.against:
            target = Target(target.of)  # nothing to contrast a class with itself
        detail = _detail(case.chosen, case.run, asked)
        predictor = benchmarks.predictor(case.chosen)
        return predictor.explain(case.stored, case.run.run_id, asked.method, target, detail)

    return _said(work)


@st.cache_resource(max_entries=1024, ttl=3600, show_spinner=False, hash_funcs=_BY_CONTENT)
def _curves(case: _Case, asked: Asked) -> "Curves | str":
    from fer_core.explain.faithfulness import insertion_deletion

    one = _saliency(case, asked)
    if isinstance(one, str):
        return one

    def work() -> "Curves":
        with case.borrowed() as (subject, inputs):
            return insertion_deletion(subject.model, inputs[0], [one])[0]

    return _said(work)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_BY_CONTENT)
def _outline(case: _Case) -> "list[Layer] | str":
    from fer_core.explain.features import layers
    from fer_core.explain.saliency import ExplainError

    def work() -> "list[Layer]":
        with case.borrowed() as (subject, inputs):
            if subject.spec is None:
                raise ExplainError(
                    f"{case.run.info.title} is an ensemble and has no layers of its own."
                )
            return layers(subject.model, subject.spec, inputs)

    return _said(work)


@st.cache_resource(max_entries=64, ttl=3600, show_spinner=False, hash_funcs=_BY_CONTENT)
def _feature_maps(case: _Case, path: str, of: int | None) -> "FeatureMaps | str":
    from fer_core.explain import features
    from fer_core.explain.saliency import ExplainError, Target

    def work() -> "FeatureMaps":
        found = outline(case.chosen, case.run)
        layer = next((one for one in found if not isinstance(one, str) and one.path == path), None)
        with case.borrowed() as (subject, inputs):
            if layer is None or subject.spec is None:
                raise ExplainError(f"{case.run.info.title} has no layer {path!r}.")
            target = None if of is None else Target(of)
            return features.feature_maps(subject.model, subject.spec, inputs, layer, target)

    return _said(work)


@st.cache_resource(max_entries=32, ttl=3600, show_spinner=False, hash_funcs=_BY_CONTENT)
def _attention(case: _Case) -> "NDArray[np.float32] | str":
    from fer_core.explain import attention as reading

    def work() -> NDArray[np.float32]:
        with case.borrowed() as (subject, inputs):
            weights = reading.attention(subject.model, inputs)[1][0]
            return np.asarray(weights.cpu().numpy(), dtype=np.float32)

    return _said(work)


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    try:
        table = read_table(path, columns)
        tables.protocol_of(table, path.name)
    except ArtifactError:
        return None
    return table


@st.cache_resource(max_entries=32, show_spinner=False)
def _table(path: Path, columns: tuple[str, ...], stamp: Stamp) -> pd.DataFrame | None:
    return _read(path, columns)


@st.cache_resource(max_entries=32, show_spinner="Comparing methods ...")
def _league(path: Path, stamp: Stamp) -> pd.DataFrame | None:
    table = _read(path, _FAITHFULNESS)
    return None if table is None else tables.rank_methods(table)
