"""The leaderboard's tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.components.text import interval
from fer_core.evaluation.leaderboard import BenchmarkResults, Entry
from fer_core.evaluation.leaderboard_columns import DEFAULT, MEASURES, Kind
from fer_core.evaluation.seeds import over_seeds
from fer_core.evaluation.significance import Comparison

METRICS: Mapping[str, str] = {"accuracy": "Accuracy", "macro_recall": "Macro-recall"}
CURVES: Mapping[str, str] = {
    "accuracy": "Validation accuracy",
    "macro_recall": "Validation macro-recall",
    "log_loss": "Validation log loss",
    "train_loss": "Training loss",
    "learning_rate": "Learning rate",
}
_INTERVALS = {"accuracy": "accuracy", "macro-recall": "macro_recall"}


def known_measures(entries: Sequence[Entry]) -> list[str]:
    """Returns the measures that at least one run has, in the catalogue's order."""
    return [name for name in MEASURES if any(name in entry.values for entry in entries)]


def default_measures(entries: Sequence[Entry]) -> list[str]:
    """Returns those of the usual columns that there are."""
    known = known_measures(entries)
    return [name for name in DEFAULT if name in known]


def table(
    entries: Sequence[Entry], measures: Sequence[str], bands: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Returns one row a run, in the given order; shares in 0 to 1.

    Args:
        entries: At least one.
        measures: Columns, as in `MEASURES`; accuracy and macro-recall bring their intervals.
        bands: By run id, for rank and band; None leaves both out.
    """
    rows = []
    for place, entry in enumerate(entries, start=1):
        row: dict[str, object] = {}
        if bands is not None:
            row |= {"rank": place, "band": bands[entry.run_id]}
        row["model"] = entry.info.title
        for name in measures:
            row[name] = entry.values.get(name, np.nan)
            if name in _INTERVALS:
                estimate = getattr(entry.measured.split, _INTERVALS[name])
                row[f"{name} interval"] = interval(estimate)
        row |= {
            "images": entry.measured.split.samples,
            "input (px)": entry.info.image_size,
            "start": entry.info.init,
            "seed": entry.info.seed,
            "split": entry.report.protocol.split_hash,
            "run": entry.run_id,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def protocol(entries: Sequence[Entry]) -> str:
    """Says what the ranked runs' numbers stand on; they agree in it."""
    augmented = any(entry.report.protocol.test_time_augmentation for entry in entries)
    chosen_by = (
        f"{'with' if augmented else 'no'} test-time augmentation; validation chose every "
        "checkpoint, test was read once."
    )
    if any(entry.info.kind == "imported" for entry in entries):
        chosen_by += " That is not known of imported predictions."
    return chosen_by


def show(rows: pd.DataFrame, key: str) -> None:
    """Shows a leaderboard table with its columns explained."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    config = {
        "rank": number("#", width="small", pinned=True),
        "band": text(
            "band",
            width="small",
            help="Runs of one band cannot be told apart from its best (McNemar, Holm, 5%).",
        ),
        "model": text("model", pinned=True),
        "input (px)": number(format="%d", help="Side of the network's input."),
        "start": text("start", help="Where the weights started from."),
    }
    for index, name in enumerate(_INTERVALS):
        # column titles must differ; a blank at the end is not seen
        config[f"{name} interval"] = text(f"95% (%){' ' * index}", help=f"Interval of the {name}.")
    for name, measure in MEASURES.items():
        direction = "Higher is better." if measure.higher else "Lower is better."
        if measure.kind is Kind.SHARE:
            config[name] = st.column_config.ProgressColumn(
                name,
                format="percent",
                min_value=0.0,
                max_value=1.0,
                help=f"{measure.help} {direction}",
            )
        else:
            form = "%.3f" if measure.kind is Kind.NUMBER else "%.0f"
            form = "%.1f" if name == "parameters (M)" else form
            config[name] = number(name, format=form, help=f"{measure.help} {direction}")
    st.dataframe(rows, hide_index=True, key=key, column_config=config)


def pairs(comparisons: Sequence[Comparison], titles: Mapping[str, str]) -> None:
    """Shows who beats whom, surest first, with the test behind it."""
    rows = pd.DataFrame(
        {
            "better": titles[item.ordered[0]],
            "than": titles[item.ordered[1]],
            "only the better is right": max(item.only_first, item.only_second),
            "only the other is right": min(item.only_first, item.only_second),
            "p": item.p_value,
            "p after correction": item.adjusted,
            "told apart": item.differs,
        }
        for item in sorted(comparisons, key=lambda item: item.adjusted)
    )
    st.dataframe(
        rows,
        hide_index=True,
        key="pairs-table",
        column_config={
            name: st.column_config.NumberColumn(format="%.4f")
            for name in ("p", "p after correction")
        },
    )


def seeds(found: BenchmarkResults) -> None:
    """Shows mean and spread over seeds; nothing where every recipe was trained once."""
    families = over_seeds(
        {entry.run_id: entry.values["accuracy"] for entry in found.entries},
        {entry.run_id: entry.info.recipe for entry in found.entries},
    )
    repeated = [family for family in families if len(family.runs) > 1]
    if not repeated:
        return
    st.subheader("Over seeds", anchor=False)
    st.dataframe(
        pd.DataFrame(
            {
                "recipe": family.family,
                "seeds": len(family.runs),
                "mean accuracy": family.mean,
                "standard deviation": family.deviation,
                "lowest": family.low,
                "highest": family.high,
            }
            for family in repeated
        ),
        hide_index=True,
        key="seeds",
        column_config={
            name: st.column_config.NumberColumn(format="percent")
            for name in ("mean accuracy", "standard deviation", "lowest", "highest")
        },
    )
    st.caption(
        "The same recipe trained with other random numbers. A difference between two models that "
        "is smaller than this spread may be the luck of the draw."
    )


def provenance(entry: Entry) -> None:
    """Shows how a run came to be."""
    info = entry.info
    facts = {
        "Run": info.run_id,
        "Initial weights": f"{info.init} {info.init_source}".strip(),
        "Input preprocessing": info.preprocessing_hash,
        "Weights": info.weights_dtype or ("those of its members" if info.members else "elsewhere"),
        "Epochs": f"{info.epochs}, the best was {info.best_epoch}" if info.epochs else "none",
        "Training time": f"{info.wall_seconds / 60:.0f} minutes" if info.wall_seconds else "none",
        "Hardware": ", ".join(f"{key} {value}" for key, value in info.hardware.items()) or "none",
        "Commit": info.git_commit or "unknown",
        "Versions": ", ".join(f"{key} {value}" for key, value in info.versions.items()),
        "Made": info.created,
    }
    if info.prior_shift:
        facts["Class frequencies"] = (
            f"their logarithm times {info.prior_shift:g} was added to the logits: validation "
            "accuracy chose it"
        )
    if info.teachers:
        facts["Taught by"] = ", ".join(f"{run} ({made})" for run, made in info.teachers.items())
    st.table(pd.Series(facts, name="value"))
    st.markdown("Resolved recipe")
    st.json(dict(info.recipe), expanded=1)
