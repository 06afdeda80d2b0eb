"""Constructed predictions and tables, and hypothesis strategies for them."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.robustness import CLEAN
from fer_core.labels import LabelSet

NAMES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def make_scores(truth, probabilities, prefix: str = "s") -> SplitPredictions:
    """Scores over as many emotions as there are columns."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = LabelSet(NAMES[: probabilities.shape[1]])
    ids = np.array([f"{prefix}/{index:05d}" for index in range(len(truth))], dtype=object)
    return SplitPredictions(labels, ids, np.asarray(truth, dtype=np.int64), probabilities)


def shuffled(scores: SplitPredictions, seed: int = 0) -> SplitPredictions:
    order = np.random.default_rng(seed).permutation(len(scores))
    return reordered(scores, order)


def reordered(scores: SplitPredictions, order) -> SplitPredictions:
    return SplitPredictions(
        scores.labels, scores.ids[order], scores.truth[order], scores.probabilities[order]
    )


def doubled(scores: SplitPredictions) -> SplitPredictions:
    """Every sample twice, under another id."""
    copies = np.array([f"{name}-again" for name in scores.ids], dtype=object)
    return SplitPredictions(
        scores.labels,
        np.concatenate([scores.ids, copies]),
        np.tile(scores.truth, 2),
        np.tile(scores.probabilities, (2, 1)),
    )


def random_scores(
    count: int, classes: int = 7, seed: int = 0, skill: float = 2.0
) -> SplitPredictions:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    logits = random.normal(0, 1, (count, classes))
    logits[np.arange(count), truth] += skill
    exp = np.exp(logits)
    return make_scores(truth, exp / exp.sum(axis=1, keepdims=True))


@st.composite
def any_scores(draw, classes: int = 3, min_size: int = 1, max_size: int = 30) -> SplitPredictions:
    """Scores of a few samples, down to one, with ties and classes that have none."""
    count = draw(st.integers(min_size, max_size))
    truth = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    weights = st.lists(st.integers(0, 5), min_size=classes, max_size=classes)
    rows = draw(st.lists(weights.filter(any), min_size=count, max_size=count))
    array = np.array(rows, dtype=np.float64)
    return make_scores(truth, array / array.sum(axis=1, keepdims=True))


def robustness_table(
    clean: float, blur: tuple[float, float], noise: tuple[float, float], seed: int = 0
) -> pd.DataFrame:
    """`robustness.parquet` of two corruptions with two severities each, from their accuracies."""
    return pd.DataFrame(
        {
            "corruption": [CLEAN, "blur", "blur", "noise", "noise"],
            "severity": [0, 1, 2, 1, 2],
            "images": 10,
            "seed": seed,
            "samples_hash": "abc",
            "accuracy": [clean, *blur, *noise],
            "macro_recall": 0.5,
            "log_loss": 1.0,
        }
    )
