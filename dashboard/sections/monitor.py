"""The sections of the Training monitor."""

import time
from collections.abc import Hashable, Mapping
from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark, Training
from dashboard.components import chart
from dashboard.components.text import plain
from fer_core.figures import charts
from fer_core.records import TrainingState

QUIET = 120.0
"""Seconds without an update after which a training may have stopped."""


def duration(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def resume_command(run_id: str, benchmark: str, state: TrainingState) -> str:
    """Returns the command that resumes an interrupted training."""
    # the name of a renamed folder has no profile and seed
    name, profile, seed = [*run_id.rsplit("-", 2), "cpu", "s0"][:3]
    named = f" --name {state.run_name}" if state.run_name else ""
    command = (
        f"python -m training train {state.recipe or name} --benchmark {benchmark}{named} "
        f"--profile {profile}"
    )
    return f"{command} --seed {seed.removeprefix('s')} --resume"


def progress(benchmark: Benchmark) -> Hashable:
    """Returns the finished runs of a benchmark, and how many epochs each training has finished.

    The charts and tables of finished epochs and runs change with this only.
    """
    finished = benchmarks.benchmark(benchmark.directory).runs
    epochs = {
        training.directory.run_id: 0 if training.history is None else len(training.history)
        for training in benchmarks.trainings(benchmark)
    }
    runs = sorted((run.run_id, run.info.created) for run in finished)
    return tuple(runs), tuple(sorted(epochs.items()))


def card(training: Training, benchmark: str, colour: str) -> None:
    """Shows the progress and the loss of a training."""
    state, run_id = training.state, training.directory.run_id
    silence = time.time() - state.updated
    with st.container(border=True):
        st.markdown(f"**{plain(run_id)}**")
        st.progress(
            state.done,
            text=f"Epoch {state.epoch} of {state.epochs}, step {state.step} of {state.steps}; "
            f"about {duration(state.seconds_left)} left",
        )
        if silence > QUIET:
            st.warning(
                f"No update for {duration(silence)}: the training is validating, waiting, or was "
                "stopped. If it was stopped, resume it with the same options:",
                icon=":material/pause_circle:",
            )
            st.code(resume_command(run_id, benchmark, state), language="bash")
        if state.loss is None:
            st.error(
                "The loss is NaN or infinite: the training has diverged. Start it again with a "
                "lower `optim.lr` or in fp32.",
                icon=":material/error:",
            )
        numbers = {
            "Training loss": "none" if state.loss is None else f"{state.loss:.3f}",
            "Training accuracy": f"{state.accuracy:.1%}",
            "Images/s": f"{state.images_per_second:.0f}",
        }
        if training.history is not None:
            best = float(training.history["accuracy"].max())
            numbers["Best validation accuracy"] = f"{best:.1%}"
        for column, (label, value) in zip(st.columns(4), numbers.items(), strict=False):
            column.metric(label, value)
        if training.trace is not None:
            chart.show(
                charts.trace_chart(training.trace, training.history, colour),
                f"trace-{run_id}",
                "Loss during training. Solid: training loss on augmented images, 20 points per "
                "epoch. Dotted: log loss on validation images without augmentation. Compare the "
                "trends, not the levels, because the two losses are on different scales.",
            )


def finished_table(benchmark: Benchmark, histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns duration, speed and accuracy of each finished training, newest first."""
    rows: list[dict[str, object]] = [
        {
            "model": benchmark.titles[run_id],
            "test accuracy": benchmark.run(run_id).report.test.accuracy.value,
            "epochs": info.epochs,
            "best epoch": info.best_epoch,
            "time": duration(info.wall_seconds),
            "images/s": float(history["images_per_second"].median()),
            "peak memory": info.hardware.get("peak memory", ""),
            "device": info.hardware.get("device", ""),
            "finished": info.created,
            "run": run_id,
        }
        for run_id, history in histories.items()
        for info in [benchmark.run(run_id).info]
    ]
    return pd.DataFrame(rows).sort_values("finished", ascending=False, ignore_index=True)
