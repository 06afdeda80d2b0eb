"""The sets of the page Your faces: list, upload, progress, and deletion."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import transfer_jobs
from dashboard.cache import benchmarks, transfers
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers
from dashboard.components.attach import pictures_root
from dashboard.components.columns import percent_column
from dashboard.components.text import plain
from dashboard.state import Key
from dashboard.transfer_jobs import TransferJob
from fer_core.artifacts import BenchmarkDir
from fer_core.data.attach import path_below
from fer_core.errors import FerscopeError
from fer_core.records import TransferProgress

MAX_UPLOAD_MB = 500
"""Largest zip; 5,000 crops take about 100 MB, 5,000 photographs more than fits an upload."""


def origin_of(picked: Benchmark) -> Benchmark:
    """Returns the benchmark whose runs are transferred: the picked one, or that of a picked set."""
    directory = picked.directory.origin
    return picked if directory is None else benchmarks.benchmark(directory)


def set_picker(origin: Benchmark, picked: Benchmark) -> Benchmark | None:
    """Lists the transferred sets, and returns the picked one; None if there is none.

    Args:
        origin: The benchmark whose runs are transferred.
        picked: The benchmark of the sidebar; a transferred set is picked at first.
    """
    transfer_jobs.tidy(origin.directory)
    readable: dict[str, Benchmark] = {}
    for directory in origin.directory.transfers():
        try:
            readable[directory.root.name] = benchmarks.benchmark(directory)
        except FerscopeError as error:
            st.warning(plain(f"{directory.root.name}: {error}"))
    if not readable:
        st.info("There is no set yet. Add one below, or with the command:")
        st.code(f"python -m training transfer {origin.info.name} path/to/pictures", language="bash")
        return None
    st.dataframe(
        pd.DataFrame([_row(benchmark) for benchmark in readable.values()]),
        hide_index=True,
        column_config={
            "mean accuracy": percent_column(),
            "the same models on the benchmark": percent_column(),
        },
        key="transferred-sets",
    )
    names = list(readable)
    if picked.directory.is_transfer and picked.directory.root.name in names:
        names.sort(key=lambda name: name != picked.directory.root.name)
    name = pickers.select_box("Set", names, Key.SET)
    return readable[name]


def _row(benchmark: Benchmark) -> dict[str, object]:
    """Returns a set's row; its accuracy is the mean of all models.

    The best model of the set would look better on it by chance alone.
    """
    info, report = benchmark.info, transfers.shift(benchmark)
    runs = report.runs if report else ()
    scored = [(run.accuracy.value, run.benchmark_accuracy) for run in runs if run.accuracy]
    after, before = np.mean(scored, axis=0).tolist() if scored else (None, None)
    return {
        "set": benchmark.directory.root.name,
        "title": info.title,
        "faces": info.labelled + info.unlabelled,
        "labelled": info.labelled,
        "models": len(benchmark.runs),
        "mean accuracy": after,
        "the same models on the benchmark": before,
    }


def add_set(origin: Benchmark) -> None:
    """Shows the form that adds a set and starts its transfer."""
    with st.expander("Add a set", icon=":material/add_photo_alternate:"):
        upload = st.file_uploader(
            "A zip with pictures", type="zip", max_upload_size=MAX_UPLOAD_MB, key="set-upload"
        )
        root, text = pictures_root(), ""
        if root is not None:
            text = st.text_input(
                "Or a folder or file on this machine",
                key="set-path",
                help=f"Below {plain(str(root))}.",
            )
        left, right = st.columns(2)
        proposed = _proposed(upload.name if upload else text)
        # the key follows the file: a widget keeps its first default
        name = left.text_input("Name", proposed, key=f"set-name-{proposed}", max_chars=60)
        table = left.file_uploader(
            "A table of labels (csv), if you have one", type="csv", key="set-labels",
            help="A column of names or paths of the pictures, and a column of labels. A column "
            "`person` keeps the pictures of a person together. Other pictures have no label.",
        )  # fmt: skip
        with right:
            options = _options()
        ready = bool(name and (upload or text))
        if st.button("Start", icon=":material/play_arrow:", disabled=not ready, key="set-start"):
            job = TransferJob(name, options, table.getvalue() if table else None)
            _start(origin.directory, job, upload.getvalue() if upload else None, (root, text))
        st.caption(
            "The zip and the table are deleted when the transfer ends, also if it fails. The faces "
            "stay on this machine, for everybody who uses this dashboard, until the set is deleted "
            "here."
        )


def _options() -> tuple[str, ...]:
    """Shows how the pictures are read, and returns the options of the command."""
    cropped = st.checkbox(
        "The pictures are cropped faces", key="set-cropped",
        help="Skips face detection, and takes the middle square of each picture.",
    )  # fmt: skip
    unlabelled = st.checkbox(
        "Ignore labels", key="set-unlabelled",
        help="Otherwise folders named after emotions, or a csv in the zip, are labels.",
    )  # fmt: skip
    persons = st.checkbox(
        "Folders are persons", key="set-persons",
        help="For pictures without labels, or with a table of labels. Folders such as P01 or "
        "subject-3 are recognised without it.",
    )  # fmt: skip
    return (
        *["--cropped"] * cropped, *["--unlabelled"] * unlabelled,
        *["--group", "folder"] * persons,
    )  # fmt: skip


def _start(
    origin: BenchmarkDir, job: TransferJob, content: bytes | None, path: tuple[Path | None, str]
) -> None:
    try:
        if content is not None:
            transfer_jobs.start_upload(origin, job, content)
        else:
            root, text = path
            transfer_jobs.start_path(origin, job, path_below(root or Path(), text))
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    st.rerun()


def _proposed(name: str) -> str:
    stem = Path(name).name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:60]


def progress(origin: Benchmark) -> None:
    """Shows the transfers that run or failed; the page reruns when one ends."""
    jobs = transfer_jobs.running(origin.directory)
    for name, job in jobs.items():
        if job.error:
            _failed(origin.directory, name, job)
    if any(not job.error for job in jobs.values()):
        _bars(origin.directory)


@st.fragment(run_every=2.0)
def _bars(origin: BenchmarkDir) -> None:
    jobs = transfer_jobs.running(origin)
    if all(job.error for job in jobs.values()):
        st.rerun()
    for name, job in jobs.items():
        if not job.error:
            left = "" if job.seconds_left is None else f", about {_duration(job.seconds_left)} left"
            count = f" {job.done:,} of {job.total:,}" if job.total else ""
            st.progress(job.share, text=plain(f"{name}: {job.stage}{count}{left}"))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes else f"{max(1, round(seconds))} s"


def _failed(origin: BenchmarkDir, name: str, job: TransferProgress) -> None:
    benchmark = origin.transfer(name)
    error = transfer_jobs.shown_error(benchmark, job.error)
    st.error(plain(f"{name}: {error}"), icon=":material/error:")
    if transfer_jobs.is_uploaded(benchmark) and st.button(
        "Delete", icon=":material/delete:", key=f"failed-{name}"
    ):
        transfer_jobs.remove(benchmark)
        st.rerun()


def delete(benchmark: Benchmark) -> None:
    """Shows the button that deletes a set which was added on the page."""
    if not transfer_jobs.is_uploaded(benchmark.directory):
        return
    with st.popover("Delete this set", icon=":material/delete:"):
        st.write("Its faces, predictions and labels are deleted from this machine.")
        if st.button("Delete", type="primary", key="delete-set"):
            transfer_jobs.remove(benchmark.directory)
            st.rerun()
