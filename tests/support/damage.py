"""Copies of a good run, each damaged in another way."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd


def _predictions(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        path = run / "predictions.parquet"
        change(pd.read_parquet(path)).to_parquet(path)

    return damage


def _first_test_row(table: pd.DataFrame) -> pd.Index:
    return table.index[table["split"] == "test"][:1]


def _another_id(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[_first_test_row(table), "id"] = "=other/00001"
    return table


def _another_label(table: pd.DataFrame) -> pd.DataFrame:
    row = _first_test_row(table)
    columns = [name for name in table if name.startswith("p_")]
    right = table.loc[row, "y_true"].iloc[0]
    other = next(name[2:] for name in columns if name[2:] != right)
    # the prediction stays as right or wrong as it was, so that the accuracy is the report's
    predicted_right = table.loc[row, columns].to_numpy().argmax() == columns.index(f"p_{right}")
    table.loc[row, columns] = 0.0
    table.loc[row, f"p_{other if predicted_right else right}"] = 1.0
    table.loc[row, "y_true"] = other
    return table


def _not_a_number(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[_first_test_row(table), "p_happy"] = np.nan
    return table


def _sums_of_two(table: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in table if name.startswith("p_")]
    table[columns] *= 2
    return table


def _classes_swapped(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"p_happy": "p_sad", "p_sad": "p_happy"})


def _numbers_as_ids(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(id=np.arange(len(table)))


def _truncated(run: Path) -> None:
    path = run / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:200])


def _linked(run: Path) -> None:
    outside = run.parents[4] / f"outside-{os.getpid()}"
    shutil.copytree(run, outside, dirs_exist_ok=True)
    shutil.rmtree(run)
    run.symlink_to(outside)


def _of_another_id(run: Path) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": "another"}))


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "half": _predictions(lambda table: table.iloc[::2]),
    "twice": _predictions(lambda table: pd.concat([table, table])),
    "id": _predictions(_another_id),
    "label": _predictions(_another_label),
    "nan": _predictions(_not_a_number),
    "sums": _predictions(_sums_of_two),
    "swapped": _predictions(_classes_swapped),
    "numbers": _predictions(_numbers_as_ids),
    "truncated": _truncated,
    "garbage": lambda run: (run / "report.json").write_text("{]"),
    "reportless": lambda run: (run / "report.json").unlink(),
    "renamed": _of_another_id,
    "linked": _linked,
}


def add_damaged_runs(benchmark: Path, good: str) -> list[str]:
    """Adds one copy of a run for each kind of damage.

    Args:
        benchmark: Folder of the benchmark.
        good: Id of the run that is copied.

    Returns:
        Ids of the damaged runs.
    """
    run_ids = []
    for kind, damage in DAMAGES.items():
        run_id = f"damaged-{kind}"
        run = benchmark / "runs" / run_id
        shutil.copytree(benchmark / "runs" / good, run)
        for name in ("run.json", "report.json"):
            path = run / name
            path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": run_id}))
        damage(run)
        run_ids.append(run_id)
    return run_ids
