"""Pickers that several pages share: benchmark, run, and others whose value the address keeps."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components.text import plain
from dashboard.state import BIND, Key, digest_of
from fer_core.artifacts import BenchmarkDir
from fer_core.errors import FerscopeError
from fer_core.records import shown_name

_PAGED = "list and page shown last"


def benchmark_picker() -> None:
    """Shows the benchmark picker; `benchmark` returns the picked one."""
    names = list(benchmarks.benchmark_dirs())
    if names:
        select_box(
            "Benchmark",
            names,
            Key.BENCHMARK,
            shown=shown_name,
            help_text="A dataset with its splits, and all runs that were evaluated on it. A "
            "transferred set is an external test set for the runs of another benchmark.",
        )


def benchmark(*, show_warnings: bool = True) -> Benchmark:
    """Returns the picked benchmark; without any, shows the commands to run and stops the page.

    Args:
        show_warnings: Whether to list the runs that cannot be read.
    """
    directories = benchmarks.benchmark_dirs()
    if not directories:
        st.info("There is no benchmark yet. Prepare a dataset and train a first model:")
        st.code(
            "python -m training prepare path/to/images --name mine\n"
            "python -m training train efficientnet_lite0 --benchmark mine",
            language="bash",
        )
        st.stop()
    try:
        picked = benchmarks.benchmark(_picked_dir(directories))
    except FerscopeError as error:
        st.error(plain(str(error)))
        st.stop()
    if show_warnings:
        run_problems(picked.warnings)
    return picked


def picked_benchmark() -> Benchmark | None:
    """Returns the picked benchmark without any message; None if it cannot be read."""
    directories = benchmarks.benchmark_dirs()
    with suppress(FerscopeError):
        return benchmarks.benchmark(_picked_dir(directories)) if directories else None
    return None


def _picked_dir(directories: Mapping[str, BenchmarkDir]) -> BenchmarkDir:
    first = next(iter(directories.values()))
    return directories.get(str(st.session_state.get(Key.BENCHMARK)), first)


def run_problems(warnings: Sequence[str]) -> None:
    """Lists the runs that cannot be shown in full, and why, under one folded line."""
    if not warnings:
        return
    count = len(warnings)
    title = "1 run has a problem" if count == 1 else f"{count} runs have problems"
    with st.expander(f"{title}. See which", icon=":material/warning:"):
        st.markdown("\n".join(f"- {plain(warning)}" for warning in warnings))


def benchmark_with_runs(*, show_warnings: bool = True) -> Benchmark:
    """Returns the picked benchmark; stops the page if it has no finished run.

    Args:
        show_warnings: Whether to list the runs that cannot be read.
    """
    picked = benchmark(show_warnings=show_warnings)
    need_runs(picked)
    return picked


def benchmark_with_labels() -> Benchmark:
    """Returns the picked benchmark; stops the page if no image is labelled, and says what to do."""
    picked = benchmark_with_runs(show_warnings=False)
    if not picked.info.labelled:
        st.info(
            f"No face of {plain(picked.info.shown_name)} has a label, so nothing can be scored. "
            "Label some on the page Label a few faces, or transfer the set again with --labels. "
            "The pages under Explain and Dataset explorer need no labels.",
            icon=":material/label_off:",
        )
        st.stop()
    return picked


def need_runs(benchmark: Benchmark) -> None:
    """Shows the command that trains a run and stops the page, if there is no finished run."""
    if benchmark.runs:
        return
    st.info(f"The benchmark {benchmark.info.name} has no finished run yet. Train one:")
    train_command(benchmark.info.name)
    if benchmark.unfinished:
        st.caption(f"In progress: {', '.join(benchmark.unfinished)}")
    st.stop()


def run_picker(
    benchmark: Benchmark,
    runs: Sequence[str] = (),
    *,
    label: str = "Model",
    key: Key = Key.RUN,
) -> str:
    """Shows a run picker, best run first, and returns the picked run's id.

    Args:
        benchmark: The benchmark.
        runs: Run ids to choose from; all of the benchmark's by default.
        label: The widget's label.
        key: Name of the query parameter.
    """
    ids = list(runs) or [run.run_id for run in benchmark.runs]
    return select_box(label, ids, key, shown=benchmark.titles.__getitem__)


def models(
    benchmark: Benchmark, runs: Sequence[str], default: Sequence[str], label: str = "Models"
) -> list[str]:
    """Shows a picker of several runs, and returns the picked ones; the address keeps them.

    Args:
        benchmark: The benchmark.
        runs: Run ids to choose from.
        default: Those that are picked at first.
        label: The widget's label.
    """
    picked = st.pills(
        label,
        runs,
        default=list(default),
        selection_mode="multi",
        format_func=benchmark.titles.__getitem__,
        key=Key.RUNS,
        bind=BIND,
        wrap=True,
    )
    return list(picked or [])


def select_box(
    label: str,
    values: Sequence[str],
    key: Key,
    *,
    shown: Callable[[str], str] = str,
    help_text: str | None = None,
) -> str:
    """Shows a select box, the first value by default; the address always has the value.

    Streamlit's own binding leaves the default out of the address and writes display names there, so
    a link would break when another run becomes the best or gets the same name.

    Args:
        label: The widget's label.
        values: At least one; these are written to the address.
        key: Name of the query parameter.
        shown: Returns a value's display name.
        help_text: Shown on hovering over the question mark.
    """
    last_written = f"{key} in the address"
    before, requested = st.session_state.get(last_written), st.query_params.get(key)
    is_link = requested != before or key not in st.session_state  # or the way back to a page
    if requested is not None and is_link:
        st.session_state[key] = requested
        if requested not in values:
            name = plain(f"{label} {requested!r}")
            st.warning(f"The link names {name}, which does not exist here. Pick another one below.",
                       icon=":material/link_off:")  # fmt: skip
    elif requested is None:  # another page was open, if any
        st.session_state[key] = before
    kept = st.session_state.get(key)
    # always set: after a quick Back the key may hold the value of another page's widget, which
    # Streamlit does not pass on to this one
    st.session_state[key] = kept if kept in values else values[0]
    value = st.selectbox(label, values, format_func=shown, key=key, help=help_text)
    st.session_state[last_written] = value
    if requested != value:
        st.query_params[key] = value
    return value


def multi_select(
    label: str,
    values: Mapping[str, str],
    default: Sequence[str],
    key: Key,
    *,
    help_text: str | None = None,
) -> list[str]:
    """Shows a multiselect; the address keeps the values, not their display names.

    Args:
        label: The widget's label.
        values: Display names by value.
        default: The values picked at first; the address leaves them out.
        key: Name of the query parameter.
        help_text: Shown on hovering over the question mark.
    """
    last_written = f"{key} in the address"
    requested = [value for value in st.query_params.get_all(key) if value in values]
    if requested != st.session_state.get(last_written, []) or key not in st.session_state:
        st.session_state[key] = requested or list(default)  # a link
    st.session_state[key] = [value for value in st.session_state[key] if value in values]
    picked = st.multiselect(
        label, list(values), format_func=values.__getitem__, key=key, help=help_text
    )
    written = [] if picked == list(default) else picked
    st.session_state[last_written] = written
    if written != requested:
        st.query_params[key] = written
    return picked


def switch(label: str, names: Mapping[str, str], key: Key, *, help_text: str | None = None) -> str:
    """Shows a segmented control, the first value by default, and returns the picked value.

    The address keeps the display name, so a link names that.

    Args:
        label: The widget's label.
        names: Display names by value, at least one.
        key: Name of the query parameter.
        help_text: Shown on hovering over the question mark.
    """
    values = list(names)
    value = st.segmented_control(
        label,
        values,
        format_func=names.__getitem__,
        default=values[0],
        required=True,
        key=key,
        bind=BIND,
        help=help_text,
        wrap=True,
    )
    return value or values[0]


def train_command(benchmark: str) -> None:
    """Shows the command that trains a first network on a benchmark."""
    st.code(f"python -m training train efficientnet_lite0 --benchmark {benchmark}", language="bash")


def clamp(key: Key, low: int, high: int) -> None:
    """Clamps a widget's stored number to its present bounds."""
    value = st.session_state.get(key)
    if isinstance(value, int) and not low <= value <= high:
        st.session_state[key] = min(max(value, low), high)


def page(entries: Sequence[object] | NDArray[Any], size: int) -> slice:
    """Shows a page number input if a list has several pages, and returns the page's entries.

    Another list starts at its first page, unless the address names a page of it.

    Args:
        entries: Texts or numbers that tell the list from others, one for each entry in order.
        size: Entries on a page.

    Returns:
        The range of the entries on the page.
    """
    pages = -(-len(entries) // size)
    if pages <= 1:
        st.session_state.pop(_PAGED, None)
        return slice(size)
    # of a large list a thousand entries: to digest a million would take longer than the page
    shown = digest_of([len(entries), *entries[:: max(1, len(entries) // 1000)]])
    before, last = st.session_state.get(_PAGED, (shown, 1))
    requested = st.query_params.get(Key.PAGE)
    is_link = Key.PAGE not in st.session_state or requested not in (None, str(last))
    if shown != before and not is_link:
        st.session_state[Key.PAGE] = 1
    clamp(Key.PAGE, 1, pages)  # an address can name a page that this list does not have
    number = st.number_input(f"Page (of {pages:,})", 1, pages, key=Key.PAGE, bind=BIND, width=160)
    st.session_state[_PAGED] = (shown, int(number))
    return slice((int(number) - 1) * size, int(number) * size)
