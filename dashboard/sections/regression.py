"""Regression heads on the Leaderboard page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from dashboard.cache.benchmarks import Benchmark
from dashboard.components.text import plain
from fer_core.errors import ArtifactError
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.regression import CAVEAT, RegressionReport
from fer_core.figures.tables import regression_table

TITLE = "Regression heads"


def paths(benchmark: Benchmark, entries: Sequence[Entry]) -> dict[str, Path]:
    """Returns the reports of regression heads by run id."""
    reports = {
        entry.run_id: benchmark.run(entry.run_id).directory.regression_report_path
        for entry in entries
    }
    return {run_id: path for run_id, path in reports.items() if path.is_file()}


def regression(benchmark: Benchmark, files: Mapping[str, Path]) -> None:
    """Shows the errors of regression heads by target; nothing if no run has one.

    Args:
        benchmark: The benchmark of the runs.
        files: Result of `paths`.
    """
    if not files:
        return
    st.subheader(TITLE, anchor=False)
    reports = {}
    for run_id, path in files.items():
        try:
            reports[run_id] = RegressionReport.read(path)
        except ArtifactError as error:
            st.warning(f"{plain(run_id)}: {plain(str(error))}")
    if not reports:
        return
    number = st.column_config.NumberColumn
    st.dataframe(
        regression_table(reports, benchmark.titles),
        hide_index=True,
        key="regression",
        column_config={
            "over": st.column_config.TextColumn(help="Frames, or clips (means over frames)."),
            "MAE": number(format="%.3f", help="Mean absolute error, in the target's units."),
            "RMSE": number(format="%.3f", help="Root mean squared error."),
            "concordance": number(format="%.3f", help="Lin's coefficient; 1 is full agreement."),
            "MAE of the mean": number(
                format="%.3f",
                help="Error of always predicting the training mean. A model that does not beat it "
                "has learned nothing.",
            ),
        },
    )
    st.caption(f"On test. Intervals: 95%, bootstrap over clips (persons or recordings). {CAVEAT}")
    for run_id, report in reports.items():
        for name, target in report.targets.items():
            covered = target.test_coverage
            if covered is not None:
                st.caption(
                    f"{plain(benchmark.titles[run_id])}, {plain(name)}: the interval "
                    f"estimate ± {target.margin:.3g} contains the true value of "
                    f"{covered.value:.0%} of the test images (95%: {100 * covered.low:.0f} to "
                    f"{100 * covered.high:.0f}); 90% are expected."
                )
