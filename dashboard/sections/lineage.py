"""The lineage of a run on the Leaderboard page."""

import math
from collections.abc import Sequence

import streamlit as st

from dashboard.cache import results
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.scope import Scope
from fer_core.figures.lineage import lineage_graph


def lineage(benchmark: Benchmark, scope: Scope, entries: Sequence[Entry]) -> None:
    """Shows what a run was made from, and how independent an ensemble's members are."""
    ordered = sorted(entries, key=lambda entry: entry.info.kind != "ensemble")
    run_id = pickers.run_picker(
        benchmark, [entry.run_id for entry in ordered], label="Lineage of", key=Key.LINEAGE
    )
    if members := benchmark.run(run_id).info.members:
        _effective_members(results.effective_members(benchmark, scope, run_id), len(members))
    run_lineage = results.lineage(benchmark, run_id)
    st.graphviz_chart(lineage_graph(run_lineage, benchmark.titles), width="stretch")
    st.caption(
        "Arrows point from a run to what it was made from: blue to its initial weights, orange "
        "and dashed to its teachers, grey to an ensemble's members. A dashed box was overwritten, "
        "deleted, or belongs to no run."
    )
    if run_lineage.is_repeatable:
        st.success("Every ancestor is still there, and no run descends from itself.")
        return
    problems = "\n".join(f"- {plain(problem)}" for problem in run_lineage.problems)
    st.markdown(f"This run cannot be trained again from these files alone:\n\n{problems}")


def _effective_members(count: float | None, members: int) -> None:
    if count is None:
        st.caption("Members' errors cannot be compared: not all members can be scored here.")
        return
    if math.isnan(count):
        st.caption("Members' errors cannot be compared: a member is always right or always wrong.")
        return
    st.metric(
        "Effective number of independent members",
        f"{count:.1f} of {members}",
        help="Participation ratio of the eigenvalues of the correlation matrix of the members' "
        "errors on the scored images: the number of members if their errors are uncorrelated, 1 if "
        "all err on the same images. All members count equally.",
        border=True,
        width=320,
    )
