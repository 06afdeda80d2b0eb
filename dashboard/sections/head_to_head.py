"""What the comparison of two models means, in sentences."""

from collections.abc import Mapping

import numpy as np

from dashboard.components.text import plain
from fer_core.evaluation.significance import LEVEL, Difference

HELP: Mapping[str, str] = {
    "fixed": "the model is right and the one it is set against wrong.",
    "broken": "the model is wrong and the one it is set against right.",
    "both_wrong": "neither is right.",
    "both_right": "both are right.",
}


def sentence(new: str, old: str, gap: Difference, p_value: float) -> str:
    """Returns which model is better, and whether the images suffice to say so."""
    value = gap.accuracy[0]
    if value == 0:
        return f"**{plain(new)}** and **{plain(old)}** have equally many images right."
    better, worse = (new, old) if value > 0 else (old, new)
    start = (
        f"**{plain(better)}** has {100 * abs(value):.1f} percentage points more right than "
        f"**{plain(worse)}**."
    )
    if p_value < LEVEL:
        return (
            f"{start} That is more than luck: if both were alike, so lopsided a split would turn "
            f"up in {_chance(p_value)} of such tests."
        )
    return (
        f"{start} That may well be luck: if both were alike, a split at least as lopsided would "
        f"turn up in {_chance(p_value)} of such tests. More images, or more seeds, could tell."
    )


def details(gap: Difference, p_value: float, agreement: float, measured_on: str) -> str:
    """Returns the numbers behind the sentence."""
    accuracy, recall = (
        f"{100 * value:+.1f} points, 95% interval {100 * low:+.1f} to {100 * high:+.1f}"
        for value, low, high in (gap.accuracy, gap.macro_recall)
    )
    alike = "" if np.isnan(agreement) else f" Their answers agree with kappa {agreement:.2f}."
    chance = "p below 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
    return (
        f"On {measured_on}. Accuracy: {accuracy}; macro-recall: {recall} (paired bootstrap). "
        f"McNemar's exact test: {chance}, for this pair alone; the leaderboard corrects "
        f"for all pairs.{alike}"
    )


def _chance(p_value: float) -> str:
    if p_value < 0.0001:
        return "fewer than 1 in 10,000"
    if p_value < 0.1:
        return f"about 1 in {round(1 / p_value):,}"
    return f"about {p_value:.0%}"
