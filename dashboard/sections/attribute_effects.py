"""The part of the page Response curves on attributes that should not matter."""

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st
from PIL import Image

from dashboard.cache import probes as cache
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.figures import figure
from dashboard.components import chart, pickers
from dashboard.components.gallery import Card, gallery
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.evaluation import probe_text
from fer_core.evaluation.attribute_effects import AttributeEffect, DrawnAccuracy
from fer_core.evaluation.real_changes import RealAgreement
from fer_core.evaluation.significance import p_text
from fer_core.figures import probes as figures
from fer_core.figures.palette import class_colour
from fer_core.synthetic.attributes import ATTRIBUTES
from fer_core.synthetic.probe_design import (
    ATTRIBUTE_LEVEL,
    IDENTITIES,
    ProbeFace,
    ProbeKind,
)

SHOWN_PAIRS = 12
"""Most pairs of faces of one attribute."""


def effects(run: Run, accuracy: DrawnAccuracy) -> None:
    """Shows the effect of every attribute, largest first, and the sentences."""
    table = cache.effects(run)
    if not table:
        st.info("This probe has no attributes.")
        return
    chart.show(
        figure(figures.effect_bars, table),
        "effects",
        f"Share of {table[0].pairs} faces of {IDENTITIES} drawn persons whose prediction changes, "
        "with 95% intervals over persons. Green: the attribute shifts the probability of a class "
        "by at least one point (Wilcoxon signed-rank test over persons, Holm's correction over all "
        "attributes and classes).",
    )
    for sentence in probe_text.effect_sentences(table, accuracy):
        st.markdown(f"- {plain(sentence)}")
    st.caption(plain(probe_text.no_effect_sentence(table)))


def attribute(benchmark: Benchmark, run: Run) -> None:
    """Shows each class's shift for a picked attribute, and the faces whose prediction changes."""
    by_name = {effect.attribute.name: effect for effect in cache.effects(run)}
    if not by_name:
        return
    st.subheader("One attribute", anchor=False)
    name = pickers.select_box(
        "Attribute",
        list(by_name),
        Key.ATTRIBUTE,
        shown=lambda key: by_name[key].attribute.title,
    )
    effect = by_name[name]
    rows = pd.DataFrame(
        {
            "class": item.label,
            "points": 100 * item.shift.value,
            "95% interval": f"{100 * item.shift.low:+.1f} to {100 * item.shift.high:+.1f}",
            "corrected p": p_text(item.p_value),
            "effect": item.significant,
        }
        for item in effect.shifts
    )
    st.dataframe(
        rows,
        hide_index=True,
        key="shifts",
        column_config={
            "points": st.column_config.NumberColumn(format="%+.1f"),
        },
    )
    reference = ATTRIBUTES[effect.attribute.reference].title
    st.caption(
        f"Mean change of each class's probability with {effect.attribute.title}, compared with "
        f"{reference}, over all expressions."
    )
    _changed_faces(benchmark, effect)


def _changed_faces(benchmark: Benchmark, effect: AttributeEffect) -> None:
    """Shows the faces whose prediction changes, each beside its reference, on demand."""
    changed = [
        (flips.expression, earlier, flips.predicted, person)
        for flips in effect.flips
        for person, earlier in zip(flips.persons, flips.before, strict=True)
    ]
    if not changed:
        st.caption("It changes no prediction.")
        return
    if not st.toggle(
        f"Show the faces whose prediction changes ({len(changed)})", key="faces-changed"
    ):
        return
    shown = changed[:SHOWN_PAIRS]
    names = (effect.attribute.reference, effect.attribute.name)
    faces = tuple(
        ProbeFace(ProbeKind.ATTRIBUTE, name, expression, ATTRIBUTE_LEVEL, person)
        for expression, _, _, person in shown
        for name in names
    )
    info = benchmark.info
    drawn = cache.pictures(faces, cache.view_of(benchmark), info.side, info.colour)
    cards = []
    for index, (expression, earlier, predicted, person) in enumerate(shown):
        before, after = (Image.fromarray(drawn[2 * index + step]) for step in (0, 1))
        titles = [ATTRIBUTES[name].title for name in names]
        note = f"{titles[0]}; shows {expression}, person {person + 1}"
        cards.append(
            Card(before, f"prediction: {earlier}", note, class_colour(earlier, info.labels))
        )
        colour = class_colour(predicted, info.labels)
        cards.append(Card(after, f"prediction: {predicted}", titles[1], colour))
    gallery(cards, side=96, key="changed-faces")
    if len(changed) > len(shown):
        st.caption(f"The first {len(shown)} of {len(changed)}.")


def shares_by_model(benchmark: Benchmark, probed: Sequence[str]) -> None:
    """Shows the share of changed predictions by attribute and model."""
    shares = {
        run_id: values for run_id in probed if (values := cache.shares(benchmark.run(run_id)))
    }
    if not shares:
        return
    st.subheader("Which attributes change which model's predictions?", anchor=False)
    chart.show(
        figure(figures.flip_heatmap, shares, benchmark.titles),
        "flips",
        "Share of drawn faces whose prediction changes although the expression stays the same.",
    )


def real_agreement(benchmark: Benchmark) -> None:
    """Shows whether changes of drawn faces agree with the same changes of real faces."""
    st.subheader("Do drawn and real faces agree?", anchor=False)
    agreement = cache.real_agreement(benchmark)
    if agreement is None:
        st.info(
            "Not measured: changes of real pictures need the prepared data on the machine that "
            "runs the probe."
        )
        st.code(f"python -m training probe {benchmark.info.name}", language="bash")
        return
    overall = (
        "" if agreement.overall is None else f" Their rank correlation is {_r(agreement.overall)}."
    )
    chart.show(
        figure(figures.real_scatter, agreement, benchmark.titles, benchmark.colours),
        "real",
        f"The same changes on drawn faces and on {agreement.images} validation pictures: mirror, "
        f"light, blur, compression, margin, rotation and cover. One symbol per model and change."
        f"{overall}",
    )
    _correlations(agreement)


def _correlations(agreement: RealAgreement) -> None:
    """Shows the correlation over models of each change."""
    if not agreement.by_change:
        st.caption("A correlation over models needs at least four probed models.")
        return
    rows = pd.DataFrame(
        {
            "change": ATTRIBUTES[change].title,
            "rank correlation over models": None if math.isnan(value) else value,
        }
        for change, value in agreement.by_change.items()
    )
    number = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        rows,
        hide_index=True,
        key="real-by-change",
        column_config={"rank correlation over models": number},
    )
    st.caption(
        "Spearman's rank correlation: 1 if the models have the same order on drawn and on real "
        "faces, 0 if there is no relation. Where it is low, the drawn faces say little about "
        "which model is more sensitive to this change."
    )


def _r(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"
