"""The leaderboard's tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.components.text import interval
from dashboard.state import Key
from fer_core.evaluation.leaderboard import BenchmarkResults, Entry
from fer_core.evaluation.leaderboard_columns import (
    COLUMNS,
    DEFAULT_COLUMNS,
    Kind,
    label_of,
    slug_of,
)
from fer_core.evaluation.seeds import seed_spreads
from fer_core.evaluation.significance import Comparison

METRICS: Mapping[str, str] = {"accuracy": "Accuracy", "macro_recall": "Macro-recall"}
CURVES: Mapping[str, str] = {
    "accuracy": "Validation accuracy",
    "macro_recall": "Validation macro-recall",
    "log_loss": "Validation log loss",
    "train_loss": "Training loss",
    "learning_rate": "Learning rate",
}
_INTERVALS = ("accuracy", "macro_recall")


def available_columns(entries: Sequence[Entry]) -> list[str]:
    """Returns the slugs of the columns that at least one run has a value for."""
    return [slug for slug in COLUMNS if any(slug in entry.values for entry in entries)]


def column_picker(entries: Sequence[Entry], help_text: str) -> list[str]:
    """Shows which columns the table has, and returns their slugs; kept in the address bar."""
    available = available_columns(entries)
    default = [slug for slug in DEFAULT_COLUMNS if slug in available]
    linked = [slug_of(name) for name in st.query_params.get_all(Key.COLUMNS)]
    if Key.COLUMNS not in st.session_state:
        st.session_state[Key.COLUMNS] = [slug for slug in available if slug in linked] or default
    columns = st.multiselect(
        "Columns", available, format_func=label_of, key=Key.COLUMNS, help=help_text
    )
    if columns != default:
        st.query_params[Key.COLUMNS] = columns
    elif Key.COLUMNS in st.query_params:
        del st.query_params[Key.COLUMNS]
    return columns


def table(
    entries: Sequence[Entry], columns: Sequence[str], tiers: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Returns one row a run, in the given order; shares in 0 to 1.

    Args:
        entries: At least one.
        columns: Slugs of `COLUMNS`; accuracy and macro-recall bring their intervals.
        tiers: Tier by run id; None leaves out rank and tier.
    """
    rows = []
    for place, entry in enumerate(entries, start=1):
        row: dict[str, object] = {}
        if tiers is not None:
            row |= {"rank": place, "tier": tiers[entry.run_id]}
        row["model"] = entry.info.title
        for name in columns:
            row[name] = entry.values.get(name, np.nan)
            if name in _INTERVALS:
                estimate = getattr(entry.metrics.split, name)
                row[f"{name} interval"] = interval(estimate)
        row |= {
            "images": entry.metrics.split.samples,
            "input (px)": entry.info.image_size,
            "init": entry.info.init,
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
        "tier": text(
            "tier",
            width="small",
            help="Models of one tier do not differ significantly from its best model (McNemar's "
            "test, Holm's correction, 5%).",
        ),
        "model": text("model", pinned=True),
        "input (px)": number(format="%d", help="Side of the network's input."),
        "init": text("init", help="Initial weights."),
    }
    for index, name in enumerate(_INTERVALS):
        # column titles must differ; a blank at the end is not seen
        config[f"{name} interval"] = text(
            f"95% (%){' ' * index}", help=f"Interval of the {label_of(name)}."
        )
    for name, column in COLUMNS.items():
        direction = "Higher is better." if column.higher_is_better else "Lower is better."
        if column.kind is Kind.SHARE:
            config[name] = st.column_config.ProgressColumn(
                column.label,
                format="percent",
                min_value=0.0,
                max_value=1.0,
                help=f"{column.help} {direction}",
            )
        else:
            form = "%.3f" if column.kind is Kind.NUMBER else "%.0f"
            form = "%.1f" if name == "parameters_m" else form
            config[name] = number(column.label, format=form, help=f"{column.help} {direction}")
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
            "significant": item.significant,
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
    families = seed_spreads(
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
