"""Training monitor: trainings under way, and how the finished ones went."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks
from dashboard.components import chart, pickers
from dashboard.sections import leaderboard as tables
from dashboard.sections import monitor
from dashboard.state import Key
from fer_core.figures import charts

REFRESH = 5.0  # seconds

theme.page_header(
    "Runs",
    "Training monitor",
    "What trains right now, how far it is and how long it will take; and how the finished "
    "trainings went.",
)
chosen = pickers.benchmark()
name = chosen.info.name
finished = {
    run.run_id: found for run in chosen.runs if (found := benchmarks.history(run)) is not None
}


@st.fragment(run_every=REFRESH)
def under_way() -> None:
    """Shows the trainings under way, anew every few seconds."""
    found = benchmarks.trainings(chosen)
    if not found:
        st.info(f"Nothing trains on {name} right now. Start one, and it appears here:")
        pickers.train_command(name)
    colours = benchmarks.benchmark(name).colours  # read anew: a training may just have begun
    for training in found:
        monitor.card(training, name, colours[training.place.run_id])


st.subheader("Under way", anchor=False)
under_way()

st.subheader("Epoch by epoch", anchor=False)
histories = finished | {
    one.place.run_id: one.history for one in benchmarks.trainings(chosen) if one.history is not None
}
if histories:
    curve = pickers.switch("Curve", tables.CURVES, Key.CURVE)
    titles = {run_id: chosen.titles.get(run_id, f"{run_id} (under way)") for run_id in histories}
    chart.show(
        charts.history_chart(histories, titles, chosen.colours, curve),
        "epochs",
        "Measured on the validation images after each epoch, with averaged weights where a recipe "
        "averages them; such an average lags behind in the first epochs. Validation chooses the "
        "epoch that is kept; the test images take no part.",
    )
else:
    st.caption("No training has come to the end of an epoch yet.")

if finished:
    st.subheader("Finished", anchor=False)
    st.dataframe(
        monitor.finished_table(chosen, finished),
        hide_index=True,
        key="finished",
        column_config={
            "test accuracy": st.column_config.NumberColumn(format="percent"),
            "images/s": st.column_config.NumberColumn(
                format="%.0f", help="In training, median over epochs."
            ),
            "best epoch": st.column_config.NumberColumn(help="The one that validation chose."),
        },
    )
    st.caption("Ensembles and runs that were trained elsewhere are not listed here.")
