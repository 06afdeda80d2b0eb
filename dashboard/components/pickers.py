"""What a visitor picks on every page: benchmark and run."""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.text import plain
from dashboard.state import BIND, Key
from fer_core.errors import FerscopeError


def benchmark_picker() -> None:
    """Shows the benchmark picker; `benchmark` returns what was picked."""
    names = benchmarks.benchmark_names()
    if names:
        select_box(
            "Benchmark",
            names,
            Key.BENCHMARK,
            help_text="A dataset with its splits, and all runs that were measured on it.",
        )


def benchmark() -> Benchmark:
    """Returns the picked benchmark; ends the page with what to do if there is none."""
    names = benchmarks.benchmark_names()
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
        chosen = benchmarks.benchmark(name if name in names else names[0])
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
) -> str:
    """Shows a run picker, best run first, and returns the picked run's id.

    Args:
        chosen: The benchmark.
        runs: Run ids to choose from; all of the benchmark's by default.
        label: What is chosen.
        key: Its name in the address bar.
    """
    ids = list(runs) or [run.run_id for run in chosen.runs]
    return select_box(label, ids, key, shown=chosen.titles.__getitem__)


def select_box(
    label: str,
    values: Sequence[str],
    key: Key,
    *,
    shown: Callable[[str], str] = str,
    aliases: Callable[[str], str | None] = lambda value: value,
    help_text: str | None = None,
) -> str:
    """Shows a choice of one, the first by default, that always stands in the address bar.

    A bound widget leaves its default out of the address, and writes shown names: a link would
    open something else once another run is the best, or has the same name.

    Args:
        label: What is chosen.
        values: At least one; these stand in the address.
        key: Its name there.
        shown: Names a value.
        aliases: Returns the value for a name in the address; None if there is none.
        help_text: Shown on hovering over the question mark.
    """
    written = f"{key} in the address"
    before, asked = st.session_state.get(written), st.query_params.get(key)
    if asked is not None and asked != before:  # a link
        asked = aliases(asked) or asked
        st.session_state[key] = asked
        if asked not in values:
            there = plain(f"{label} {asked!r}")
            st.warning(f"{there} is in the address, but not here.", icon=":material/link_off:")
    elif asked is None:  # another page was open, if any
        st.session_state[key] = before
    if st.session_state.get(key) not in values:
        st.session_state[key] = values[0]
    value = st.selectbox(label, values, format_func=shown, key=key, help=help_text)
    st.session_state[written] = value
    if st.query_params.get(key) != value:
        st.query_params[key] = value
    return value


def switch(
    label: str,
    names: Mapping[str, str],
    key: Key,
    *,
    aliases: Mapping[str, str] | None = None,
    help_text: str | None = None,
) -> str:
    """Shows a choice of one as buttons in a row, the first by default; kept in the address bar.

    Args:
        label: What is chosen.
        names: Shown names by value, at least one.
        key: Its name in the address bar.
        aliases: Current names by former ones, so that old links keep working.
        help_text: Shown on hovering over the question mark.
    """
    values = list(names)
    linked = st.query_params.get(key)
    if aliases and linked in aliases:
        st.query_params[key] = aliases[linked]
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
