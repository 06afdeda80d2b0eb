"""Trust: whether confidence can be believed, and where a model should not be."""

import streamlit as st

from dashboard import theme
from dashboard.cache import results
from dashboard.components import chart, filters, pickers
from dashboard.components.text import plain
from dashboard.sections import trust
from dashboard.state import BIND, Key
from fer_core.evaluation.calibration import Binning
from fer_core.figures import trust as figures
from fer_core.figures.palette import class_colour

EVERY = "all corruptions"

theme.page_header(
    "Results",
    "Trust",
    "Is 80% sure right 80 times in 100? How many faces can be answered safely, what do bad "
    "pictures cost, and on which images does a model fail?",
)
chosen, where, board = filters.results_scope()
panel, titles, colours = board.panel, chosen.titles, chosen.colours
entries = {entry.run_id: entry for entry in board.results.entries}
run_id = pickers.run_picker(chosen, panel.runs)

st.subheader("Confidence against truth", anchor=False)
calibration = results.trust(chosen, where, run_id)
bins = pickers.switch(
    "Bins", {str(how): str(how) for how in Binning}, Key.BINS,
    aliases={"width": Binning.WIDTH, "mass": Binning.ADAPTIVE},
    help_text="Bins of equal width split confidence evenly. Adaptive bins have equal numbers of "
    "images.",
)  # fmt: skip
before, after = calibration.curves[Binning(bins)]
left, right = st.columns(2, gap="large")
with left:
    names = {"as it is": colours[run_id], "with temperature": "#0b7a5c"}
    chart.show(
        figures.reliability_diagram(dict(zip(names, (before, after), strict=True)), names),
        "reliability",
        "Images grouped by how sure the model was, against how many it had right; the larger the "
        "dot, the more images. Above the dotted line it is better than it says, below worse. Bars "
        "are 95% intervals.",
    )
with right:
    label = st.selectbox("Class", panel.labels.names, key=Key.LABEL, bind=BIND)
    colour = class_colour(label, chosen.info.labels)
    chart.show(
        figures.reliability_diagram(
            {label: calibration.by_class[label, Binning(bins)]}, {label: colour}
        ),
        "reliability-class",
        f"The probability given to {plain(label)}, on every image, against how often it was so.",
    )
trust.calibration_table(calibration)
st.caption(trust.temperature_sentence(titles[run_id], calibration.temperature))

st.subheader("Answering only where sure", anchor=False)
chart.show(
    figures.risk_coverage_chart(
        {name: entry.risk_coverage for name, entry in entries.items()}, titles, colours
    ),
    "risk-coverage",
    "If only the most confident images are answered and the rest go to a person: the share "
    "answered, and how many of those answers are wrong.",
)
trust.coverage_table(entries, titles)

people = results.against_people(chosen, where, run_id)
if people is not None:
    st.subheader("Against people", anchor=False)
    trust.against_people(people, titles[run_id])

st.subheader("Worst slices", anchor=False)
trust.slices(results.worst_slices(chosen, where, run_id))

st.subheader("Corrupted pictures", anchor=False)
tables = {
    name: entry.robustness_table
    for name, entry in entries.items()
    if entry.robustness_table is not None
}
if not tables:
    st.info("Robustness is not measured yet. Measure it (it takes a while for each model):")
    st.code(f"python -m training robustness {chosen.info.name}", language="bash")
    st.stop()
known = sorted({name for table in tables.values() for name in table["corruption"]} - {"clean"})
corruption = st.selectbox(
    "Corruption",
    [EVERY, *known],
    format_func=figures.corruption_title,
    key=Key.CORRUPTION,
    bind=BIND,
    width=280,
)
chart.show(
    figures.corruption_curves(
        tables, titles, colours, None if corruption in (None, EVERY) else corruption
    ),
    "corruption",
    "Accuracy as the pictures get worse, from clean (0) to severity 5. All classes count here, on "
    "the test pictures that were corrupted, whatever is chosen above.",
)
trust.corruption_table(entries, titles)
