"""Cached reports and checks of transferred sets."""

import pandas as pd
import streamlit as st

from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.stamps import file_stamps, stamp
from fer_core.artifacts import BenchmarkDir
from fer_core.errors import ArtifactError
from fer_core.evaluation.estimate_trust import read_checks
from fer_core.evaluation.person_accuracy import PersonAccuracy
from fer_core.evaluation.shift import ShiftReport
from fer_core.evaluation.transfers import person_accuracy


@st.cache_resource(
    max_entries=16, show_spinner=False, hash_funcs={Benchmark: file_stamps("shift_path")}
)
def shift(benchmark: Benchmark) -> ShiftReport | None:
    """Returns what changed against the benchmark; None if it was not written yet."""
    try:
        return ShiftReport.read(benchmark.directory.shift_path)
    except ArtifactError:
        return None


@st.cache_resource(
    max_entries=16,
    show_spinner=False,
    hash_funcs={Benchmark: file_stamps("samples_path"), Run: file_stamps("predictions_path")},
)
def by_person(benchmark: Benchmark, run: Run) -> PersonAccuracy | None:
    """Returns a run's accuracy on each person of a set; None if persons are not known."""
    return person_accuracy(benchmark.directory, run.run_id)


@st.cache_resource(
    max_entries=4,
    show_spinner=False,
    hash_funcs={BenchmarkDir: lambda directory: stamp(directory.estimate_checks_path)},
)
def estimate_checks(origin: BenchmarkDir) -> pd.DataFrame | None:
    """Returns estimates without labels where labels exist; None if they were not checked."""
    return read_checks(origin.estimate_checks_path)
