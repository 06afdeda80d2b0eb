"""Logging to Weights & Biases, if `--track` enables it."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fer_core.artifacts import RunDir
from fer_core.config import Recipe
from fer_core.engine.callbacks import Callback, EpochRecord, StepMetrics
from fer_core.errors import RecipeError
from fer_core.evaluation.report import Report
from fer_core.files import write_text
from fer_core.models.checkpoint import CheckpointFolder
from training.jobs.accelerator import is_main_process
from training.options import Tracking

PROJECT = "ferscope"


@contextmanager
def tracked(
    callback: Callback, recipe: Recipe, run: RunDir, mode: Tracking, *, resume: bool
) -> Iterator[Callback]:
    """Yields a callback that also logs to Weights & Biases, on the first process.

    Args:
        callback: Callback that is always called.
        recipe: The resolved recipe.
        run: The run that is trained.
        mode: `none` logs nothing.
        resume: Whether the training continues from a checkpoint; it then continues the same run at
            Weights & Biases.

    Raises:
        RecipeError: If wandb is requested but not installed.
    """
    if mode == "none" or not is_main_process():
        yield callback
        return
    with WandbTracker(callback, recipe, mode, Path.cwd(), tracking_id(run, resume)) as tracker:
        yield tracker
        if run.info_path.is_file():  # else the time limit stopped the training
            tracker.finish_run(run)


def tracking_id(run: RunDir, resume: bool) -> str:
    """Returns a training's id at Weights & Biases, which is saved beside its checkpoints."""
    id_file = run.under_way.root / "wandb_id.txt"
    if resume and id_file.is_file() and CheckpointFolder(run.state_dir).has("last"):
        return id_file.read_text().strip()
    name = f"{run.benchmark.name}.{run.run_id}.{secrets.token_hex(4)}"
    write_text(id_file, name)
    return name


def require_wandb() -> Any:  # noqa: ANN401
    """Imports and returns wandb.

    Raises:
        RecipeError: If it is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise RecipeError(
            "--track needs the package wandb, which is not installed. Run: pip install wandb"
        ) from None
    return wandb


class WandbTracker(AbstractContextManager["WandbTracker"]):
    """A callback that logs each epoch, and at the end the results, to Weights & Biases.

    Args:
        inner: A callback that is called as well.
        recipe: Logged as the run's configuration.
        mode: `offline` writes to `wandb/`, for `wandb sync`; `online` sends each epoch.
        folder: Folder in which `wandb/` is created.
        name: The run's id at Weights & Biases.

    Raises:
        RecipeError: If wandb is not installed.
    """

    def __init__(
        self,
        inner: Callback,
        recipe: Recipe,
        mode: Literal["offline", "online"],
        folder: Path,
        name: str,
    ) -> None:
        wandb = require_wandb()
        self._inner = inner
        self._run: Any = wandb.init(
            project=PROJECT,
            id=name,
            resume="allow",
            mode=mode,
            dir=folder,
            config=recipe.model_dump(mode="json"),
            settings=wandb.Settings(silent=True),
        )

    def __exit__(self, kind: object, *_: object) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)

    def finish_run(self, run: RunDir) -> None:
        """Logs the results of the finished run, and the run as an artifact; no sample ids."""
        wandb, info, report = require_wandb(), run.info(), Report.read(run.report_path)
        summary: dict[str, Any] = {"split_hash": info.split_hash, "run_id": info.run_id}
        for name, split in (("test", report.test), ("validation", report.validation)):
            for metric in ("accuracy", "macro_recall"):
                estimate = getattr(split, metric)
                summary[f"{name}/{metric}"] = estimate.value
                summary[f"{name}/{metric}_low"] = estimate.low
                summary[f"{name}/{metric}_high"] = estimate.high
        self._run.summary.update(summary)
        labels = [row.label for row in report.test.classes]
        rows = [
            [true, predicted, count]
            for true, row in zip(labels, report.test.confusion, strict=True)
            for predicted, count in zip(labels, row, strict=True)
        ]
        table = wandb.Table(columns=["true", "predicted", "images"], data=rows)
        self._run.log({"test/confusion": table})
        artifact = wandb.Artifact(
            f"{run.benchmark.name}.{info.run_id}".replace("/", "."),
            type="model",
            metadata={"split_hash": info.split_hash, "labels": list(info.labels)},
        )
        for path in (run.info_path, run.report_path, run.weights_path):
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def on_step(self, metrics: StepMetrics) -> None:
        """Does not log steps."""
        self._inner.on_step(metrics)

    def on_epoch(self, record: EpochRecord) -> None:
        """Logs the epoch."""
        self._run.log(asdict(record), step=record.epoch, commit=True)
        self._inner.on_epoch(record)
