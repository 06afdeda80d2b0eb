"""Results that have not been computed yet."""

import streamlit as st

from dashboard import pages
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.text import plain
from dashboard.state import Key


def show_command(benchmark: Benchmark, missing: str, command: str, page: str) -> None:
    """Says what is missing and shows the command that computes it.

    The pictures of a transferred set are all test images, and such commands refuse it. There the
    page links to the benchmark that the set was transferred from.

    Args:
        benchmark: The picked benchmark.
        missing: A sentence that says what is missing.
        command: A command for this benchmark.
        page: Name of the page that shows these results.
    """
    origin = benchmark.info.transferred_from
    if origin is None:
        st.info(f"{missing} Run:")
        st.code(command, language="bash")
        return
    st.info(f"This is measured on the benchmark that {plain(benchmark.info.title)} comes from.")
    pages.link(
        page,
        f"{pages.BY_NAME[page].title} of {plain(origin.benchmark)}",
        {Key.BENCHMARK: origin.benchmark},
    )
