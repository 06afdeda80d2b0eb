"""Why runs are missing from a page."""

from collections.abc import Callable

import streamlit as st

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.text import plain
from fer_core.abilities import Abilities


def excluded_note(benchmark: Benchmark, suits: Callable[[Abilities], bool]) -> None:
    """Shows why runs are not offered, if there are any.

    Args:
        benchmark: The benchmark.
        suits: Whether a run's abilities suit the page.
    """
    reasons = [
        abilities.reason
        for run in benchmark.runs
        if not suits(abilities := inference.abilities(run))
    ]
    if reasons:
        count = "1 model is" if len(reasons) == 1 else f"{len(reasons)} models are"
        with st.expander(f"{count} not offered here. See why", icon=":material/info:"):
            st.markdown("\n".join(f"- {plain(reason)}" for reason in reasons))


def predicting_runs(benchmark: Benchmark) -> list[str]:
    """Returns the ids of the runs that predict new faces, and shows why others do not."""
    excluded_note(benchmark, lambda abilities: abilities.predicts)
    return [run.run_id for run in benchmark.runs if inference.can_predict(run)]
