"""What a visitor picks on every page: benchmark and run."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard import data_access
from dashboard.components.text import plain
from dashboard.data_access import Benchmark
from dashboard.state import BIND, Key
from fer_core.errors import FerscopeError


def benchmark_picker() -> None:
    """Shows the benchmark picker; `benchmark` returns what was picked."""
    names = data_access.benchmark_names()
    if names:
        st.selectbox(
            "Benchmark",
            names,
            key=Key.BENCHMARK,
            bind=BIND,
            help="A dataset with its splits, and all runs that were measured on it.",
        )


def benchmark() -> Benchmark:
    """Returns the picked benchmark; ends the page with what to do if there is none."""
    names = data_access.benchmark_names()
    if not names:
        st.info("There is no benchmark yet. Prepare a dataset and train a first model:")
        st.code(
            "python -m training prepare path/to/images --name mine\n"
            "python -m training train efficientnet_lite0 --benchmark mine",
            language="bash",
        )
        st.stop()
    name = st.session_state.get(Key.BENCHMARK)
    try:
        chosen = data_access.benchmark(name if name in names else names[0])
    except FerscopeError as error:
        st.error(plain(str(error)))
        st.stop()
    for warning in chosen.warnings:
        st.warning(f"A run is left out. {plain(warning)}", icon=":material/warning:")
    return chosen


def benchmark_with_runs() -> Benchmark:
    """Returns the picked benchmark; ends the page if it has no finished run."""
    chosen = benchmark()
    need_runs(chosen)
    return chosen


def need_runs(chosen: Benchmark) -> None:
    """Ends the page with what to do if the benchmark has no finished run."""
    if chosen.runs:
        return
    st.info(f"The benchmark {chosen.info.name} has no finished run yet. Train one:")
    train_command(chosen.info.name)
    if chosen.unfinished:
        st.caption(f"Under way: {', '.join(chosen.unfinished)}")
    st.stop()


def run_picker(
    chosen: Benchmark,
    runs: Sequence[str] = (),
    *,
    label: str = "Model",
    key: Key = Key.RUN,
    index: int = 0,
) -> str:
    """Shows a run picker, best run first, and returns the picked run's id.

    Args:
        chosen: The benchmark.
        runs: Run ids to choose from; all of the benchmark's by default.
        label: What is chosen.
        key: Its name in the address bar.
        index: Which is picked at first.
    """
    titles = chosen.titles
    ids = list(runs) or [run.run_id for run in chosen.runs]
    run_id = st.selectbox(
        label, ids, index=index, format_func=titles.__getitem__, key=key, bind=BIND
    )
    return run_id or ids[index]


def switch(label: str, names: Mapping[str, str], key: Key, *, help_text: str | None = None) -> str:
    """Shows a choice of one as buttons in a row, the first by default; kept in the address bar.

    Args:
        label: What is chosen.
        names: Shown names by value, at least one.
        key: Its name in the address bar.
        help_text: Shown on hovering over the question mark.
    """
    values = list(names)
    chosen = st.segmented_control(
        label,
        values,
        format_func=names.__getitem__,
        default=values[0],
        required=True,
        key=key,
        bind=BIND,
        help=help_text,
    )
    return chosen or values[0]


def train_command(benchmark: str) -> None:
    """Shows how to train a first network on a benchmark."""
    st.code(f"python -m training train efficientnet_lite0 --benchmark {benchmark}", language="bash")


def within(key: Key, low: int, high: int) -> None:
    """Brings a number that a widget kept into the bounds that it has now."""
    value = st.session_state.get(key)
    if isinstance(value, int) and not low <= value <= high:
        st.session_state[key] = min(max(value, low), high)


def page(count: int, size: int) -> int:
    """Shows which page of a long list is open, if there are several.

    Args:
        count: Entries of the list.
        size: Entries on a page.

    Returns:
        The page, from 0.
    """
    pages = -(-count // size)
    if pages <= 1:
        return 0
    within(Key.PAGE, 1, pages)  # another filter may have made the list shorter
    chosen = st.number_input(f"Page (of {pages:,})", 1, pages, key=Key.PAGE, bind=BIND, width=160)
    return int(chosen) - 1
