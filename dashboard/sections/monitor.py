"""Trainings as the page Training monitor shows them."""

import time
from collections.abc import Mapping
from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboard.cache.benchmarks import Benchmark, Training
from dashboard.components import chart
from dashboard.components.text import plain
from fer_core.figures import charts

QUIET = 120.0
"""Seconds without news after which a training may have stopped."""


def duration(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def resume_command(run_id: str, benchmark: str) -> str:
    """Returns what to type to go on with an interrupted training."""
    # a folder that somebody renamed has no profile and seed in its name
    recipe, profile, seed = [*run_id.rsplit("-", 2), "cpu", "s0"][:3]
    command = f"python -m training train {recipe} --benchmark {benchmark} --profile {profile}"
    return f"{command} --seed {seed.removeprefix('s')} --resume"


def card(training: Training, benchmark: str, colour: str) -> None:
    """Shows how far a training has come, and its loss."""
    state, run_id = training.state, training.place.run_id
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
                f"No news for {duration(silence)}: it validates, waits, or was stopped. If it was "
                "stopped, go on with the options that it was started with:",
                icon=":material/pause_circle:",
            )
            st.code(resume_command(run_id, benchmark), language="bash")
        if state.loss is None:
            st.error(
                "The loss is not a number any more: the training has diverged. Start it again "
                "with a lower `optim.lr` or in fp32.",
                icon=":material/error:",
            )
        numbers = {
            "Training loss": "none" if state.loss is None else f"{state.loss:.3f}",
            "Training accuracy": f"{state.accuracy:.1%}",
            "Images a second": f"{state.images_per_second:.0f}",
        }
        if training.history is not None:
            best = training.history.loc[training.history["accuracy"].idxmax()]
            numbers["Best validation accuracy"] = f"{best['accuracy']:.1%}"
        for column, (label, value) in zip(st.columns(4), numbers.items(), strict=False):
            column.metric(label, value)
        if training.trace is not None:
            chart.show(
                charts.trace_chart(training.trace, training.history, colour),
                f"trace-{run_id}",
                "The loss that training minimises, on augmented and mixed images, a point for "
                "each twentieth of an epoch; dotted, the log loss on the validation images, as "
                "they are. The two are not on one scale: what counts is where each goes.",
            )


def finished_table(chosen: Benchmark, histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns what each finished training took, newest first."""
    rows = [
        {
            "model": chosen.titles[run_id],
            "test accuracy": chosen.run(run_id).report.test.accuracy.value,
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
        for info in [chosen.run(run_id).info]
    ]
    return pd.DataFrame(sorted(rows, key=lambda row: str(row["finished"]), reverse=True))
