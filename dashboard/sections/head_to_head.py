"""The comparison of two models in sentences and in numbers that open their images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.components import opening_table
from dashboard.components.filters import ALL_CLASSES
from dashboard.components.opening_table import TableTarget
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.evaluation.persons import IMAGES
from fer_core.evaluation.significance import LEVEL, Difference, p_sentence, paired_test_name

OUTCOMES: Mapping[str, str] = {
    "fixed": "Fixed",
    "broken": "Broken",
    "both_wrong": "Both wrong",
    "both_right": "Both right",
}
HELP: Mapping[str, str] = {
    "fixed": "the model is right and the other one wrong.",
    "broken": "the model is wrong and the other one right.",
    "both_wrong": "both models are wrong.",
    "both_right": "both models are right.",
}


def sentence(new: str, old: str, gap: Difference, p_value: float) -> str:
    """Returns which model is more accurate, and whether the difference is significant."""
    value = gap.accuracy[0]
    if value == 0:
        return f"**{plain(new)}** and **{plain(old)}** are equally accurate."
    better, worse = (new, old) if value > 0 else (old, new)
    start = (
        f"**{plain(better)}** is {100 * abs(value):.1f} percentage points more accurate than "
        f"**{plain(worse)}**."
    )
    chance = (
        "equally accurate models would differ at least this much in "
        f"{_chance(p_value)} of such tests."
    )
    if p_value < LEVEL:
        return f"{start} The difference is significant: {chance}"
    return (
        f"{start} The difference is not significant: {chance} More images or more seeds are needed "
        "to decide."
    )


def details(
    gap: Difference, p_value: float, agreement: float, measured_on: str, *, over: str = IMAGES
) -> str:
    """Returns the numbers behind the sentence.

    Args:
        gap: Differences of the metrics with their intervals.
        p_value: P-value of the paired test.
        agreement: Cohen's kappa of the predictions; NaN if it is not defined.
        measured_on: The scored images.
        over: What is resampled and tested, see `persons.resampled_units`.
    """
    accuracy, recall = (
        f"{100 * value:+.1f} points, 95% interval {100 * low:+.1f} to {100 * high:+.1f}"
        for value, low, high in (gap.accuracy, gap.macro_recall)
    )
    kappa = "" if np.isnan(agreement) else f" Agreement of the predictions: kappa {agreement:.2f}."
    return (
        f"On {measured_on}. Accuracy: {accuracy}; macro-recall: {recall} (paired bootstrap over "
        f"{over}). {paired_test_name(over)}: {p_sentence(p_value)} for this pair; the leaderboard "
        f"corrects for all pairs.{kappa}"
    )


def outcome_table(
    outcomes: Mapping[str, NDArray[np.bool_]], truth: NDArray[np.int64], labels: Sequence[str]
) -> pd.DataFrame:
    """Returns the number of images by true class and outcome, with a column `class`.

    Args:
        outcomes: A mask of the images for each outcome, shape (N,).
        truth: Indices of the true classes, shape (N,).
        labels: Class names.
    """
    counts = {
        name: np.bincount(truth[mask], minlength=len(labels)) for name, mask in outcomes.items()
    }
    return pd.DataFrame({"class": list(labels), **counts})


def show_counts(by_class: pd.DataFrame) -> None:
    """Shows the numbers of images; a click on one lists its images below.

    Args:
        by_class: Result of `outcome_table`.
    """
    total = by_class.drop(columns="class").sum()
    rows = pd.concat([pd.DataFrame([{"class": ALL_CLASSES, **total}]), by_class])
    kinds = {title: name for name, title in OUTCOMES.items()}

    def opens(number: int, column: str) -> TableTarget:
        picks: dict[str, object] = {Key.LABEL: str(rows["class"].iloc[number])}
        if column in kinds:
            picks[Key.CHANGE] = kinds[column]
        return TableTarget(picks=picks)

    opening_table.show(rows.rename(columns=OUTCOMES), opens, "outcomes")
    st.caption(f"{opening_table.HINT} They are listed below.")


def _chance(p_value: float) -> str:
    if p_value < 0.0001:
        return "fewer than 1 in 10,000"
    if p_value < 0.1:
        return f"about 1 in {round(1 / p_value):,}"
    return f"about {p_value:.0%}"
