"""Colours of emotions and models, consistent on all pages.

Emotions use the colour-blind safe palette of Okabe and Ito (2008) with a darker grey, models Paul
Tol's "muted" scheme with further colours, so that the two cannot be confused. Models have a second
cue beside: dashes of lines, symbols of markers, patterns of bars. Sixteen colours are too many for
colour-blind readers and too few for some benchmarks. The numbers of cues have no divisor in common
with the number of colours, so that runs of one colour differ in the cue.
`tests/figures/test_palette.py` measures the distances under deuteranopia.
"""

from collections.abc import Sequence

from fer_core.labels import Emotion

EMOTIONS: dict[str, str] = {
    Emotion.ANGRY: "#D55E00",
    Emotion.DISGUST: "#009E73",
    Emotion.FEAR: "#CC79A7",
    Emotion.HAPPY: "#E69F00",
    Emotion.NEUTRAL: "#686868",
    Emotion.SAD: "#0072B2",
    Emotion.SURPRISE: "#56B4E9",
}

_OTHER_CLASSES = ("#AA4499", "#999933", "#44AA99", "#882255", "#332288")
_MODELS = (
    "#CC6677",
    "#44AA99",
    "#DDCC77",
    "#88CCEE",
    "#AA4499",
    "#999933",
    "#882255",
    "#117733",
    "#6699CC",
    "#BBBBBB",
    "#EE7733",
    "#7D5BA6",
    "#8C564B",
    "#F4A6C0",
    "#CC3311",
    "#AACC55",
)

_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "triangle-down")
_PATTERNS = ("", "/", ".", "x", "-", "\\", "|")


def class_colour(label: str, labels: Sequence[str]) -> str:
    """Returns the colour of a class; other classes than emotions get one by their index."""
    if label in EMOTIONS:
        return EMOTIONS[label]
    others = [name for name in labels if name not in EMOTIONS]
    return _OTHER_CLASSES[others.index(label) % len(_OTHER_CLASSES)]


def model_colours(run_ids: Sequence[str]) -> dict[str, str]:
    """Returns the colour of each run of a benchmark, by its index in the sorted list of all."""
    return {run_id: _MODELS[index % len(_MODELS)] for index, run_id in enumerate(sorted(run_ids))}


def model_dashes(run_ids: Sequence[str]) -> dict[str, str]:
    """Returns the dash of each run's line; together with the colour it tells all runs apart."""
    return {run_id: _DASHES[index % len(_DASHES)] for index, run_id in enumerate(sorted(run_ids))}


def model_symbols(run_ids: Sequence[str]) -> dict[str, str]:
    """Returns the symbol of each run's markers; with the colour it tells all runs apart."""
    return {run_id: _SYMBOLS[index % len(_SYMBOLS)] for index, run_id in enumerate(sorted(run_ids))}


def model_patterns(run_ids: Sequence[str]) -> dict[str, str]:
    """Returns the pattern of each run's bars; with the colour it tells all runs apart."""
    ordered = enumerate(sorted(run_ids))
    return {run_id: _PATTERNS[index % len(_PATTERNS)] for index, run_id in ordered}
