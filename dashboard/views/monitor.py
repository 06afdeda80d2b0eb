"""Training monitor: trainings in progress, and the history of finished ones."""

from collections.abc import Hashable

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks
from dashboard.cache.figures import figure
from dashboard.cache.stamps import new_rerun
from dashboard.components import chart, pickers, run_facts
from dashboard.components.columns import percent_column
from dashboard.sections import monitor
from dashboard.state import Key
from fer_core.figures import charts

REFRESH = 5.0  # seconds

theme.page_header(
    "Runs",
    "Training monitor",
    "Progress and remaining time of trainings in progress, and the history of finished ones.",
)
benchmark = pickers.benchmark()
name = benchmark.info.name
finished = {
    run.run_id: history
    for run in benchmark.runs
    if (history := benchmarks.history(run)) is not None
}


@st.fragment(run_every=REFRESH)
def in_progress(drawn: Hashable) -> None:
    """Shows the trainings in progress, updated every few seconds.

    Args:
        drawn: The progress that the page below shows; the page runs again if it is another one.
    """
    new_rerun()  # a refresh may run in the page's thread, which looks at each file once
    if monitor.progress(benchmark) != drawn:
        st.rerun()
    trainings = benchmarks.trainings(benchmark)
    if not trainings:
        st.info(f"No training is in progress on {name}. Start one, and it appears here:")
        pickers.train_command(name)
    # read again: a training may have started since the page opened
    colours = benchmarks.benchmark(benchmark.directory).colours
    for training in trainings:
        monitor.card(training, name, colours[training.directory.run_id])


st.subheader("In progress", anchor=False)
in_progress(monitor.progress(benchmark))

st.subheader("Learning curves", anchor=False)
unfinished = {
    training.directory.run_id: training.history
    for training in benchmarks.trainings(benchmark)
    if training.history is not None
}
histories = finished | unfinished
if histories:
    curve = pickers.switch("Curve", run_facts.CURVES, Key.CURVE)
    titles = {
        run_id: benchmark.titles.get(run_id, f"{run_id} (in progress)") for run_id in histories
    }
    drawn = (histories, titles, benchmark.colours, curve)
    chart.show(
        # a training in progress changes all the time, so its chart is not kept
        charts.history_chart(*drawn) if unfinished else figure(charts.history_chart, *drawn),
        "epochs",
        "Metrics on validation after each epoch, with averaged weights (EMA) if the recipe uses "
        "them; averaged weights lag behind in the first epochs. The best epoch on validation is "
        "kept; test images are not used.",
    )
else:
    st.caption("No training has finished an epoch yet.")

if finished:
    st.subheader("Finished", anchor=False)
    st.dataframe(
        monitor.finished_table(benchmark, finished),
        hide_index=True,
        key="finished",
        column_config={
            "test accuracy": percent_column(),
            "images/s": st.column_config.NumberColumn(
                format="%.0f", help="In training, median over epochs."
            ),
            "best epoch": st.column_config.NumberColumn(help="Chosen on validation."),
        },
    )
    st.caption("Ensembles and imported runs are not listed here.")
