"""The leaderboard's tables."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.components.text import interval
from dashboard.data_access import Benchmark, Run
from fer_core.evaluation.comparison import Comparison, bands

METRICS: Mapping[str, str] = {"accuracy": "Accuracy", "macro_recall": "Macro-recall"}
CURVES: Mapping[str, str] = {
    "accuracy": "Validation accuracy",
    "macro_recall": "Validation macro-recall",
    "log_loss": "Validation log loss",
    "train_loss": "Training loss",
    "learning_rate": "Learning rate",
}


def by_protocol(chosen: Benchmark) -> tuple[list[Run], list[Run]]:
    """Splits the runs into those to rank and the others; each best first.

    Ranked are the runs measured on the benchmark's own split, or else under the most common
    protocol.
    """
    protocols = [run.report.protocol.comparable for run in chosen.runs]
    own = [key for key in protocols if key[1] == chosen.info.split_hash]
    main = max(own or protocols, key=protocols.count)
    ranked = [run for run in chosen.runs if run.report.protocol.comparable == main]
    return ranked, [run for run in chosen.runs if run not in ranked]


def table(
    runs: Sequence[Run], scored: str, comparisons: Sequence[Comparison] | None = None
) -> pd.DataFrame:
    """Returns one row a run, best accuracy first; shares in 0 to 1.

    Args:
        runs: At least one.
        scored: A key of `samples.SCORED`.
        comparisons: Of all pairs, for rank and band; None leaves both out.
    """
    rows = []
    for run in runs:
        scores = run.scored(scored)
        if scores is None:
            continue
        rows.append(
            {
                "model": run.info.title,
                "accuracy": scores.accuracy.value,
                "accuracy interval": interval(scores.accuracy),
                "macro-recall": scores.macro_recall.value,
                "macro-recall interval": interval(scores.macro_recall),
                "log loss": scores.log_loss,
                "calibration error": scores.calibration_error,
                "images": scores.samples,
                "parameters (M)": None
                if run.info.parameters is None
                else run.info.parameters / 1e6,
                "input (px)": run.info.image_size,
                "start": run.info.init,
                "seed": run.info.seed,
                "split": run.report.protocol.split_hash,
                "run": run.run_id,
            }
        )
    result = pd.DataFrame(rows).sort_values("accuracy", ascending=False, ignore_index=True)
    if comparisons is not None:
        result.insert(0, "rank", range(1, len(result) + 1))
        letters = bands(result["run"].tolist(), comparisons)
        result.insert(1, "band", [letters[run_id] for run_id in result["run"]])
    return result


def show(rows: pd.DataFrame, key: str) -> None:
    """Shows a leaderboard table with its columns explained."""
    number = st.column_config.NumberColumn
    st.dataframe(
        rows,
        hide_index=True,
        key=key,
        column_config={
            "rank": number("#", width="small", pinned=True),
            "band": st.column_config.TextColumn(
                "band",
                width="small",
                help="Runs of one band cannot be told apart from its best (McNemar, Holm, 5%).",
            ),
            "model": st.column_config.TextColumn("model", pinned=True),
            "accuracy": st.column_config.ProgressColumn(
                "accuracy", format="percent", min_value=0.0, max_value=1.0, help="Right answers."
            ),
            "accuracy interval": st.column_config.TextColumn("95% (%)", help="Of the accuracy."),
            "macro-recall": st.column_config.ProgressColumn(
                "macro-recall",
                format="percent",
                min_value=0.0,
                max_value=1.0,
                help="Mean of the classes' recalls: rare emotions count as much as frequent ones.",
            ),
            "macro-recall interval": st.column_config.TextColumn(
                "95% (%) ", help="Of the macro-recall."
            ),
            "log loss": number(format="%.3f", help="Lower is better; punishes confident errors."),
            "calibration error": number(
                format="%.3f", help="Mean gap of confidence and accuracy (ECE, 15 bins)."
            ),
            "parameters (M)": number(format="%.1f", help="Weights in millions."),
            "input (px)": number(format="%d", help="Side of the network's input."),
            "start": st.column_config.TextColumn("start", help="Where the weights started from."),
        },
    )


def pairs(comparisons: Sequence[Comparison], titles: Mapping[str, str]) -> None:
    """Shows who beats whom, surest first, with the test behind it."""
    rows = pd.DataFrame(
        {
            "better": titles[item.first if item.only_first >= item.only_second else item.second],
            "than": titles[item.second if item.only_first >= item.only_second else item.first],
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
        key="pairs",
        column_config={
            name: st.column_config.NumberColumn(format="%.4f")
            for name in ("p", "p after correction")
        },
    )


def provenance(run: Run) -> None:
    """Shows how a run came to be."""
    info = run.info
    facts = {
        "Run": info.run_id,
        "Initial weights": f"{info.init} {info.init_source}".strip(),
        "Input preprocessing": info.preprocessing_hash,
        "Weights": info.weights_dtype or "those of its members",
        "Epochs": f"{info.epochs}, the best was {info.best_epoch}" if info.epochs else "none",
        "Training time": f"{info.wall_seconds / 60:.0f} minutes" if info.wall_seconds else "none",
        "Hardware": ", ".join(f"{key} {value}" for key, value in info.hardware.items()) or "none",
        "Commit": info.git_commit or "unknown",
        "Versions": ", ".join(f"{key} {value}" for key, value in info.versions.items()),
        "Made": info.created,
    }
    st.table(pd.Series(facts, name="value"))
    st.markdown("Resolved recipe")
    st.json(dict(info.recipe), expanded=1)
