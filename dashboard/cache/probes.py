"""Cached results of probes: predictions for drawn faces, and what follows from them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.stamps import HashFuncs, file_stamps
from fer_core.data.imaging import SampleFormat
from fer_core.data.probe_pictures import draw_attribute
from fer_core.errors import ArtifactError
from fer_core.evaluation.attribute_effects import (
    AttributeEffect,
    DrawnAccuracy,
    attribute_effects,
    drawn_accuracy,
    flip_shares,
)
from fer_core.evaluation.probe_text import probe_sentence
from fer_core.evaluation.probes import ProbePredictions, read_probes
from fer_core.evaluation.real_changes import RealAgreement, compare_with_real, read_real_changes
from fer_core.evaluation.response_curves import ResponseCurve, response_curves
from fer_core.labels import LabelSet
from fer_core.synthetic.attributes import COMPARED
from fer_core.synthetic.probe_design import PAIR_IDENTITIES, ProbeFace, ProbeView, draw_units

BY_PROBES: HashFuncs = {Run: file_stamps("info_path", "probes_path", "real_changes_path")}
"""Key of functions that read a run's probe."""


def is_probed(run: Run) -> bool:
    """Returns whether a run has a probe; it may be damaged."""
    return run.directory.probes_path.is_file()


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_PROBES)
def predictions(run: Run) -> ProbePredictions | None:
    """Returns a run's predictions for drawn faces; None if there are none that can be used."""
    try:
        labels = LabelSet(tuple(run.info.labels))
        return read_probes(run.directory.probes_path, labels, run.info.created)
    except ArtifactError:
        return None


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_PROBES)
def accuracy(run: Run) -> DrawnAccuracy | None:
    """Returns how well a run recognises drawn faces; None without a probe."""
    probed = predictions(run)
    return None if probed is None else drawn_accuracy(probed)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_PROBES)
def curves(run: Run) -> tuple[ResponseCurve, ...]:
    """Returns a run's response curves."""
    probed = predictions(run)
    return () if probed is None else response_curves(probed)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_PROBES)
def effects(run: Run) -> tuple[AttributeEffect, ...]:
    """Returns the effects of attributes on a run, largest share of changed predictions first."""
    probed = predictions(run)
    return () if probed is None else attribute_effects(probed)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_PROBES)
def shares(run: Run) -> dict[str, float]:
    """Returns the share of changed predictions by attribute."""
    probed = predictions(run)
    return {} if probed is None else flip_shares(probed, [item.name for item in COMPARED])


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_PROBES)
def real_changes(run: Run) -> pd.DataFrame | None:
    """Returns how changes of real pictures change a run's predictions; None if not measured."""
    try:
        return read_real_changes(run.directory.real_changes_path)
    except ArtifactError:
        return None


def real_agreement(benchmark: Benchmark) -> RealAgreement | None:
    """Compares changes of drawn and of real pictures over the runs of a benchmark."""
    runs = [run for run in benchmark.runs if is_probed(run)]
    real = {run.run_id: table for run in runs if (table := real_changes(run)) is not None}
    return compare_with_real({run.run_id: shares(run) for run in runs}, real)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_PROBES)
def sentence(run: Run) -> str:
    """Returns what drawn faces show about a run; empty if it was not probed."""
    return probe_sentence(run.directory)


def view_of(benchmark: Benchmark) -> ProbeView:
    """Returns size and framing of the faces drawn for a benchmark."""
    return ProbeView.of(benchmark.info)


@st.cache_resource(max_entries=256, show_spinner=False)
def pictures(
    faces: tuple[ProbeFace, ...], view: ProbeView, side: int, colour: bool
) -> NDArray[np.uint8]:
    """Draws faces of the design with their attributes, in a benchmark's format."""
    return draw_attribute(faces, view, SampleFormat(side, colour))


@st.cache_resource(max_entries=512, show_spinner=False)
def _pair_faces(
    levels: tuple[tuple[str, int], ...], view: ProbeView, side: int, colour: bool
) -> NDArray[np.uint8]:
    stored = SampleFormat(side, colour)
    faces = [draw_units(dict(levels), person, view) for person in range(PAIR_IDENTITIES)]
    return np.stack([stored.convert(face) for face in faces])


def pair_probabilities(
    benchmark: Benchmark, run: Run, levels: Mapping[str, int]
) -> NDArray[np.float64]:
    """Returns a run's mean probabilities on 20 drawn persons with given units, shape (K,).

    Raises:
        ArtifactError: If the run cannot predict.
    """
    info = benchmark.info
    faces = _pair_faces(tuple(sorted(levels.items())), view_of(benchmark), info.side, info.colour)
    result = inference.predictions_of(benchmark, (run.run_id,), faces)[run.run_id]
    if isinstance(result, str):
        raise ArtifactError(result)
    mean: NDArray[np.float64] = result.probabilities.mean(axis=0)
    return mean
