"""The functions of the Python API; `import fer_core` offers them by name."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.errors import ArtifactError
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.leaderboard_columns import COLUMNS
from fer_core.evaluation.scope import EVAL_SETS, TEST, Scope
from fer_core.figures.tables import leaderboard_numbers
from fer_core.project import artifacts_root


def open_benchmark(name: str, artifacts: Path | str | None = None) -> BenchmarkDir:
    """Opens a benchmark: its metadata, its samples and its runs.

    Args:
        name: Name of the benchmark, such as `ferplus`.
        artifacts: Folder of the benchmarks; `$FERSCOPE_ARTIFACTS` or `artifacts/` by default.

    Raises:
        ArtifactError: If there is no such benchmark.

    Examples:
        >>> import fer_core
        >>> benchmark = fer_core.open_benchmark("synthetic")
        >>> benchmark.info().labels
        ('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise')
        >>> "efficientnet_lite0-cpu-s0" in [run.run_id for run in benchmark.runs()]
        True
        >>> benchmark.run("efficientnet_lite0-cpu-s0").info().title
        'EfficientNet-Lite0'
    """
    root = Path(artifacts) if artifacts is not None else artifacts_root()
    store = ArtifactStore(root)
    benchmark = store.benchmark(name)
    if not benchmark.info_path.is_file():
        known = ", ".join(directory.name for directory in store.benchmarks()) or "none"
        raise ArtifactError(f"There is no benchmark {name!r} in {root}. Known: {known}.")
    return benchmark


def leaderboard(
    benchmark: BenchmarkDir, eval_set: str = TEST, classes: Sequence[str] = ()
) -> pd.DataFrame:
    """Evaluates the runs of a benchmark on the same images, and ranks them by accuracy.

    Runs that were measured under another protocol are left out.

    Args:
        benchmark: The benchmark.
        eval_set: `test`, `test_leak_free`, `validation` or `test_second_label`.
        classes: Classes to evaluate; empty for all.

    Returns:
        One row per run: `rank`, `tier`, `model`, every metric and cost that is known (shares from 0
        to 1, with `accuracy_low` and `accuracy_high`, `macro_recall_low` and `macro_recall_high`),
        and the protocol, with the run's id in `run`.

    Raises:
        ArtifactError: If the evaluation set does not exist or the benchmark cannot be read.

    Examples:
        >>> import fer_core
        >>> table = fer_core.leaderboard(fer_core.open_benchmark("synthetic"))
        >>> best = table.iloc[0]
        >>> int(best["rank"])
        1
        >>> bool(best["accuracy_low"] <= best["accuracy"] <= best["accuracy_high"])
        True
    """
    if eval_set not in EVAL_SETS:
        raise ArtifactError(f"There is no evaluation set {eval_set!r}: use {', '.join(EVAL_SETS)}.")
    results = read_results(benchmark, Scope(eval_set, tuple(classes)))
    if not results.entries:
        return pd.DataFrame()
    slugs = [slug for slug in COLUMNS if any(slug in entry.values for entry in results.entries)]
    return leaderboard_numbers(results.entries, slugs, results.tiers)
