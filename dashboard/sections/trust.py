"""Tables and sentences of the Trust page."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.cache.results import People, Trust
from dashboard.components import chart
from dashboard.components.text import plain
from fer_core.evaluation.calibration import CalibrationError
from fer_core.evaluation.leaderboard import RISKS, Entry
from fer_core.evaluation.leaderboard_columns import label_of
from fer_core.evaluation.robustness import accuracy_table
from fer_core.evaluation.slices import Slice
from fer_core.figures.trust import agreement_bars, corruption_title


def calibration_table(trust: Trust) -> None:
    """Shows calibration before and after scaling."""
    rows = {
        "ECE": (_error(trust.before.ece), _error(trust.after.ece)),
        "adaptive ECE": (
            _error(trust.before.adaptive_ece),
            _error(trust.after.adaptive_ece),
        ),
        "Brier score": (f"{trust.before.brier:.3f}", f"{trust.after.brier:.3f}"),
        "log loss": (f"{trust.before.log_loss:.3f}", f"{trust.after.log_loss:.3f}"),
    }
    st.table(pd.DataFrame(rows, index=["as it is", "with temperature"]).T)


def _error(found: CalibrationError) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def temperature_sentence(title: str, temperature: float | None) -> str:
    """Returns what the fitted temperature says of a model; None where there is none."""
    if temperature is None:
        return "No validation image has these classes, so no temperature could be fitted."
    if abs(temperature - 1) < 0.05:
        meaning = "its confidence needs hardly any correction"
    elif temperature > 1:
        meaning = "it is surer than it should be"
    else:
        meaning = "it is less sure than it could be"
    return (
        f"The temperature that fits {plain(title)} on validation is {temperature:.2f}: {meaning}. "
        "Scaling changes no answer, only how sure each one is. Test images played no part in the "
        "fit. Errors are mean gaps of confidence and accuracy, with 95% bootstrap intervals."
    )


def coverage_table(entries: Mapping[str, Entry], titles: Mapping[str, str]) -> None:
    """Shows how much each model can answer at a given risk."""
    rows = [
        {"model": titles[run_id], "AURC": entry.values["aurc"]}
        | {f"{1 - risk:.0%} right": share for risk, share in entry.coverage_at_risk.items()}
        for run_id, entry in entries.items()
    ]
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="coverage",
        column_config={
            "AURC": st.column_config.NumberColumn(
                format="%.4f", help="Area under the curve; lower is better."
            ),
            **{f"{1 - risk:.0%} right": percent for risk in RISKS},
        },
    )
    st.caption(
        "Share of images that can be answered so that the named share of the answers is right. "
        "Read off the same images: on new ones, choose the threshold on validation."
    )


def against_people(people: People, title: str) -> None:
    """Shows a model against the annotators."""
    found, reference, table = people.distances, people.reference, people.by_agreement
    left, right = st.columns([3, 2], gap="large")
    with left:
        chart.show(
            agreement_bars(table),
            "agreement",
            "Accuracy by how many of the annotators gave the most frequent class. Where people "
            "disagree, so does the model: the label itself is then a matter of opinion.",
        )
    with right:
        if reference is not None:
            st.metric(
                "One annotator",
                f"{reference.annotator:.1%}",
                help="How often one annotator says what most of the other annotators say.",
                border=True,
            )
            st.metric(
                plain(title),
                f"{reference.model:.1%}",
                help="How often the model says what most of those others say, on the same terms.",
                border=True,
            )
        defensible = "none" if pd.isna(found.supported_errors) else f"{found.supported_errors:.0%}"
        st.metric(
            "Errors with an annotator behind them",
            defensible,
            help="Of the wrong answers, those that at least one annotator gave too.",
            border=True,
        )
        st.caption(
            f"Distance to the distribution of votes: {found.distance:.3f} (Jensen-Shannon, 0 to "
            f"1). Log loss against it: {found.cross_entropy:.3f}; a model that knew the votes "
            f"would have {found.vote_entropy:.3f}."
        )


def slices(found: Sequence[Slice]) -> None:
    """Shows the slices on which a model errs more than elsewhere."""
    standing = [item for item in found if item.significant]
    if not standing:
        st.info(
            "No group of images stands out: no slice has more errors than chance would give, with "
            "the number of slices taken into account."
        )
    for item in standing[:6]:
        st.markdown(f"- {plain(item.statement)}")
    if found:
        st.dataframe(
            pd.DataFrame(
                {
                    "slice": item.name,
                    "images": item.samples,
                    "wrong": item.rate,
                    "wrong elsewhere": item.elsewhere,
                    "p": item.p_value,
                    "p after correction": item.adjusted,
                    "stands": item.significant,
                }
                for item in found
            ),
            hide_index=True,
            key="slices",
            column_config={
                "wrong": st.column_config.NumberColumn(format="percent"),
                "wrong elsewhere": st.column_config.NumberColumn(format="percent"),
                "p": st.column_config.NumberColumn(format="%.2g"),
                "p after correction": st.column_config.NumberColumn(format="%.2g"),
            },
        )
        st.caption(
            "Every property and every overlap of two was tested (Fisher's exact test, one-sided; "
            "Holm's correction over all of them; at least 30 images). An overlap must be worse "
            "than both of its parts. Filter by these properties on the Confusion matrix page."
        )


def corruption_table(entries: Mapping[str, Entry], titles: Mapping[str, str]) -> None:
    """Shows mean accuracy by corruption and model, with the summaries."""
    shown = {titles[r]: entry for r, entry in entries.items() if entry.robustness_table is not None}
    columns = {
        title: accuracy_table(entry.robustness_table).mean(axis=1)
        for title, entry in shown.items()
        if entry.robustness_table is not None
    }
    table = pd.DataFrame(columns)
    summary = pd.DataFrame(
        {
            title: {
                label_of(slug): entry.robustness_values.get(slug)
                for slug in ("corrupted_accuracy", "accuracy_retained", "mce", "relative_mce")
            }
            for title, entry in shown.items()
        }
    )
    table.index = pd.Index([corruption_title(str(name)) for name in table.index])
    percent = {title: st.column_config.NumberColumn(format="percent") for title in columns}
    st.dataframe(table, key="corruptions", column_config=percent)
    st.dataframe(
        summary,
        key="robustness",
        column_config={
            title: st.column_config.NumberColumn(format="%.3f") for title in summary.columns
        },
    )
    images = sorted({int(entry.robustness_table["images"].iloc[0]) for entry in shown.values()
                     if entry.robustness_table is not None})  # fmt: skip
    st.caption(
        f"Mean accuracy over the five severities, on {' or '.join(f'{n:,}' for n in images)} test "
        "pictures. mCE is the error relative to ResNet-34's, relative mCE the same of the errors "
        "that corruption adds; below 1 is better than ResNet-34 (Hendrycks and Dietterich 2019). "
        "They are given where that model was measured on the same pictures."
    )
