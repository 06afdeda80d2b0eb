"""Head to head: what one model gets right that another gets wrong, and whether that is luck."""

import streamlit as st

from dashboard import theme
from dashboard.cache import benchmarks
from dashboard.components import chart, faces, filters, pickers, sample_list
from dashboard.components.text import plain
from dashboard.sections import head_to_head
from dashboard.state import Key
from fer_core.evaluation.diversity import kappa
from fer_core.evaluation.significance import difference, mcnemar
from fer_core.figures import charts

CHANGES = {
    "fixed": "Fixed",
    "broken": "Broken",
    "both_wrong": "Both wrong",
    "both_right": "Both right",
}

theme.page_header(
    "Results",
    "Head to head",
    "Set one model against another on the same images: what it fixes, what it breaks, and whether "
    "the difference is more than luck.",
)
chosen, where, board = filters.results_scope()
panel, titles = board.panel, chosen.titles
if len(panel.runs) < 2:
    st.info("It takes two finished runs to compare. Train another one:")
    pickers.train_command(chosen.info.name)
    st.stop()
left, right = st.columns(2)
with left:
    new = pickers.run_picker(chosen, panel.runs, label="Model")
with right:
    rest = [run_id for run_id in panel.runs if run_id != new]
    old = pickers.run_picker(chosen, rest, label="Against", key=Key.AGAINST)

one, other = panel.right[panel.row(new)], panel.right[panel.row(old)]
parts = {
    "fixed": one & ~other,
    "broken": other & ~one,
    "both_wrong": ~one & ~other,
    "both_right": one & other,
}
counts = {name: int(mask.sum()) for name, mask in parts.items()}
gap = difference(panel.truth, one, other, len(panel.labels))
p_value = mcnemar(counts["fixed"], counts["broken"])
columns = st.columns(4)
for column, (name, title) in zip(columns, CHANGES.items(), strict=True):
    column.metric(title, f"{counts[name]:,}", help=head_to_head.HELP[name], border=True)
st.markdown(head_to_head.sentence(titles[new], titles[old], gap, p_value))
agree = kappa(panel.predicted[panel.row(new)], panel.predicted[panel.row(old)], len(panel.labels))
st.caption(head_to_head.details(gap, p_value, agree, filters.describe(board)))

st.subheader("Net change by class", anchor=False)
gains, losses = (
    {
        name: int((parts[kind] & (panel.truth == index)).sum())
        for index, name in enumerate(panel.labels.names)
    }
    for kind in ("fixed", "broken")
)
chart.show(
    charts.change_bars(gains, losses, panel.labels.names),
    "change",
    f"Images by label: to the right what {plain(titles[new])} alone has right, to the left what "
    f"{plain(titles[old])} alone has right.",
)

st.subheader("The images", anchor=False)
kind = pickers.switch("Shown", CHANGES, Key.CHANGE)
listing = sample_list.Listing.of(panel, new, parts[kind], {old: titles[old]})
st.caption(f"{len(listing):,} images: {head_to_head.HELP[kind]} Most confident first.")
if not len(listing):
    st.info("There is no such image.")
    st.stop()
facts = benchmarks.samples(chosen)
page = pickers.page(len(listing), faces.GALLERY_SIZE)
faces.gallery(listing.page(facts, page), benchmarks.pictures(chosen), chosen.info.name)
sample_list.download(listing, facts, chosen, f"{new}-against-{old}-{kind}")
