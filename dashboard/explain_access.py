"""What the pages on explanations read and compute; caches like `dashboard.data_access`.

Every cached function takes content as its key: the face's bytes, the weights' stamp, the
question. Errors that a visitor can mend come back as sentences, so that one model's trouble
leaves the others on the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard import data_access
from dashboard.data_access import Benchmark, Run, Stamp
from dashboard.data_access import stamp as stamp_of
from fer_core.artifacts import read_table
from fer_core.config import ModelConfig, Recipe, parse_recipe
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.explain import regions, tables

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    from fer_core.explain.faithfulness import Curves
    from fer_core.explain.features import FeatureMaps, Layer
    from fer_core.explain.saliency import Detail, SaliencyMap

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
    return _saliency(face.tobytes(), face.shape, _key(chosen, run), asked, chosen, run)


def curves(chosen: Benchmark, run: Run, face: NDArray[np.uint8], asked: Asked) -> "Curves | str":
    """Returns the insertion and deletion curves of that map, or why there are none."""
    return _curves(face.tobytes(), face.shape, _key(chosen, run), asked, chosen, run)


def outline(chosen: Benchmark, run: Run) -> "list[Layer] | str":
    """Returns the layers of a run's network, or why there are none."""
    return _outline(_key(chosen, run), chosen, run)


def feature_maps(
    chosen: Benchmark, run: Run, face: NDArray[np.uint8], path: str, of: int | None
) -> "FeatureMaps | str":
    """Returns a layer's maps of a face, or why there are none."""
    return _feature_maps(face.tobytes(), face.shape, _key(chosen, run), path, of, chosen, run)


def attention(chosen: Benchmark, run: Run, face: NDArray[np.uint8]) -> "NDArray[np.float32] | str":
    """Returns a ViT's attention for a face, (blocks, heads, T, T), or why there is none."""
    return _attention(face.tobytes(), face.shape, _key(chosen, run), chosen, run)


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
def canonical_regions() -> dict[str, NDArray[np.bool_]]:
    """Returns where the parts of a face usually are."""
    return regions.canonical_regions()


def _key(chosen: Benchmark, run: Run) -> tuple[object, ...]:
    names = run.info.members or (run.run_id,)
    stamps = tuple(stamp_of(chosen.place.run(name).weights_path) for name in names)
    return (chosen.info.split_hash, run.run_id, stamps)


def _said(work: Callable[[], Result]) -> Result | str:
    try:
        return work()
    except FerscopeError as error:
        return str(error)


def _read_face(face: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(face, dtype=np.uint8).reshape(shape)


def _detail(chosen: Benchmark, run: Run, asked: Asked) -> "Detail | None":
    """Turns a relative depth into the layer or block of this network."""
    from fer_core.explain.saliency import Detail

    if asked.method is None or config_of(run) is None:
        return None
    found = None if asked.depth is None else outline(chosen, run)
    if found is None or isinstance(found, str) or asked.depth is None:
        return Detail(head=asked.head)
    if asked.method == "attention":
        # a ViT's outline is its patches, then its blocks
        return Detail(block=round(asked.depth * (len(found) - 2)), head=asked.head)
    return Detail(module=found[round(asked.depth * (len(found) - 1))].path)


@st.cache_resource(max_entries=1024, ttl=3600, show_spinner=False)
def _saliency(
    face: bytes,
    shape: tuple[int, ...],
    key: tuple[object, ...],
    asked: Asked,
    _chosen: Benchmark,
    _run: Run,
) -> "SaliencyMap | str":
    from fer_core.explain.saliency import Target

    def work() -> "SaliencyMap":
        predictor = data_access.predictor(_chosen)
        target = None if asked.of is None else Target(asked.of, asked.against)
        stored = _read_face(face, shape)
        if asked.of is None and asked.against is not None:
            with predictor.borrow(_run.run_id) as subject:
                logits = subject.model(subject.prepare(stored[None])).detach()
            target = Target(int(logits[0].argmax()), asked.against)
        if target is not None and target.of == target.against:
            target = None  # nothing to contrast a class with itself
        detail = _detail(_chosen, _run, asked)
        return predictor.explain(stored, _run.run_id, asked.method, target, detail)

    return _said(work)


@st.cache_resource(max_entries=1024, ttl=3600, show_spinner=False)
def _curves(
    face: bytes,
    shape: tuple[int, ...],
    key: tuple[object, ...],
    asked: Asked,
    _chosen: Benchmark,
    _run: Run,
) -> "Curves | str":
    from fer_core.explain.faithfulness import insertion_deletion

    one = _saliency(face, shape, key, asked, _chosen, _run)
    if isinstance(one, str):
        return one

    def work() -> "Curves":
        with data_access.predictor(_chosen).borrow(_run.run_id) as subject:
            image = subject.prepare(_read_face(face, shape)[None])[0]
            return insertion_deletion(subject.model, image, [one])[0]

    return _said(work)


@st.cache_resource(max_entries=64, show_spinner=False)
def _outline(key: tuple[object, ...], _chosen: Benchmark, _run: Run) -> "list[Layer] | str":
    from fer_core.explain.features import layers
    from fer_core.explain.saliency import ExplainError

    def work() -> "list[Layer]":
        with data_access.predictor(_chosen).borrow(_run.run_id) as subject:
            if subject.spec is None:
                raise ExplainError(
                    f"{_run.info.title} is an ensemble and has no layers of its own."
                )
            stored = np.zeros(data_access.predictor(_chosen).format.shape, np.uint8)
            return layers(subject.model, subject.spec, subject.prepare(stored[None]))

    return _said(work)


@st.cache_resource(max_entries=64, ttl=3600, show_spinner=False)
def _feature_maps(
    face: bytes,
    shape: tuple[int, ...],
    key: tuple[object, ...],
    path: str,
    of: int | None,
    _chosen: Benchmark,
    _run: Run,
) -> "FeatureMaps | str":
    from fer_core.explain import features
    from fer_core.explain.saliency import ExplainError, Target

    def work() -> "FeatureMaps":
        found = outline(_chosen, _run)
        layer = next((one for one in found if not isinstance(one, str) and one.path == path), None)
        with data_access.predictor(_chosen).borrow(_run.run_id) as subject:
            if layer is None or subject.spec is None:
                raise ExplainError(f"{_run.info.title} has no layer {path!r}.")
            inputs = subject.prepare(_read_face(face, shape)[None])
            target = None if of is None else Target(of)
            return features.feature_maps(subject.model, subject.spec, inputs, layer, target)

    return _said(work)


@st.cache_resource(max_entries=32, ttl=3600, show_spinner=False)
def _attention(
    face: bytes, shape: tuple[int, ...], key: tuple[object, ...], _chosen: Benchmark, _run: Run
) -> "NDArray[np.float32] | str":
    from fer_core.explain import attention as reading

    def work() -> NDArray[np.float32]:
        with data_access.predictor(_chosen).borrow(_run.run_id) as subject:
            inputs = subject.prepare(_read_face(face, shape)[None])
            weights: NDArray[np.float32] = reading.attention(subject.model, inputs)[1][0].numpy()
            return weights

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
    return None if table is None else tables.league(table)
